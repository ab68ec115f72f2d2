"""Private keys in tokens (HSMs, smart cards, SoftHSM), which sign and never show them. PKCS#11 2.40 and 3.0; RFC 7512.

Needs the extra ``pkcs11``. Nothing outside of this folder imports `pkcs11`.
"""
