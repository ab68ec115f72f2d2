"""What a decision costs, beside cedarpy, casbin and a loop over `fnmatch` that are told the same rules.

`python -m bench.policy`. No servers, no sockets: one process that asks. docs/benchmarks.md says what came of it.
"""
