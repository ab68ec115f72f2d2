# Prepares $VENV/interop from requirements/interop.txt: third-party programs that tests run beside Troth.
set -eu
VENV=${VENV:-.venv}
if [ ! -x "$VENV/interop/bin/python" ]; then
    "$VENV/bin/python" -m venv "$VENV/interop"
fi
"$VENV/interop/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
    --require-hashes --only-binary :all: -r requirements/interop.txt
: > "$VENV/interop/.ready"
