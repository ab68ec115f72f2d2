"""What runs on a device: its identity folder, enrollment over EST, and MQTT under mutual TLS.

Installs without the server: imports only the words everyone shares, `x509`, `keys`, `protocols` and `tls.client`.
"""
