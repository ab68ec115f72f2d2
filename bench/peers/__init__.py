"""The servers that are compared, one module each: the same certificates, the same rules, in its own words."""
