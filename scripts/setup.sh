# Prepares $VENV from requirements/dev.txt, every file checked against its hash. Asks for nothing but Python and its venv.
set -eu
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}

if ! command -v "$PYTHON" >/dev/null 2>&1; then
    echo "troth: no $PYTHON here. On Debian: apt install python3 python3-venv" >&2
    exit 1
fi
if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "troth: Python 3.11 or newer is needed, this is $("$PYTHON" -V). Set PYTHON=... to a newer one" >&2
    exit 1
fi
if ! "$PYTHON" -c 'import venv, ensurepip' >/dev/null 2>&1; then
    echo "troth: this Python has no venv. On Debian: apt install python3-venv" >&2
    exit 1
fi

rm -f "$VENV/.ready"
if [ ! -x "$VENV/bin/python" ]; then
    "$PYTHON" -m venv "$VENV"
fi
echo "troth: installing the locked packages into $VENV" >&2
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
    --require-hashes --only-binary :all: -r requirements/dev.txt
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
    --no-deps --no-build-isolation --no-index -e .
: > "$VENV/.ready"
