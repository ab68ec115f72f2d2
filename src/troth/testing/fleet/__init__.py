"""A fleet that lives ten years in minutes: real devices and a real home, a wire and a clock of our own, seeded trouble.

python -m troth.testing.fleet --seed 7 --devices 200 --years 10
"""
