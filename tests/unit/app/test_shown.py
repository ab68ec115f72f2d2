"""What doors show is read anew when a file changes, and what others have put there must be usable."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.unit.tls.certificates import SERVER, Held, authority, leaf

from troth.app.wiring.doors import Shown, keep_files_shown, stamps
from troth.app.wiring.parts import named_identities
from troth.errors import Fault, Kind
from troth.keys.file import FileKey, render_key
from troth.limits import SERVER_NAMES_MAX

CA = authority("A public CA")
PATIENCE_S = 10.0


def put(folder: Path, name: str, held: Held | None = None) -> Held:
    made = held or leaf(name, CA, SERVER, names=[name])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.key").write_bytes(render_key(FileKey(made.key), None))
    (folder / f"{name}.pem").write_bytes(made.certificate.public_bytes(Encoding.PEM))
    return made


def test_what_is_in_the_folder_is_shown(tmp_path: Path) -> None:
    assert named_identities(tmp_path / "names") == ()
    one, two = put(tmp_path / "names", "a.example.org"), put(tmp_path / "names", "b.example.org")
    found = named_identities(tmp_path / "names")
    assert [each.chain for each in found] == [one.chain, two.chain]
    assert [each.key.private_numbers() for each in found] == [one.key.private_numbers(), two.key.private_numbers()]  # type: ignore[union-attr] # P-256


def _nameless(folder: Path) -> None:
    put(folder, "a.example.org", leaf("a.example.org", CA, SERVER))


def _keyless(folder: Path) -> None:
    put(folder, "a.example.org")
    (folder / "a.example.org.key").unlink()


def _locked(folder: Path) -> None:
    held = put(folder, "a.example.org")
    (folder / "a.example.org.key").write_bytes(render_key(FileKey(held.key), b"secret"))


def _spoilt(folder: Path) -> None:
    put(folder, "a.example.org")
    (folder / "a.example.org.pem").write_text("nothing")


def _many(folder: Path) -> None:
    put(folder, "a.example.org")
    for number in range(SERVER_NAMES_MAX):
        shutil.copy(folder / "a.example.org.pem", folder / f"{number}.pem")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_nameless, "no DNS name"),
        (_keyless, "does not exist"),
        pytest.param(_locked, "passphrase", marks=pytest.mark.slow),
        (_spoilt, "cannot be shown"),
        (_many, "more than"),
    ],
)
def test_what_cannot_be_shown_is_named(tmp_path: Path, spoil: Callable[[Path], None], why: str) -> None:
    spoil(tmp_path)
    with pytest.raises(Fault, match=why) as refused:
        named_identities(tmp_path)
    assert refused.value.kind is Kind.MISCONFIGURED
    assert str(tmp_path) in refused.value.message


def test_a_changed_file_is_shown_once_and_again_until_it_can_be(tmp_path: Path) -> None:
    names = tmp_path / "names"
    put(names, "a.example.org")
    shown: asyncio.Queue[int] = asyncio.Queue()
    tried = asyncio.Queue[int]()

    def make() -> Callable[[], None]:
        tried.put_nowait(0)
        count = len(named_identities(names))
        return lambda: shown.put_nowait(count)

    async def main() -> None:
        keeping = asyncio.create_task(keep_files_shown(tmp_path, stamps(tmp_path), Shown(make), 0.005))
        async with asyncio.timeout(PATIENCE_S):
            # Not the first state: that is what the doors were opened with.
            held = leaf("b.example.org", CA, SERVER, names=["b.example.org"])
            (names / "b.example.org.pem").write_bytes(held.certificate.public_bytes(Encoding.PEM))
            await tried.get()
            await tried.get()
            assert shown.empty()
            (names / "b.example.org.key").write_bytes(render_key(FileKey(held.key), None))
            assert await shown.get() == 2
            (names / "b.example.org.pem").unlink()
            assert await shown.get() == 1
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(main())
