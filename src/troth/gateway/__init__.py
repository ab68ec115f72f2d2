"""Devices come in here: admission is decided once for every door, and kept true by following the journal."""
