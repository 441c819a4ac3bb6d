# shellcheck shell=bash
# install_missing PROGRAM=PACKAGE…: installs the packages of Debian and Ubuntu whose program is not on PATH. To be read
# by other scripts.

say() { printf '%s\n' "$*" >&2; }

install_missing() {
    local pair missing=() as_root=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} = 0 ] && return

    [ "$(id -u)" = 0 ] || as_root=(sudo -n)
    if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
        say "The tests need these on PATH, and they cannot be installed from here: ${missing[*]}"
        say "Install them with the system's package manager, for example: sudo apt-get install ${missing[*]}"
        return 1
    fi

    say "Installing for the tests: ${missing[*]}"
    # A package would start its server, which nothing here needs: the tests start their own on free ports.
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod +x "$policy"
        # shellcheck disable=SC2064 # as they are now
        trap "${as_root[*]} rm -f $policy" EXIT
    fi
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
