"""Settings of OpenSSL itself, for a process that opens doors, by config(5). Loads no part of it: it must come first."""

import os
from pathlib import Path


def configure_openssl() -> None:
    """Have OpenSSL, when it is first loaded into this process, read what stands in ``openssl.cnf`` beside this file.

    A process that is given an ``OPENSSL_CONF`` of its own keeps that; its TLS 1.3 servers then send two tickets that
    nobody can use, and all else is the same.
    """
    os.environ.setdefault("OPENSSL_CONF", str(Path(__file__).with_name("openssl.cnf")))
