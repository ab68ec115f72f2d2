"""The journal's entry, by the name that the server's rooms know it by. What it is stands in `troth.evidence.entry`."""

from troth.evidence.entry import Entry, parse_entry, read_entry, render_entry

__all__ = ["Entry", "parse_entry", "read_entry", "render_entry"]
