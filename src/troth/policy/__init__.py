"""The access language: AWS IoT's policy documents, what they mean, and the engine that decides by them.

Pure: knows no file, clock, database or connection; `re` is banned here, since a pattern comes from outside.
"""
