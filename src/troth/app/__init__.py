"""Composition: which parts run where, with which settings.

The only room that knows all the others; decides nothing itself.
"""
