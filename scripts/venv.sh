#!/usr/bin/env bash
# Makes .venv ready with everything the demo and the tests need; does nothing when it already is.
# PYTHON chooses the interpreter; VENV the folder.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${VENV:-.venv}
stamp=$venv/lorapod.stamp

say() { printf '%s\n' "$*" >&2; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        new_enough "$PYTHON" && { command -v "$PYTHON"; return; }
        say "PYTHON=$PYTHON does not run or is older than 3.11; name a newer one."
        return 1
    fi
    for candidate in python3 python3.13 python3.12 python3.11 python3.14; do
        if new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    say "lorapod needs Python 3.11 or newer and found none on PATH."
    say "Debian 12, Ubuntu 24.04 and later have it: apt-get install python3 python3-venv. Or name one: make venv PYTHON=/path/to/python3"
    return 1
}

# Debian and Ubuntu ship venv's ensurepip as a package of its own.
ensure_pip_can_be_made() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null && return
    local package
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "Installing $package (this Python has no ensurepip)"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package" >&2 && return
    fi
    say "$1 cannot make virtual environments: install $package (sudo apt-get install $package) and run make again."
    return 1
}

# What the environment is made from: dependencies, lock and version, not the tools' settings; and the folder, because
# a venv cannot move.
wanted() {
    "$1" - "$PWD" <<'PYTHON'
import hashlib, pathlib, sys, tomllib

tomls = [tomllib.loads(pathlib.Path(name).read_text("utf-8")) for name in ("pyproject.toml", "client/pyproject.toml")]
keys = [(toml["build-system"], toml["project"], toml["tool"]["hatch"]) for toml in tomls]
texts = [pathlib.Path(name).read_text("utf-8") for name in ("requirements.lock", "Backend/lorapod/__init__.py")]
print(sys.argv[1], "%d.%d" % sys.version_info[:2], hashlib.sha256(repr((keys, texts)).encode()).hexdigest(), sep="\n")
PYTHON
}

# A ready environment decides by its own Python, unless the caller names another.
if [ -z "${PYTHON:-}" ] && [ -x "$venv/bin/python" ] && [ -f "$stamp" ]; then
    [ "$(wanted "$venv/bin/python" 2>/dev/null)" = "$(cat "$stamp")" ] && exit 0
fi

# Two makes at once: the second waits, and then finds it ready.
if command -v flock >/dev/null; then
    exec 9<pyproject.toml
    flock 9
fi

python=$(find_python)
want=$(wanted "$python")
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && exit 0

# Only the lock or the dependencies changed: install over it. Anything else (moved, other Python, half made): afresh.
if ! { [ -f "$stamp" ] && [ "$(head -n 2 "$stamp")" = "$(head -n 2 <<<"$want")" ]; }; then
    ensure_pip_can_be_made "$python"
    say "Making $venv with $("$python" -V)"
    "$python" -m venv --clear "$venv"
fi
say "Installing into $venv (the first time: about two minutes and 1.5 GB)"
"$venv/bin/python" -m pip install -qq --disable-pip-version-check \
    --constraint requirements.lock --editable '.[builtin,redis,parquet,notify,report,dev]'
printf '%s\n' "$want" >"$stamp"
