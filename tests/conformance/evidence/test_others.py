"""Readings and evidence against implementations that share nothing with ours: `cwt`, OpenSSL, and Node's crypto.

Both ways: what we sign, they verify; what they sign, we read and verify. And what `cwt` alone would let pass.
"""

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests.fixtures.evidence import Site, kept, verified

from troth.errors import PeerFault
from troth.evidence.outcome import Outcome
from troth.evidence.reading import EXTERNAL, Reading, parse_reading, sign_reading
from troth.keys.file import FileKey, generate
from troth.x509.algorithms import KeyAlgorithm

pytestmark = pytest.mark.slow

NODE = Path(sys.prefix) / "interop" / "bin" / "node"
VERIFIER = Path(__file__).with_name("verifier.mjs")
AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
READING = Reading(bytes(range(32)), "meter-7", "home/meter-7/power", AT, 300, b'{"watts": 412}')
ALGORITHMS = [KeyAlgorithm.P256, KeyAlgorithm.P384, KeyAlgorithm.ED25519]
HEADER = {1: -7, 4: READING.key_id, 15: {2: READING.thing, 3: READING.topic, 6: int(AT.timestamp())}, -65537: 300}


def private_pem(key: FileKey) -> bytes:
    return key.servable_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key: FileKey) -> bytes:
    return key.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def cose_key(pem: bytes) -> Any:
    from cwt import COSEKey

    return COSEKey.from_pem(pem, kid=READING.key_id)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_cwt_verifies_what_we_sign(algorithm: KeyAlgorithm) -> None:
    from cwt import COSE
    from cwt.exceptions import VerifyError

    key = generate(algorithm)
    signed = sign_reading(READING, key)
    protected, unprotected, payload = COSE.new().decode_with_headers(
        signed, cose_key(public_pem(key)), external_aad=EXTERNAL
    )
    assert (payload, unprotected) == (READING.payload, {})
    assert protected == {**HEADER, 1: protected[1]}
    altered = signed.replace(b"412", b"999")
    with pytest.raises(VerifyError):
        COSE.new().decode_with_headers(altered, cose_key(public_pem(key)), external_aad=EXTERNAL)


@pytest.mark.parametrize(("algorithm", "number"), [(KeyAlgorithm.P256, -7), (KeyAlgorithm.P384, -35)])
def test_we_verify_what_cwt_signs(algorithm: KeyAlgorithm, number: int) -> None:
    from cwt import COSE

    key = generate(algorithm)
    signed = COSE.new(deterministic_header=True).encode_and_sign(
        READING.payload, cose_key(private_pem(key)), protected={**HEADER, 1: number}, external_aad=EXTERNAL
    )
    found = parse_reading(signed)
    assert found.reading == READING
    assert found.is_signed_by(key.public_key)


def by_hand(key: FileKey, protected: bytes, unprotected: dict[int, Any], tail: bytes = b"") -> bytes:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    r, s = decode_dss_signature(key.sign(cbor2.dumps(["Signature1", protected, EXTERNAL, b"x"])))
    value = [protected, unprotected, b"x", r.to_bytes(32) + s.to_bytes(32)]
    return cbor2.dumps(cbor2.CBORTag(18, value)) + tail


KEY = generate(KeyAlgorithm.P256)
WITHOUT_ALG = {label: value for label, value in HEADER.items() if label != 1}
WITHOUT_KID = {label: value for label, value in HEADER.items() if label != 4}


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("EdDSA, by an ECDSA key", by_hand(KEY, cbor2.dumps({**HEADER, 1: -8}), {})),
        ("HMAC", by_hand(KEY, cbor2.dumps({**HEADER, 1: 5}), {})),
        ("no algorithm", by_hand(KEY, cbor2.dumps(WITHOUT_ALG), {})),
        ("an unprotected algorithm", by_hand(KEY, cbor2.dumps(WITHOUT_ALG), {1: -7})),
        ("no key id", by_hand(KEY, cbor2.dumps(WITHOUT_KID), {})),
        ("an unprotected key id", by_hand(KEY, cbor2.dumps(WITHOUT_KID), {4: READING.key_id})),
        ("something critical", by_hand(KEY, cbor2.dumps({**HEADER, 2: [-70000], -70000: 1}), {})),
        ("bytes behind the end", by_hand(KEY, cbor2.dumps(HEADER), {}, b"junk")),
        ("another order", by_hand(KEY, cbor2.dumps(dict(reversed(HEADER.items()))), {})),
    ],
)
def test_what_cwt_alone_would_let_pass_we_refuse(what: str, data: bytes) -> None:
    """Why a reading is read by our own few lines: docs/decisions."""
    from cwt import COSE

    assert COSE.new().decode(data, cose_key(public_pem(KEY)), external_aad=EXTERNAL) == b"x"
    try:
        is_taken = parse_reading(data).is_signed_by(KEY.public_key)
    except PeerFault:
        is_taken = False
    assert not is_taken, what


@pytest.mark.needs("openssl")
def test_openssl_verifies_what_we_sign(tmp_path: Path) -> None:
    protected, _, payload, signature = cbor2.loads(sign_reading(READING, KEY)).value
    (tmp_path / "signed").write_bytes(cbor2.dumps(["Signature1", protected, EXTERNAL, payload]))
    half = len(signature) // 2
    r, s = int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
    (tmp_path / "signature").write_bytes(encode_dss_signature(r, s))
    (tmp_path / "key.pem").write_bytes(public_pem(KEY))
    command = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "signed"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "Verified OK")


def node(*words: str) -> str:
    command = [str(NODE), str(VERIFIER), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_we_verify_what_node_signs(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(private_pem(KEY))
    words = [READING.key_id.hex(), "meter-7", READING.topic, str(int(AT.timestamp())), "300", READING.payload.decode()]
    signed = parse_reading(base64.b64decode(node("sign", str(tmp_path / "key.pem"), *words)))
    assert signed.reading == READING
    assert signed.is_signed_by(KEY.public_key)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site")
    yield made
    made.authority.close()


def test_node_comes_to_what_we_come_to(site: Site, tmp_path: Path) -> None:
    meter, thief = site.authority.device("meter-7"), site.authority.device("meter-9")
    lines = [site.line(meter, 1), site.line(thief, 1)]
    site.later(hours=1)
    site.authority.revoke(thief)
    site.later(hours=1)
    second = site.reading(meter, 2)
    lines += [
        kept(second, site.clock.now()),
        kept(second, site.clock.now()),
        kept(second, site.clock.now(), topic="home/hall/power"),
        kept(site.reading(meter, 3).replace(b"412", b"999"), site.clock.now()),
        site.line(meter, 3, thing="meter-8"),
        site.line(meter, 3, key_id=hashlib.sha256(b"").digest()),
        site.line(thief, 2),
    ]
    bundle = site.bundle(lines)
    (tmp_path / "bundle").write_bytes(bundle)
    ours = [str(each.judgement.outcome) for each in verified(bundle, site)[1]]
    told = [
        json.loads(line)
        for line in node("verify", str(tmp_path / "bundle"), str(site.authority.root_file)).splitlines()
    ]
    assert [each["outcome"] for each in told] == ours
    assert set(ours) == {"verified", "replayed", "moved-topic", "altered", "moved-thing", "wrong-key", "revoked-key"}
    assert told[0] == {"outcome": "verified", "thing": "meter-7", "at": "2026-06-01T12:00:00.000Z", "payload": "412 W"}


def test_node_too_finds_what_was_changed(site: Site, tmp_path: Path) -> None:
    meter = site.authority.device("meter-7")
    bundle = site.bundle([site.line(meter, 1)])
    assert verified(bundle, site)[0].counts == {Outcome.VERIFIED: 1}
    for place in (b"checkpoint ", b"entry "):
        at = bundle.index(place) + len(place) + 60
        changed = bundle[:at] + (b"A" if bundle[at : at + 1] != b"A" else b"B") + bundle[at + 1 :]
        (tmp_path / "bundle").write_bytes(changed)
        command = [str(NODE), str(VERIFIER), "verify", str(tmp_path / "bundle"), str(site.authority.root_file)]
        assert subprocess.run(command, capture_output=True, timeout=30, check=False).returncode != 0
