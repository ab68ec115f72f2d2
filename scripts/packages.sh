# Installs the system programs that only tests need, where that is asked for: as root, with CI=true or APT=1.
# Otherwise says nothing: each test that lacks one is listed as "not run".
set -eu
list=$1
if [ "${CI:-}" != true ] && [ "${APT:-}" != 1 ]; then
    exit 0
fi
missing=""
for package in $(sed -e 's/#.*//' "$list" | awk 'NF { print $2 }' | sort -u); do
    if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then
        missing="$missing $package"
    fi
done
if [ -z "$missing" ]; then
    exit 0
fi
if [ "$(id -u)" != 0 ]; then
    echo "troth: only root can install:$missing" >&2
    exit 1
fi
echo "troth: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# Nothing that is installed here may start a service of its own.
policy=/usr/sbin/policy-rc.d
made=""
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
    made=yes
fi
trap '[ -z "$made" ] || rm -f "$policy"' EXIT
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
