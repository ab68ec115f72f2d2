"""The ``troth`` command: one file per noun, loaded on demand, so that a device's install needs no server to run it."""
