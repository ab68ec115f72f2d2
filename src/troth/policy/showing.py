"""Text that somebody else chose, as messages and logs may show it. Knows nothing of what it means."""

from typing import Final

SHOWN_CHARS: Final = 120


def shown(text: str, chars: int = SHOWN_CHARS) -> str:
    """Return `text` cut to `chars` characters, with nothing in it that is not printable."""
    text = text if len(text) <= chars else f"{text[:chars]}..."
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
