"""Benchmarks: what a connect and a message cost Troth, Mosquitto and NATS, under one load in one run.

`python -m bench`. Not part of the package; docs/benchmarks.md says what is measured and what came of it.
"""
