# Remakes the locks: what a device needs, what a server needs, what a developer needs, what the benchmarks stand
# beside, and what tests run in an environment of its own.
set -eu
lock() {
    out=$1
    shift
    uv pip compile pyproject.toml "$@" --universal --python-version 3.11 --generate-hashes --quiet \
        --no-header --no-annotate --no-emit-index-url --no-emit-package troth --output-file "requirements/$out.txt"
}
lock device --extra device
lock server --extra server --extra postgresql --extra pkcs11
lock dev --extra dev
lock bench --extra dev --extra bench
uv pip compile requirements/interop.in --universal --python-version 3.11 --generate-hashes --quiet \
    --no-header --no-annotate --no-emit-index-url --output-file requirements/interop.txt
