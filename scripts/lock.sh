# Remakes the locks from pyproject.toml: what a device needs, what a server needs, what a developer needs, and
# what the benchmarks stand beside.
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
