"""How long tokens for a whole fleet take, and whether a look-up feels how many there are."""
