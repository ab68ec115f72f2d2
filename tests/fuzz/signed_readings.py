"""Any bytes as a signed reading, the line of one, a bundle or a stored window: a value as it was, or a PeerFault."""

import hashlib
import io
from contextlib import suppress
from typing import Final

from cryptography import x509
from tests.unit.evidence.logs import VERIFIER, log_of
from tests.unit.evidence.readings import KEY, NOON, READING, SIGNED, signer

from troth.errors import PeerFault
from troth.evidence.bundle import BundleHead, ProvenEntry, Reader, Writer
from troth.evidence.examination import Examination
from troth.evidence.judging import Judge
from troth.evidence.raw import RawReading, parse_raw, render_raw
from troth.evidence.reading import parse_reading, sign_reading
from troth.evidence.status import Proven, prove
from troth.evidence.window import Window, parse_window

_LOG: Final = log_of(3)
_LINE: Final = render_raw(RawReading(READING.topic, SIGNED, NOON))
_SIGNER: Final = signer()
_PROVEN: Final = Proven({_SIGNER.certificate_id: _SIGNER}, {}, 0, 3)


def _bundle() -> bytes:
    out = io.BytesIO()
    writer = Writer(out.write)
    entry = ProvenEntry(0, (bytes(32),), _LOG.rows[0][0])
    writer.head(BundleHead(VERIFIER, _LOG.sign(), (b"issuer",), (b"certificate",), (entry,), (b"crl",)))
    writer.reading(_LINE)
    writer.end()
    return out.getvalue()


SEEDS: Final = (SIGNED, _LINE, _bundle(), Window().render() + bytes(16))
WORDS: Final = (
    bytes.fromhex("d284"),
    bytes.fromhex("a401260458"),
    bytes.fromhex("0fa302"),
    bytes.fromhex("3a00010000"),
    bytes.fromhex("5b7fffffffffffffff"),
    bytes.fromhex("bf"),
    b"\xa0",
    b"entry 0 - ",
    b"issuer ",
    b"readings\n",
    b"end 1 ",
    b'{"topic":"a","payload_base64":"',
    b'"received":"9999-12-31T23:59:59+23:59"',
    b"\xff",
    b"\n",
)


def check(data: bytes) -> None:
    """Read the bytes as each of them."""
    with suppress(PeerFault):
        signed = parse_reading(data)
        # What is read says just what was written: signed anew it is the same but for the signature.
        assert sign_reading(signed.reading, KEY)[:-64] == data[:-64] or signed.algorithm != -7
    with suppress(PeerFault):
        raw = parse_raw(data)
        assert parse_raw(render_raw(raw)) == raw
        Judge(_PROVEN.signers, {}).judge(raw.payload, raw.topic, raw.received)
    with suppress(PeerFault):
        assert len(parse_window(data).render()) <= len(data)
    with suppress(PeerFault):
        _read(data)
    with suppress(PeerFault):
        # As whoever forges one sees to it that its last line is right.
        _read(data + b"end 0 %s\n" % hashlib.sha256(data).hexdigest().encode())


def _read(data: bytes) -> None:
    reader = Reader(io.BytesIO(data).readline)
    head = reader.head()
    with suppress(PeerFault):
        prove(head, list[x509.Certificate](), VERIFIER)
    for _ in Examination(_PROVEN).take(reader.readings()):
        pass
