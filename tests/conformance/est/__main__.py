"""`python -m tests.conformance.est --url URL --root ROOT.pem ...`: check an EST server and print what came of it.

Needs Python and `cryptography`. Every option may stand in the environment instead: ``--tls-root`` as ``EST_TLS_ROOT``.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from tests.conformance.est.checking import Check, Outcome, Verdict, perform
from tests.conformance.est.checks import CHECKS
from tests.conformance.est.target import Offer, Settings, Target, credentials_of
from tests.conformance.est.wire import Credentials, Wire

_OPTIONS = {
    "url": "https://HOST[:PORT][/PATH] of the server; without a path it is /.well-known/est",
    "root": "PEM file of the CA's root, which the server's own certificate has to lead to",
    "tls-root": "PEM file of another root for the server's own certificate",
    "user": "user of HTTP Basic, where the same one may enroll again and again",
    "password-file": "file with the password that goes with it",
    "credentials-command": "shell command that prints a user and a password on two lines, run for each new request",
    "waiting-command": "the same for a request that waits for a person (offer: waiting)",
    "offers": "what the server offers, with commas between: " + ", ".join(Offer),
    "waiting-label": "the label below which it waits",
    "label": "a label that the server serves (offer: label)",
    "subject": "subject of requests after RFC 4514, by default CN={user}",
    "only": "names of the checks to perform, with commas between",
}


def main() -> int:
    """Perform the checks. 0: all passed; 1: some did not; 2: a wrong command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.est", description=__doc__)
    for name, says in _OPTIONS.items():
        parser.add_argument(f"--{name}", default=os.environ.get(f"EST_{name.upper().replace('-', '_')}"), help=says)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write what came of each check to FILE")
    parser.add_argument("--list", action="store_true", help="list the checks, and perform none")
    options = parser.parse_args()
    if options.list:
        for each in CHECKS:
            needs = f"   [{', '.join(sorted(each.needs))}]" if each.needs else ""
            print(f"{each.name:<34} {each.says}   {each.clause}{needs}")
        return 0
    try:
        settings = _settings(options)
        with Wire(options.url, Path(options.tls_root or options.root)) as wire:
            outcomes = list(_told(perform(_chosen(options.only), Target(settings, wire))))
    except (ValueError, OSError) as error:
        parser.error(str(error))
    if options.json is not None:
        told = [{"check": each.check.name, "clause": each.check.clause, "verdict": each.verdict.value,
                 "reason": each.reason} for each in outcomes]  # fmt: skip
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    passed = sum(each.verdict is Verdict.PASSED for each in outcomes)
    print(f"{passed} of {len(outcomes)} checks passed; {len(CHECKS) - len(outcomes)} are of what is not offered")
    return 0 if passed == len(outcomes) else 1


def _told(outcomes: Iterable[Outcome]) -> Iterable[Outcome]:
    for each in outcomes:
        print(f"{each.verdict.value:<8} {each.check.name:<34} {each.check.clause}", flush=True)
        if each.reason:
            print(f"         {each.reason}", flush=True)
        yield each


def _chosen(only: str | None) -> Iterable[Check]:
    names = {each.name for each in CHECKS}
    wanted = names if only is None else set(only.split(","))
    if not wanted <= names:
        raise ValueError(f"there is no check {sorted(wanted - names)[0]}")
    return [each for each in CHECKS if each.name in wanted]


def _settings(options: argparse.Namespace) -> Settings:
    """Read the options. Raises `ValueError`, `OSError`."""
    if not options.url or not options.root:
        raise ValueError("--url and --root say which server is meant, and whose")
    if options.credentials_command:
        credentials = credentials_of(options.credentials_command)
    elif options.user and options.password_file:
        same = Credentials(options.user, Path(options.password_file).read_text().strip())
        credentials = lambda: same  # noqa: E731
    else:
        raise ValueError("--credentials-command, or --user and --password-file, say who may enroll")
    offers = frozenset(Offer(each) for each in (options.offers or "").split(",") if each)
    if Offer.LABEL in offers and not options.label:
        raise ValueError("the offer label needs --label")
    if Offer.WAITING in offers and not options.waiting_command:
        raise ValueError("the offer waiting needs --waiting-command")
    pattern = options.subject or "CN={user}"
    return Settings(
        x509.load_pem_x509_certificate(Path(options.root).read_bytes()),
        credentials,
        offers,
        options.label,
        credentials_of(options.waiting_command) if options.waiting_command else None,
        options.waiting_label,
        lambda user: x509.Name.from_rfc4514_string(pattern.replace("{user}", user)),
    )


if __name__ == "__main__":
    sys.exit(main())
