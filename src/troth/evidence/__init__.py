"""What a stranger can check offline: signed readings, bundles, the journal's entries, its tree, checkpoints, exports.

Needs the base install only. Pure: no I/O, no clock, no database.
"""
