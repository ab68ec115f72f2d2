"""Bytes to values and back, one protocol a module. Pure: no I/O, no clock, no randomness.

Contract of every parser here: any bytes become a value or a `troth.errors.PeerFault`, nothing else, in bounded memory.
"""
