"""Small logs, made as the journal makes them, and edited as an attacker would."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from troth.evidence.checkpoint import Checkpoint, SignedCheckpoint, parse_checkpoint, sign_checkpoint, verifier_key
from troth.evidence.entry import Entry, render_entry
from troth.evidence.merkle import Frontier, leaf_hash
from troth.keys.file import FileKey, generate
from troth.x509.algorithms import KeyAlgorithm

ORIGIN = "home.example/journal"
AT = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
KEY = generate(KeyAlgorithm.ED25519)
VERIFIER = verifier_key(ORIGIN, KEY)


@dataclass
class Log:
    """Rows of a log: each entry's bytes, and the nodes that are stored with it."""

    frontier: Frontier = field(default_factory=Frontier)
    rows: list[tuple[bytes, bytes]] = field(default_factory=list)

    def add(self, subject: str, **data: object) -> None:
        """Add an entry."""
        number, head = self.frontier.size + 1, self.frontier.root()
        body = render_entry(Entry(number, AT, "operator:test", "thing.created", subject, data, "", head))
        self.rows.append((body, self.frontier.append(leaf_hash(body))))

    def sign(self, key: FileKey = KEY, origin: str = ORIGIN) -> SignedCheckpoint:
        """Return a signed checkpoint of the log as it is."""
        head = Checkpoint(origin, self.frontier.size, self.frontier.root())
        return parse_checkpoint(sign_checkpoint(head, key))


def log_of(count: int, *edited: int) -> Log:
    """Return a log of `count` entries; those numbered in `edited` say something else, from their beginning on."""
    log = Log()
    for number in range(1, count + 1):
        log.add(f"lamp-{number}", edited=number in edited)
    return log
