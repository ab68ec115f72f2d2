"""What a stranger can check offline: the journal's entries, its Merkle tree, signed checkpoints, proofs, exports.

Needs the base install only. Pure: no I/O, no clock, no database.
"""
