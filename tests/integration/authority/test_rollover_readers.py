"""While two roots are in force every reader follows both, whichever it trusts; and follows neither a stranger's nor one
that is gone. OpenSSL, GnuTLS, NSS and our own verifier."""

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from troth.authority.ceremony import Ceremony
from troth.authority.rollover import retire, roll_over
from troth.clock import SystemClock
from troth.errors import Fault
from troth.registry.issuers import Issuer, get_issuer_named
from troth.registry.trust import path_shown
from troth.store.read import read
from troth.testing.authority import ACTOR, TestAuthority
from troth.x509.certificates import certificate_id, render_chain
from troth.x509.profiles import ExtendedUse
from troth.x509.verify import verify_chain

Chain = Sequence[x509.Certificate]
Reader = Callable[[Chain, x509.Certificate], bool]


def ourselves(chain: Chain, anchor: x509.Certificate) -> bool:
    try:
        verify_chain(chain, [anchor], at=SystemClock().now(), use=ExtendedUse.SERVER_AUTH)
    except Fault:
        return False
    return True


def openssl(chain: Chain, anchor: x509.Certificate) -> bool:
    with tempfile.TemporaryDirectory() as name:
        files = written(Path(name), chain, anchor)
        return succeeds(
            "openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-no-CApath", "-CAfile", files["anchor"],
            "-untrusted", files["chain"], files["leaf"],
        )  # fmt: skip


def gnutls(chain: Chain, anchor: x509.Certificate) -> bool:
    with tempfile.TemporaryDirectory() as name:
        files = written(Path(name), chain, anchor)
        return succeeds(
            "certtool", "--verify", "--verify-hostname", "home.example",
            "--load-ca-certificate", files["anchor"], "--infile", files["chain"],
        )  # fmt: skip


def nss(chain: Chain, anchor: x509.Certificate) -> bool:
    with tempfile.TemporaryDirectory() as name:
        files = written(Path(name), chain, anchor)
        database = f"sql:{name}"
        assert succeeds("certutil", "-N", "-d", database, "--empty-password")
        assert succeeds("certutil", "-A", "-d", database, "-n", "anchor", "-t", "CT,C,C", "-i", files["anchor"])
        parts = [file for each, file in files.items() if each.isdigit()]
        return succeeds("vfychain", "-d", database, "-pp", "-u", "1", "-a", *parts)


READERS = {
    "ourselves": pytest.param(ourselves, id="ourselves"),
    "openssl": pytest.param(openssl, id="openssl", marks=pytest.mark.needs("openssl")),
    "gnutls": pytest.param(gnutls, id="gnutls", marks=pytest.mark.needs("certtool")),
    "nss": pytest.param(nss, id="nss", marks=pytest.mark.needs("vfychain", "certutil")),
}
every_reader = pytest.mark.parametrize("reader", READERS.values())


def written(folder: Path, chain: Chain, anchor: x509.Certificate) -> dict[str, str]:
    """Write what readers take: the chain whole and one by one, its leaf, and the anchor."""
    contents = {"anchor": render_chain([anchor]), "chain": render_chain(list(chain)), "leaf": render_chain([chain[0]])}
    contents |= {str(number): each.public_bytes(Encoding.PEM) for number, each in enumerate(chain)}
    for name, content in contents.items():
        (folder / f"{name}.pem").write_bytes(content)
    return {name: str(folder / f"{name}.pem") for name in contents}


def succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0


class Site:
    """A site in the midst of a rollover: two roots, and a server certified under each."""

    def __init__(self, folder: Path) -> None:
        self.authority = TestAuthority(folder)
        self.ceremony = Ceremony(
            self.authority.db, self.authority.clock, self.authority.public_url, self.authority.cabinet, ACTOR
        )
        self.leaves = {"old": self.authority.server("home.example").certificate}
        for line in ("root", "servers"):
            roll_over(self.ceremony, site="home.example", line=line, names=())
        self.leaves["new"] = self.authority.server("home.example").certificate
        self.roots = {"old": self.named("root-1").certificate, "new": self.named("root-2").certificate}

    def named(self, name: str) -> Issuer:
        with read(self.authority.db) as connection:
            return get_issuer_named(connection, name)

    def chain(self, which: str) -> list[x509.Certificate]:
        """Return what a server certified under that root shows."""
        issuer = self.named("servers-1" if which == "old" else "servers-2")
        with read(self.authority.db) as connection:
            return [self.leaves[which], *path_shown(connection, issuer.issuer_id)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


@every_reader
@pytest.mark.parametrize("shown", ["old", "new"])
@pytest.mark.parametrize("trusted", ["old", "new"])
def test_whoever_trusts_either_root_follows_both(site: Site, reader: Reader, trusted: str, shown: str) -> None:
    chain = site.chain(shown)
    assert len(chain) == 3
    assert reader(chain, site.roots[trusted])
    # It is the cross certificate that leads from the one to the other, and nothing else.
    assert reader(chain[:-1], site.roots[trusted]) is (trusted == shown)


@every_reader
def test_nobody_follows_to_a_stranger(site: Site, reader: Reader, tmp_path: Path) -> None:
    with TestAuthority(tmp_path) as stranger:
        assert not reader(site.chain("new"), stranger.root)
        assert not reader([site.leaves["new"], *site.chain("old")[1:]], site.roots["old"])


@every_reader
def test_once_the_old_root_is_retired_nothing_leads_to_it(reader: Reader, tmp_path: Path) -> None:
    site = Site(tmp_path)
    for line in ("devices", "operators"):
        roll_over(site.ceremony, site="home.example", line=line, names=())
    for name in ("devices-1", "servers-1", "operators-1", "root-1"):
        retire(replace(site.ceremony, why="the end"), name, force=name)
    chain = site.chain("new")
    assert len(chain) == 2
    assert reader(chain, site.roots["new"])
    assert not reader(chain, site.roots["old"])
    assert certificate_id(site.roots["old"]) not in {certificate_id(each) for each in chain}
