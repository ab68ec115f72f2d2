"""Devices' HTTP: enrollment (EST) over TLS, and what anybody may fetch in the clear. Decides nothing by itself."""
