"""The kit that our tests, and users' own, stand on: a small certificate authority with real parts, and a fake clock."""
