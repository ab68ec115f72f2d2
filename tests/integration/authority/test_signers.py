"""A CA key in a token, and all that a token can do wrong: each is told, none half-issues, and it goes on by itself."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pkcs11
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.fixtures.issuance import certificates, entries, intend, reread
from tests.fixtures.softhsm import PIN, SoftHSM, softhsm

from troth.app.cabinet import FileCabinet, TokenAccess
from troth.app.wiring.door import open_crl_door, open_door
from troth.authority.ceremony import Ceremony
from troth.authority.door import Door
from troth.authority.generation import Generation
from troth.authority.intents import IntentState
from troth.authority.settle import settle, settle_waiting
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.keys.pkcs11.pin import GivenPin
from troth.keys.pkcs11.token import TokenKey, Tokens
from troth.keys.pkcs11.uri import is_token_uri, parse_token_uri
from troth.keys.signing import SigningKey
from troth.keys.verifying import is_signature
from troth.registry.issuers import Issuer, IssuerState, set_issuer_state
from troth.testing.authority import MemoryCabinet, TestAuthority
from troth.x509.algorithms import KeyAlgorithm, PublicKey
from troth.x509.profiles import Purpose

__all__ = ["softhsm"]

pytestmark = [pytest.mark.needs("softhsm2-util", "pkcs11-tool"), pytest.mark.slow]
NAME = "devices"
IMPORTS = """
import sys
from pathlib import Path
from troth.keys.pkcs11.pin import PinFile
from troth.keys.pkcs11.token import Tokens
from troth.keys.pkcs11.uri import parse_token_uri
from troth.keys.verifying import is_signature
"""


class MixedCabinet:
    """The test site's keys in memory, and those with a URI in the token, as a home's cabinet has them."""

    def __init__(self, memory: MemoryCabinet, token: SoftHSM) -> None:
        self.memory = memory
        self.tokens = FileCabinet(token.folder, None, TokenAccess(token.module, token.pin_file))

    def make(self, name: str, algorithm: KeyAlgorithm) -> SigningKey:
        return (self.tokens if is_token_uri(name) else self.memory).make(name, algorithm)

    def open(self, name: str, public_key: PublicKey | None = None) -> SigningKey:
        return (self.tokens if is_token_uri(name) else self.memory).open(name, public_key)


@pytest.fixture
def cabinet(authority: TestAuthority, softhsm: SoftHSM) -> MixedCabinet:
    return MixedCabinet(authority.cabinet, softhsm)


@pytest.fixture
def issuer(authority: TestAuthority, softhsm: SoftHSM, cabinet: MixedCabinet) -> Issuer:
    """A second generation of the devices' CA, whose key was made in the token."""
    ceremony = Ceremony(authority.db, authority.clock, authority.public_url, cabinet, "operator:test")
    generation = Generation("home.example", Purpose.DEVICES, 2, key=softhsm.uri(NAME))
    issuer = ceremony.bring(generation, authority.hierarchy.root)
    with change(authority.db, authority.clock, "operator:test") as changing:
        set_issuer_state(changing, authority.hierarchy.issuing[Purpose.DEVICES].issuer_id, IssuerState.SUPERSEDED)
        set_issuer_state(changing, issuer.issuer_id, IssuerState.ACTIVE)
    return issuer


@pytest.fixture
def door(authority: TestAuthority, cabinet: MixedCabinet, issuer: Issuer) -> Door:
    return open_door(authority.db, cabinet, authority.public_url, (Purpose.DEVICES,))


def made(softhsm: SoftHSM, algorithm: KeyAlgorithm = KeyAlgorithm.P256) -> TokenKey:
    return softhsm.access().make(parse_token_uri(softhsm.uri(NAME)), algorithm)


def refused(key: SigningKey) -> Fault:
    with pytest.raises(Fault) as caught:
        key.sign(b"data")
    fault = caught.value
    assert fault.kind is Kind.UNAVAILABLE
    assert fault.retry_after
    assert fault.hint
    return fault


def works(key: SigningKey) -> bool:
    return is_signature(key.public_key, key.sign(b"data"), b"data")


def alone(softhsm: SoftHSM, script: str, *words: str) -> None:
    """Run a script in a process of its own, with the module, the PIN file and the key's URI as its first arguments."""
    own = [str(softhsm.module), str(softhsm.pin_file), softhsm.uri(NAME), *words]
    environment = {**os.environ, **softhsm.environment}
    subprocess.run([sys.executable, "-c", IMPORTS + script, *own], check=True, timeout=60, env=environment)


class TestThroughTheDoor:
    def test_a_ca_in_a_token_issues(self, authority: TestAuthority, door: Door, issuer: Issuer) -> None:
        intent = intend(authority)
        assert intent.issuer_id == issuer.issuer_id
        assert settle(authority.db, authority.clock, door, intent.intent_id).state is IntentState.ISSUED
        (row,) = certificates(authority.db, "lamp-1")
        assert row.issuer_id == issuer.issuer_id

    def test_it_signs_its_crls(self, authority: TestAuthority, cabinet: MixedCabinet, issuer: Issuer) -> None:
        crl_door = open_crl_door(authority.db, cabinet, authority.public_url, (Purpose.DEVICES,))
        (published, *_) = crl_door.publish(authority.db, authority.clock, "operator:test", issuer, [None])
        crl = x509.load_der_x509_crl(published.der)
        public_key = issuer.certificate.public_key()
        assert isinstance(public_key, ec.EllipticCurvePublicKey)
        assert crl.is_signature_valid(public_key)

    def test_a_token_that_goes_and_comes_back(
        self, authority: TestAuthority, door: Door, softhsm: SoftHSM, issuer: Issuer
    ) -> None:
        intent = intend(authority)
        softhsm.take_away()
        with pytest.raises(Fault) as caught:
            settle(authority.db, authority.clock, door, intent.intent_id)
        assert caught.value.kind is Kind.UNAVAILABLE
        assert caught.value.retry_after
        progress = settle_waiting(authority.db, authority.clock, door)
        assert (progress.settled, progress.obstacle and progress.obstacle.kind) == (0, Kind.UNAVAILABLE)
        assert reread(authority.db, intent).state is IntentState.PREPARED
        assert certificates(authority.db, "lamp-1") == []

        softhsm.put_back()
        progress = settle_waiting(authority.db, authority.clock, door)
        assert (progress.settled, progress.obstacle) == (1, None)
        again = settle(authority.db, authority.clock, door, intent.intent_id)
        (row,) = certificates(authority.db, "lamp-1")
        assert (again.state, again.certificate_id) == (IntentState.ISSUED, row.certificate_id)
        assert int(row.serial, 16) == intent.serial
        issued = [entry for entry in entries(authority.db, "certificate.issued") if entry.data["thing"] == "lamp-1"]
        assert len(issued) == 1

    def test_the_authority_begins_while_its_token_is_away(
        self, authority: TestAuthority, cabinet: MixedCabinet, softhsm: SoftHSM, issuer: Issuer
    ) -> None:
        softhsm.take_away()
        door = open_door(authority.db, cabinet, authority.public_url, (Purpose.DEVICES,))
        intent = intend(authority)
        assert settle_waiting(authority.db, authority.clock, door).settled == 0
        softhsm.put_back()
        assert settle_waiting(authority.db, authority.clock, door).settled == 1
        assert reread(authority.db, intent).state is IntentState.ISSUED

    def test_another_token_of_the_same_name_signs_nothing(
        self, authority: TestAuthority, door: Door, softhsm: SoftHSM, issuer: Issuer
    ) -> None:
        softhsm.take_away()
        softhsm.run("--init-token", "--free", "--label", "troth", "--so-pin", PIN, "--pin", PIN)
        made(softhsm)
        intent = intend(authority)
        assert settle_waiting(authority.db, authority.clock, door).settled == 0
        assert certificates(authority.db, "lamp-1") == []
        assert reread(authority.db, intent).state is IntentState.PREPARED


class TestKeys:
    def test_a_key_cannot_be_taken_out(self, softhsm: SoftHSM) -> None:
        made(softhsm)
        module = pkcs11.lib(str(softhsm.module))
        session = module.get_token(token_label="troth").open()
        private = session.get_key(pkcs11.ObjectClass.PRIVATE_KEY, label=NAME)
        sensitive, extractable, never = (
            private[each]
            for each in (pkcs11.Attribute.SENSITIVE, pkcs11.Attribute.EXTRACTABLE, pkcs11.Attribute.NEVER_EXTRACTABLE)
        )
        assert (sensitive, extractable, never) == (True, False, True)
        with pytest.raises(pkcs11.AttributeSensitive):
            private[pkcs11.Attribute.VALUE]

    def test_a_key_of_another_kind_is_not_used(self, softhsm: SoftHSM) -> None:
        made(softhsm)
        with pytest.raises(Fault) as caught:
            made(softhsm, KeyAlgorithm.P384)
        assert caught.value.kind is Kind.CONFLICT

    def test_kinds_that_tokens_have_not_are_told(self, softhsm: SoftHSM) -> None:
        with pytest.raises(Fault) as caught:
            made(softhsm, KeyAlgorithm.MLDSA65)
        assert caught.value.kind is Kind.UNSUPPORTED

    def test_a_key_made_by_other_hands_is_found_by_its_id(self, softhsm: SoftHSM) -> None:
        words = ["pkcs11-tool", "--module", str(softhsm.module), "--token-label", "troth", "--login", "--pin", PIN]
        softhsm.call([*words, "--keypairgen", "--key-type", "EC:secp384r1", "--id", "0a0b", "--label", "elsewhere"])
        key = softhsm.access().open(parse_token_uri("pkcs11:token=troth;id=%0a%0b"))
        assert key.algorithm is KeyAlgorithm.P384
        assert works(key)

    def test_two_keys_of_one_name_are_told(self, softhsm: SoftHSM) -> None:
        words = ["pkcs11-tool", "--module", str(softhsm.module), "--token-label", "troth", "--login", "--pin", PIN]
        for key_id in ("01", "02"):
            softhsm.call([*words, "--keypairgen", "--key-type", "EC:secp256r1", "--id", key_id, "--label", NAME])
        with pytest.raises(Fault) as caught:
            softhsm.access().open(parse_token_uri(softhsm.uri(NAME)))
        assert "several" in caught.value.message

    def test_a_process_that_is_forked_off_signs_too(self, softhsm: SoftHSM) -> None:
        made(softhsm)
        script = """
import os
key = Tokens(Path(sys.argv[1]), PinFile(Path(sys.argv[2]))).open(parse_token_uri(sys.argv[3]))
works = lambda: is_signature(key.public_key, key.sign(b"data"), b"data")
assert works()
child = os.fork()
if child == 0:
    os._exit(0 if works() and works() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert works()
"""
        alone(softhsm, script)


class TestTrouble:
    def test_a_wrong_pin_is_tried_once(self, softhsm: SoftHSM) -> None:
        public_key = made(softhsm).public_key
        softhsm.write_pin("wrong-pin")
        key = softhsm.access().expect(parse_token_uri(softhsm.uri(NAME)), public_key)
        assert "refuses the PIN" in refused(key).message
        # It is the right one by now, and still not tried: a token that counts would be locked soon.
        softhsm.change_pin(PIN, "wrong-pin")
        assert "not tried again" in refused(key).message
        softhsm.write_pin("wrong-pin")
        assert works(key)

    def test_a_typed_pin_opens_the_token_and_a_wrong_one_is_tried_once(self, softhsm: SoftHSM) -> None:
        uri, public_key = made(softhsm).uri, made(softhsm).public_key
        softhsm.pin_file.unlink()
        assert works(Tokens(softhsm.module, GivenPin(PIN)).expect(uri, public_key))
        key = Tokens(softhsm.module, GivenPin("wrong-pin")).expect(uri, public_key)
        assert "refuses the PIN" in refused(key).message
        assert "not tried again" in refused(key).message

    def test_no_pin(self, softhsm: SoftHSM) -> None:
        public_key = made(softhsm).public_key
        key = softhsm.access().expect(parse_token_uri(softhsm.uri(NAME)), public_key)
        softhsm.pin_file.unlink()
        assert "pin" in refused(key).message
        softhsm.write_pin(PIN)
        softhsm.pin_file.chmod(0o644)
        assert "others than its owner" in refused(key).message
        softhsm.pin_file.chmod(0o600)
        assert works(key)

    def test_a_token_that_is_away(self, softhsm: SoftHSM) -> None:
        key = made(softhsm)
        softhsm.take_away()
        assert "not there" in refused(key).message
        assert "not there" in refused(key).message
        softhsm.put_back()
        assert works(key)

    @pytest.mark.parametrize("where", ["slot-id=4711", "token=other", "serial=0", "token=troth;model=other"])
    def test_a_token_that_does_not_exist(self, softhsm: SoftHSM, where: str) -> None:
        public_key = made(softhsm).public_key
        key = softhsm.access().expect(parse_token_uri(f"pkcs11:{where};object={NAME}"), public_key)
        assert "not there" in refused(key).message

    def test_a_key_that_is_not_in_the_token(self, softhsm: SoftHSM) -> None:
        public_key = made(softhsm).public_key
        key = softhsm.access().expect(parse_token_uri(softhsm.uri("none")), public_key)
        assert "no such key" in refused(key).message

    def test_a_module_that_is_installed_later(self, softhsm: SoftHSM, tmp_path: Path) -> None:
        public_pem = tmp_path / "public.pem"
        public_pem.write_bytes(made(softhsm).public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        script = """
import shutil
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from troth.errors import Fault
driver = Path(sys.argv[4])
public_key = load_pem_public_key(Path(sys.argv[5]).read_bytes())
key = Tokens(driver, PinFile(Path(sys.argv[2]))).expect(parse_token_uri(sys.argv[3]), public_key)
def refused():
    try:
        key.sign(b"data")
    except Fault as fault:
        return fault.kind.value, bool(fault.retry_after), "cannot be loaded" in fault.message
assert refused() == ("unavailable", True, True)
driver.write_bytes(b"no library")
assert refused() == ("unavailable", True, True)
driver.unlink()
shutil.copy(sys.argv[1], driver)
assert is_signature(key.public_key, key.sign(b"data"), b"data")
"""
        # A process of its own: two copies of one driver in one process get in each other's way.
        alone(softhsm, script, str(tmp_path / "driver.so"), str(public_pem))

    def test_a_module_that_hangs_keeps_nobody_waiting(self, softhsm: SoftHSM) -> None:
        key = softhsm.access(0.3).open(made(softhsm).uri)
        assert works(key)
        with softhsm.hanging():
            assert "hangs" in refused(key).message
            # The first call has not returned: whoever comes now is told so at once.
            assert refused(key).detail == "an earlier call has not returned"
        for _ in range(100_000):
            with suppress(Fault):
                assert works(key)
                return
        pytest.fail("the token never came back")
