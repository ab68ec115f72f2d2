"""The story of mutual TLS, played with real parts: `play` is the running order, `acts` has one file per act.

Everybody on this stage is real: the CA, the gateway, the broker, the devices, the impostors and their certificates.
"""
