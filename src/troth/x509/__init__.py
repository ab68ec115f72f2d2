"""Certificates as values: requests, profiles, building, lint and verification. Knows no file, clock or randomness."""
