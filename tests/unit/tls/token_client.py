"""A device in a process of its own, whose key is in a token: what OpenSSL's engine has seen once, it goes by for good.

``token_client.py make MODULE URI PIN ALGORITHM`` makes the key and prints its public half, PEM.

``token_client.py talk MODULE URI PIN CHAIN ROOTS PORT VERSION`` says hello twice and prints what comes back, or the
kind of the fault. With ``SIGNS_FIRST`` set, the key signs by PKCS#11 before and after, as a device's does for requests.
"""

import os
import ssl
import sys
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.unit.tls.harness import say

from troth.errors import Fault
from troth.keys.pkcs11.pin import PinFile
from troth.keys.pkcs11.token import Tokens
from troth.keys.pkcs11.uri import parse_token_uri
from troth.tls.client import client_context
from troth.tls.token_keys import TokenKeyAccess, use_token_key
from troth.x509.algorithms import KeyAlgorithm


def make(module: str, uri: str, pin: str, algorithm: str) -> None:
    key = Tokens(Path(module), PinFile(Path(pin))).make(parse_token_uri(uri), KeyAlgorithm(algorithm))
    print(key.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def talk(module: str, uri: str, pin: str, chain: str, roots: str, port: str, version: str) -> None:
    tokens = Tokens(Path(module), PinFile(Path(pin)))
    try:
        if os.environ.get("SIGNS_FIRST"):
            tokens.open(parse_token_uri(uri)).sign(b"a request")
        context = client_context(Path(roots).read_bytes())
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        access = TokenKeyAccess(Path(module), uri, Path(pin).read_text().strip())
        use_token_key(context, Path(chain).read_bytes(), access)
        for _ in range(2):
            print(say(int(port), context, b"hello").decode())
        if os.environ.get("SIGNS_FIRST"):
            tokens.open(parse_token_uri(uri)).sign(b"a reading")
    except Fault as fault:
        print(fault.kind.value)


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    (make if what == "make" else talk)(*words)
