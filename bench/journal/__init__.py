"""What the journal's Merkle tree costs, and how fast it proves and verifies."""
