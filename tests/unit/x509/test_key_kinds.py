"""Which TLS stack verifies a chain of which kind of key: docs/profiles.md says it, and this finds it so."""

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from OpenSSL import crypto
from tests.fixtures.hierarchy import Maker

from troth.clock import SystemClock
from troth.keys.file import generate
from troth.x509.algorithms import KeyAlgorithm, algorithm_of
from troth.x509.certificates import render_chain
from troth.x509.lint import lint
from troth.x509.profiles import ExtendedUse, Profile
from troth.x509.samples import sample_public_key
from troth.x509.verify import verify_chain

PAGE = (Path(__file__).parents[3] / "docs" / "profiles.md").read_text()
# The larger RSA keys take seconds to make, and are to each stack what the smallest is.
TRIED = [each for each in KeyAlgorithm if each not in {KeyAlgorithm.RSA3072, KeyAlgorithm.RSA4096}]


def table() -> dict[str, dict[str, bool]]:
    """Return what the page says: kind of key -> stack -> whether it verifies."""
    head, *rows = re.findall(r"^\|(.*)\|$", PAGE.partition("## Which key")[2].partition("\n## ")[0], re.M)
    stacks = [cell.strip() for cell in head.split("|")][2:]
    cells = ([cell.strip() for cell in row.split("|")] for row in rows[1:])
    return {kind: dict(zip(stacks, (word == "yes" for word in words), strict=True)) for kind, _, *words in cells}


def _run(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0


def by_openssl(folder: Path) -> bool:
    chain = ("-CAfile", f"{folder}/root.pem", "-untrusted", f"{folder}/issuer.pem", f"{folder}/leaf.pem")
    return _run("openssl", "verify", "-x509_strict", "-purpose", "sslclient", *chain)


def by_gnutls(folder: Path) -> bool:
    return _run(
        "certtool", "--verify", "--infile", f"{folder}/chain.pem", "--load-ca-certificate", f"{folder}/root.pem"
    )


def by_nss(folder: Path) -> bool:
    db = ("-d", f"sql:{folder}")
    _run("certutil", "-N", *db, "--empty-password")
    for name, trust in (("root", "CT,C,C"), ("issuer", ",,"), ("leaf", ",,")):
        _run("certutil", "-A", *db, "-n", name, "-t", trust, "-a", "-i", f"{folder}/{name}.pem")
    return _run("certutil", "-V", *db, "-n", "leaf", "-u", "C")


def by_our_servers(folder: Path) -> bool:
    def load(name: str) -> crypto.X509:
        return crypto.load_certificate(crypto.FILETYPE_PEM, (folder / f"{name}.pem").read_bytes())

    store = crypto.X509Store()
    store.add_cert(load("root"))
    try:
        crypto.X509StoreContext(store, load("leaf"), [load("issuer")]).verify_certificate()
    except crypto.X509StoreContextError:
        return False
    return True


STACKS: Mapping[str, Callable[[Path], bool]] = {
    "OpenSSL 3.0": by_openssl,
    "GnuTLS 3.7": by_gnutls,
    "NSS 3.87": by_nss,
    "OpenSSL 4.0 (our servers)": by_our_servers,
}


@pytest.fixture(scope="module", params=TRIED)
def maker(request: pytest.FixtureRequest, profiles: dict[str, Profile]) -> Maker:
    """A hierarchy of one kind of key, made now."""
    kind: KeyAlgorithm = request.param
    # RSA with 2048 bits is not for CAs that live for years; here it stands for RSA.
    of_kind = {name: replace(profile, algorithms=(kind,)) for name, profile in profiles.items()}
    key = generate(kind)
    return Maker(of_kind, SystemClock().now(), kind, [key, key, key, key])


@pytest.mark.slow
@pytest.mark.needs("openssl", "certtool", "certutil")
def test_stacks_take_what_the_page_says(maker: Maker, tmp_path: Path) -> None:
    device = maker.device(key=maker.devices.key)
    parts = {"leaf": [device], "issuer": [maker.devices], "root": [maker.root], "chain": [device, maker.devices]}
    for name, signed in parts.items():
        (tmp_path / f"{name}.pem").write_bytes(render_chain(each.certificate for each in signed))
    found = {stack: verifies(tmp_path) for stack, verifies in STACKS.items()}
    assert found == table()[device.key.algorithm]


def test_the_page_tells_of_every_kind_and_stack() -> None:
    assert table().keys() == set(KeyAlgorithm)
    assert all(row.keys() == STACKS.keys() for row in table().values())
    assert table()["RSA-2048"] == table()["RSA-3072"] == table()["RSA-4096"]


def test_our_own_steps_take_every_kind(maker: Maker) -> None:
    device = maker.device(key=maker.devices.key)
    found = lint(device.certificate, maker.profiles["device"], maker.devices.certificate)
    assert found == ()
    chain = [device.certificate, maker.devices.certificate]
    root = maker.root.certificate
    assert verify_chain(chain, [root], at=maker.now, use=ExtendedUse.CLIENT_AUTH) == root


@pytest.mark.parametrize("algorithm", KeyAlgorithm)
def test_a_sample_key_is_of_its_kind_and_always_the_same(algorithm: KeyAlgorithm) -> None:
    assert algorithm_of(sample_public_key(algorithm)) is algorithm
    assert sample_public_key(algorithm) == sample_public_key(algorithm)
