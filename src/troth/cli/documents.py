"""The files that ``troth policy`` is given: documents, requests and cases, read within bounds. ``-`` is stdin."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from troth.errors import Fault, Kind
from troth.limits import DEFAULT, POLICY_DOCUMENT_CHARS_MAX, POLICY_REQUESTS_BYTES_MAX, Limits
from troth.policy.attachment import NamedPolicy
from troth.policy.document import parse_document
from troth.policy.questions import Question, read_questions
from troth.policy.situation import realm_of
from troth.policy.statement import Document

STDIN: Final = "-"
_CHARACTER_BYTES_MAX: Final = 4

FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="The policy document in JSON; - is stdin.")]
FilesArgument = Annotated[
    list[str], typer.Argument(metavar="FILE", help="Policy documents in JSON, which apply together; - is stdin.")
]


def read_document_text(file: str) -> str:
    """Return the text of a document that is yet to be parsed. Raises `Fault`: misconfigured, malformed."""
    # One byte more than can be a document, so that a longer file is refused and not cut.
    return _read(file, POLICY_DOCUMENT_CHARS_MAX * _CHARACTER_BYTES_MAX + 1)


def read_document(file: str, limits: Limits = DEFAULT) -> Document:
    """Return the document in a file. Raises `Fault`, with the file in its message."""
    text = read_document_text(file)
    try:
        return parse_document(text, limits)
    except Fault as fault:
        raise Fault(fault.kind, f"{_called(file)}: {fault.message}", hint=fault.hint) from fault


def read_policies(files: Sequence[str]) -> tuple[NamedPolicy, ...]:
    """Return the documents in files as policies of one certificate, each called as its file is. Raises `Fault`."""
    return tuple(NamedPolicy(_called(file), read_document(file)) for file in files)


def read_requests(file: str, policies: Sequence[NamedPolicy]) -> tuple[Question, ...]:
    """Return the requests in a file; what they do not say of ARNs is as the policies have it. Raises `Fault`."""
    text = read_bounded_text(file)
    try:
        return read_questions(text, realm_of(policy.document for policy in policies))
    except Fault as fault:
        raise Fault(fault.kind, f"{_called(file)}: {fault.message}", hint=fault.hint) from fault


def read_bounded_text(file: str) -> str:
    """Return the text of a file of requests or cases. Raises `Fault`: misconfigured, malformed, too large."""
    text = _read(file, POLICY_REQUESTS_BYTES_MAX + 1)
    if len(text) > POLICY_REQUESTS_BYTES_MAX:
        raise Fault(Kind.TOO_LARGE, f"{_called(file)} has more than {POLICY_REQUESTS_BYTES_MAX} bytes", hint="split it")
    return text


def require_one_stdin(*files: str | None) -> None:
    """Return if at most one of the files is stdin. Raises `Fault` (malformed)."""
    if files.count(STDIN) > 1:
        raise Fault(Kind.MALFORMED, "stdin can be read once only", hint="write - for one file, and name the others")


def _read(file: str, bytes_max: int) -> str:
    try:
        if file == STDIN:
            raw = sys.stdin.buffer.read(bytes_max)
        else:
            with Path(file).open("rb") as opened:
                raw = opened.read(bytes_max)
        return raw.decode("utf-8")
    except OSError as error:
        raise Fault(Kind.MISCONFIGURED, f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Fault(Kind.MALFORMED, f"{_called(file)} is not UTF-8 text", hint="save it as UTF-8") from error


def _called(file: str) -> str:
    return "stdin" if file == STDIN else file
