"""Troth: machine identity for IoT. See ``docs/`` for the ways in; nothing is imported here on purpose."""
