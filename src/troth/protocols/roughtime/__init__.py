"""Roughtime version 1: the time, signed by whoever tells it, for devices that know none. RFC 10049.

Bytes to values and back; knows no socket and no clock. `message` is the format that all is written in, `request` what
a client asks, `response` what it is told and why to believe it.
"""
