"""All that PKCS#11 offers to somebody who has the PIN and would like to have the key itself: 2.40, 4.9, 5.7, 5.14.

``python -m troth.demo.token_thief MODULE TOKEN PIN-FILE`` has our own code make a key in a token, and a careless hand
another one; tries every way on both, and prints in JSON what came of it. A process of its own: the module is C code
that takes its settings from the environment. Needs python-pkcs11.
"""

import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass, PKCS11Error
from pkcs11.types import WrapMixin
from pkcs11.util.ec import encode_named_curve_parameters

from troth.demo.cases import HAD
from troth.keys.pkcs11.pin import PinFile
from troth.keys.pkcs11.token import Tokens
from troth.keys.pkcs11.uri import TokenURI
from troth.x509.algorithms import KeyAlgorithm

_SECRETS: Final[Mapping[KeyType, tuple[Attribute, ...]]] = {
    KeyType.EC: (Attribute.VALUE,),
    KeyType.RSA: (Attribute.PRIVATE_EXPONENT, Attribute.PRIME_1, Attribute.PRIME_2),
}
_LAID_OPEN: Final = {Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}
_LABEL: Final = "thermostat"


def steal(session: pkcs11.Session, label: str) -> dict[str, str]:
    """Return what came of each way of getting at the private key with this label: `HAD`, or the name of the error."""
    key = session.get_key(ObjectClass.PRIVATE_KEY, label=label)
    assert isinstance(key, pkcs11.PrivateKey)  # that is what was asked for
    return attempts(session, key)


def attempts(session: pkcs11.Session, key: pkcs11.PrivateKey) -> dict[str, str]:
    """As `steal`, for a key at hand."""
    secrets = _SECRETS[key[Attribute.KEY_TYPE]]
    tries: dict[str, Callable[[], object]] = {f"read {each.name}": partial(key.__getitem__, each) for each in secrets}
    tries["read a copy laid open"] = lambda: key.copy(_LAID_OPEN)[secrets[0]]
    tries["wrap"] = lambda: _wrap(session, key)
    tries["read it, laid open"] = lambda: _laid_open(key)[secrets[0]]
    return {name: _attempt(one) for name, one in tries.items()}


def careless_key(session: pkcs11.Session) -> pkcs11.PrivateKey:
    """Make a P-256 key that the token gives to everybody with the PIN."""
    curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
    _, private = session.create_domain_parameters(KeyType.EC, curve, local=True).generate_keypair(
        capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY, private_template=_LAID_OPEN
    )
    return private


def main(module: str, token: str, pin_file: str) -> None:
    """Make both keys, try everything, tell."""
    Tokens(Path(module), PinFile(Path(pin_file))).make(TokenURI(token=token, label=_LABEL), KeyAlgorithm.P256)
    with pkcs11.lib(module).get_token(token_label=token).open(rw=True) as session:
        told = {
            "ours": steal(session, _LABEL),
            "careless": attempts(session, careless_key(session)),
        }
    sys.stdout.write(json.dumps(told))


def _wrap(session: pkcs11.Session, key: pkcs11.PrivateKey) -> bytes:
    wrapping = session.generate_key(KeyType.AES, 256, capabilities=MechanismFlag.WRAP, store=False)
    assert isinstance(wrapping, WrapMixin)  # it was made to wrap
    return wrapping.wrap_key(key, mechanism=Mechanism.AES_KEY_WRAP_PAD)


def _laid_open(key: pkcs11.PrivateKey) -> pkcs11.PrivateKey:
    """Change what the token says of the key. libtpm2-pkcs11 lets that be changed, which changes nothing in the TPM."""
    for name, value in _LAID_OPEN.items():
        key[name] = value
    return key


def _attempt(one: Callable[[], object]) -> str:
    try:
        one()
    except PKCS11Error as error:
        return type(error).__name__
    return HAD


if __name__ == "__main__":
    main(*sys.argv[1:])
