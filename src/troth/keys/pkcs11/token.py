"""The tokens behind one PKCS#11 module: keys found, made and used in them. A private key never leaves its token.

One thread makes all calls, over one session a token: modules differ in what they allow, and all allow that. When
something fails the module is initialised anew, once, because that is how a token that was away is seen again.
PKCS#11 2.40 and 3.0.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pkcs11
from pkcs11 import Attribute, MechanismFlag, ObjectClass, PKCS11Error
from pkcs11.types import SignMixin

from troth.errors import Fault, Kind
from troth.keys.pkcs11.calls import Calls, Late
from troth.keys.pkcs11.faults import PIN_REFUSED, PinRefused, fault_of, unavailable
from troth.keys.pkcs11.kinds import PUBLIC_EXPONENT, kind_of, public_key_of
from troth.keys.pkcs11.locking import begin_with_locks, load_with_locks
from troth.keys.pkcs11.pin import PinSource
from troth.keys.pkcs11.uri import TokenURI
from troth.keys.randomness import random_bytes
from troth.keys.turns import turn_of
from troth.keys.verifying import is_signature
from troth.limits import PKCS11_CALL_S_MAX
from troth.x509.algorithms import KeyAlgorithm, PublicKey, algorithm_of

if TYPE_CHECKING:
    from pkcs11._pkcs11 import lib

_KEY_ID_BYTES: Final = 16
_PUBLIC: Final = (
    Attribute.KEY_TYPE,
    Attribute.EC_PARAMS,
    Attribute.EC_POINT,
    Attribute.MODULUS,
    Attribute.PUBLIC_EXPONENT,
)
_SIGNING: Final = MechanismFlag.SIGN | MechanismFlag.VERIFY
_ALL: Final = _SIGNING | MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT | MechanismFlag.DERIVE
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key in a token. A `troth.keys.signing.SigningKey`."""

    uri: TokenURI
    public_key: PublicKey
    """The public half."""
    _tokens: "Tokens" = field(repr=False, compare=False)

    @property
    def algorithm(self) -> KeyAlgorithm:
        """The key's algorithm."""
        return algorithm_of(self.public_key)

    def sign(self, data: bytes) -> bytes:
        """Return the signature over `data`, by the one scheme of the algorithm, checked against the public half.

        Raises `Fault` (unavailable, with `retry_after`) whatever is wrong with module, token, PIN or key.
        """
        return self._tokens.sign(self.uri, self.public_key, data)


class Tokens:
    """What one module gives access to. Threads may share it; `call_s` is how long a call may take."""

    def __init__(self, module: Path, pin: PinSource, *, call_s: float = PKCS11_CALL_S_MAX) -> None:
        self._module = module
        self._pin = pin
        self._call_s = call_s
        self._calls = Calls("pkcs11")
        # From here on: for the one thread that calls the module.
        self._library: lib | None = None
        self._process = os.getpid()
        self._is_stale = False
        self._sessions: dict[int, pkcs11.Session] = {}
        self._keys: dict[TokenURI, SignMixin] = {}
        self._refused: list[object] = []

    def open(self, uri: TokenURI) -> TokenKey:
        """Return the key that is meant. Raises `Fault`: unavailable, bad key (a kind that is not taken)."""
        return TokenKey(uri, public_key_of(self._do(uri, partial(self._read_public, uri))), self)

    def expect(self, uri: TokenURI, public_key: PublicKey) -> TokenKey:
        """Return the key that is meant without asking for it: the token may come later. Raises nothing."""
        return TokenKey(uri, public_key, self)

    def make(self, uri: TokenURI, algorithm: KeyAlgorithm) -> TokenKey:
        """Return the key that is meant, made in the token if there is none; nobody can ever take it out.

        Raises `Fault`: unavailable; unsupported (no such keys in tokens); conflict (there is one of another kind).
        """
        kind_of(algorithm)
        key = TokenKey(uri, public_key_of(self._do(uri, partial(self._make, uri, algorithm))), self)
        if key.algorithm is not algorithm:
            hint = "name another with object=... or id=..."
            raise Fault(Kind.CONFLICT, f"the token has a key of kind {key.algorithm} there: {uri}", hint=hint)
        return key

    def destroy(self, uri: TokenURI) -> None:
        """Destroy the key that is meant and what lies beside it; one that is gone is no loss.

        Raises `Fault` (unavailable).
        """
        self._do(uri, partial(self._destroy, uri))

    def sign(self, uri: TokenURI, public_key: PublicKey, data: bytes) -> bytes:
        """Return the signature over `data`. Raises `Fault` (unavailable)."""
        kind = kind_of(algorithm_of(public_key))
        made = self._do(uri, lambda: self._key(uri).sign(kind.prepare(data), mechanism=kind.mechanism))
        signature = kind.finish(made)
        if not is_signature(public_key, signature, data):
            hint = "the key's URI means another key than the one that was certified; put back the right token"
            raise unavailable(f"the token's key is not the one that is expected ({uri})", hint)
        return signature

    def _do(self, uri: TokenURI, work: Callable[[], _T]) -> _T:
        try:
            return self._calls.call(partial(self._in_turn, work), self._call_s)
        except Late as late:
            hint = "look at the token and its driver; troth tries again by itself"
            raise unavailable(f"the token hangs ({uri})", hint, detail=str(late)) from late
        except (PKCS11Error, PinRefused) as error:
            raise fault_of(error, uri) from error
        except Fault as fault:
            # No PIN, or one that cannot be read.
            hint = fault.hint or "write it to [keys] pin_file; troth tries again by itself"
            raise unavailable(f"{fault.message} ({uri})", hint, detail=fault.detail) from fault

    def _in_turn(self, work: Callable[[], _T]) -> _T:
        with turn_of(self._module):
            return self._attempt(work)

    def _attempt(self, work: Callable[[], _T]) -> _T:
        try:
            return work()
        except (*PIN_REFUSED, pkcs11.MultipleObjectsReturned):
            raise
        except PKCS11Error:
            # A session that somebody else has ended: another one will do.
            self._forget()
        try:
            return work()
        except (*PIN_REFUSED, pkcs11.MultipleObjectsReturned):
            raise
        except PKCS11Error:
            # A token that was away, a module that does not see a new one: seen after a new beginning. It comes last,
            # because it ends the session of OpenSSL's engine as well, whatever that is about.
            self._is_stale = True
            return work()

    def _forget(self) -> None:
        self._sessions.clear()
        self._keys.clear()

    def _loaded(self) -> "lib":
        if self._library is None:
            self._library = load_with_locks(self._module)
        if self._is_stale or self._process != os.getpid():
            self._forget()
            begin_with_locks(self._module)
            self._process, self._is_stale = os.getpid(), False
        return self._library

    def _token(self, uri: TokenURI) -> pkcs11.Token:
        for slot in self._loaded().get_slots(token_present=True):
            token = slot.get_token()
            serial = token.serial.decode("utf-8", "replace").strip()
            if (
                uri.token in {None, token.label}
                and uri.serial in {None, serial}
                and uri.manufacturer in {None, token.manufacturer_id}
                and uri.model in {None, token.model}
                and uri.slot_id in {None, slot.slot_id}
            ):
                return token
        raise pkcs11.NoSuchToken(str(uri))

    def _session(self, uri: TokenURI) -> pkcs11.Session:
        token = self._token(uri)
        slot = token.slot.slot_id
        if slot not in self._sessions:
            pin = self._pin.read()
            if pin.stamp in self._refused:
                raise PinRefused
            try:
                self._sessions[slot] = token.open(user_pin=pin.value)
            except PIN_REFUSED:
                self._refused = [pin.stamp]
                # A module may keep in mind what the PIN was: the next one is tried on a new beginning.
                self._is_stale = True
                raise
        return self._sessions[slot]

    def _key(self, uri: TokenURI) -> SignMixin:
        # Before the cache is asked: a module that begins anew, or a new process, empties it.
        self._loaded()
        if uri not in self._keys:
            found = self._session(uri).get_key(ObjectClass.PRIVATE_KEY, label=uri.label, id=uri.key_id)
            if not isinstance(found, SignMixin):
                raise pkcs11.NoSuchKey("what has this name cannot sign")
            self._keys[uri] = found
        return self._keys[uri]

    def _read_public(self, uri: TokenURI) -> Mapping[Attribute, Any]:
        key_id = self._key(uri)[Attribute.ID]
        # The public half beside it has the same id; its label need not be the same.
        found = self._session(uri).get_key(object_class=ObjectClass.PUBLIC_KEY, id=key_id)
        values = {}
        for attribute in _PUBLIC:
            try:
                values[attribute] = found[attribute]
            except pkcs11.AttributeTypeInvalid:
                continue
        return values

    def _make(self, uri: TokenURI, algorithm: KeyAlgorithm) -> Mapping[Attribute, Any]:
        try:
            return self._read_public(uri)
        except pkcs11.NoSuchKey:
            self._generate(uri, algorithm)
        return self._read_public(uri)

    def _destroy(self, uri: TokenURI) -> None:
        self._keys.pop(uri, None)
        self._session(uri)
        wanted = {Attribute.LABEL: uri.label, Attribute.ID: uri.key_id}
        named = {attribute: value for attribute, value in wanted.items() if value is not None}
        with self._token(uri).open(rw=True) as session:
            for found in list(session.get_objects(named)):
                found.destroy()

    def _generate(self, uri: TokenURI, algorithm: KeyAlgorithm) -> None:
        try:
            self._generate_for(uri, algorithm, _SIGNING)
        except (pkcs11.GeneralError, pkcs11.TemplateInconsistent):
            # A TPM makes a key that may do all that its kind can, and refuses to be told of less (libtpm2-pkcs11 1.9).
            self._generate_for(uri, algorithm, _ALL)

    def _generate_for(self, uri: TokenURI, algorithm: KeyAlgorithm, uses: MechanismFlag) -> None:
        kind = kind_of(algorithm)
        how: dict[str, Any] = {
            "store": True,
            "id": uri.key_id or random_bytes(_KEY_ID_BYTES),
            "label": uri.label or "troth",
            "capabilities": uses,
            "private_template": {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True},
        }
        self._session(uri)
        # Logged in is the token, not the session: this one may write.
        with self._token(uri).open(rw=True) as session:
            if kind.bits is not None:
                exponent = {Attribute.PUBLIC_EXPONENT: PUBLIC_EXPONENT}
                session.generate_keypair(kind.key_type, kind.bits, public_template=exponent, **how)
                return
            curve = {Attribute.EC_PARAMS: kind.parameters}
            session.create_domain_parameters(kind.key_type, curve, local=True).generate_keypair(**how)
