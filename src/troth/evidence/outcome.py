"""What can come of verifying a reading: one word for each, the same in denials, reports and files."""

from enum import StrEnum


class Outcome(StrEnum):
    """What a message that should be a reading is."""

    VERIFIED = "verified"
    """Signed by a key in force, for this topic and thing, and the next of its row."""
    MISSING = "missing"
    """The same, but readings are missing right before it."""
    REPEATED = "repeated"
    """The same, sent again since its acknowledgement was lost."""
    UNSIGNED = "unsigned"
    """It is no COSE_Sign1."""
    MALFORMED = "malformed"
    """It begins as a signed reading does, and is none."""
    WRONG_KEY = "wrong-key"
    """Its key is none of whoever should have signed it."""
    REVOKED_KEY = "revoked-key"
    """Its certificate was revoked."""
    INACTIVE_KEY = "inactive-key"
    """Its certificate was not in force: deactivated, on hold, not activated yet, or replaced by another."""
    OUTSIDE_VALIDITY = "outside-validity"
    """It was made before its certificate was valid, or after."""
    AHEAD_OF_TIME = "ahead-of-time"
    """It says that it was made after it came."""
    ALTERED = "altered"
    """The key that it names has not signed these bytes."""
    MOVED_TOPIC = "moved-topic"
    """It was signed for another topic."""
    MOVED_THING = "moved-thing"
    """It was signed for another thing."""
    REPLAYED = "replayed"
    """Its number came before."""
    REORDERED = "reordered"
    """Its number did not come before, and higher ones did."""

    @property
    def is_proven(self) -> bool:
        """Whether a message with this outcome counts as signed."""
        return self in _PROVEN


_PROVEN = frozenset({Outcome.VERIFIED, Outcome.MISSING, Outcome.REPEATED})

MEANING: dict[Outcome, str] = {
    Outcome.VERIFIED: "it is signed and in its place",
    Outcome.MISSING: "it is signed, and readings before it are missing",
    Outcome.REPEATED: "it is signed, and was sent once more",
    Outcome.UNSIGNED: "the payload is no signed reading",
    Outcome.MALFORMED: "the payload begins as a signed reading does and cannot be read as one",
    Outcome.WRONG_KEY: "the key that it names is none of this thing's",
    Outcome.REVOKED_KEY: "the certificate whose key signed it was revoked",
    Outcome.INACTIVE_KEY: "the certificate whose key signed it was not in force",
    Outcome.OUTSIDE_VALIDITY: "it was made outside of its certificate's validity",
    Outcome.AHEAD_OF_TIME: "it says that it was made later than it came",
    Outcome.ALTERED: "its signature is not that of its bytes",
    Outcome.MOVED_TOPIC: "it was signed for another topic",
    Outcome.MOVED_THING: "it was signed for another thing",
    Outcome.REPLAYED: "its sequence number came before",
    Outcome.REORDERED: "it came after readings with higher numbers",
}
"""What each says to people."""
