"""What a signed reading costs: signing, verifying in the gateway, and proving a million of them to a stranger."""
