"""How long it takes to find certificates among a million."""
