#!/usr/bin/env bash
# Installs the servers that the tests start for themselves; does nothing when they are there.
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }

# A program, and the package of Debian and Ubuntu that has it.
declare -A package=(
    [redis-server]=redis-server
    [/usr/lib/rabbitmq/bin/rabbitmq-server]=rabbitmq-server
)

missing=()
for program in "${!package[@]}"; do
    command -v "$program" >/dev/null || missing+=("${package[$program]}")
done
[ ${#missing[@]} = 0 ] && exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
    as_root=(sudo -n)
fi
if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
    say "The tests need these on PATH, and they cannot be installed from here: ${missing[*]}"
    say "Install them with the system's package manager, for example: sudo apt-get install ${missing[*]}"
    exit 1
fi

say "Installing for the tests: ${missing[*]}"
# A package would start its server, which nothing here needs: the tests start their own on free ports.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod +x "$policy"
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
