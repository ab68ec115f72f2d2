"""How long a message is on its way while the same machine answers OCSP."""
