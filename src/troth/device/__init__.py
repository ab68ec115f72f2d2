"""What runs on a device: its identity folder, enrollment over EST, MQTT under mutual TLS, and the agent of it all.

Installs without the server: imports only the words everyone shares, `x509`, `keys`, `protocols` and `tls.client`. For
programs: `from troth.device.library import AsyncDevice, Device`.
"""
