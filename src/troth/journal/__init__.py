"""The only way to change anything: a change and its record are committed together, and the record is the change feed.

Knows no room's tables but its own.
"""
