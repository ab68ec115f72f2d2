"""OCSP answers per second over HTTP, kept and with nonces, beside `openssl ocsp` in the same run."""
