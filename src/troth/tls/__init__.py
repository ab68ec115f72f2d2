"""Mutual TLS: the only room that imports `ssl` and `OpenSSL`.

`troth.tls.server` is the side that devices and people reach (pyOpenSSL), `troth.tls.asgi` runs an ASGI application
behind it, `troth.tls.client` is a device's side (the standard `ssl` alone: a device installs without the server).
"""
