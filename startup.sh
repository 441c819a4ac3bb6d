#!/usr/bin/env bash
# Starts a container: finds the volume, lays it out, starts ComfyUI and SwarmUI where wished, and then becomes the
# handler that HANDLER names. `startup.sh healthy` says whether what was started is well.
# Every variable is told in docs/reference/container.md.
set -euo pipefail

app=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
run=${LORAPOD_RUN_PATH:-${TMPDIR:-/tmp}/lorapod-run}
python=${LORAPOD_PYTHON:-}
servers=()

say() { printf '%s startup: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" >&2; }

die() {
    say "$*"
    stop_servers
    exit 1
}

is_true() {
    case "${1,,}" in
        1 | true | yes | on) return 0 ;;
        '' | 0 | false | no | off) return 1 ;;
        *) die "$1 is neither true nor false" ;;
    esac
}

find_python() {
    if [ -z "$python" ]; then
        for python in /opt/lorapod/bin/python "$(command -v python3)"; do
            [ -x "$python" ] && break
        done
    fi
    [ -x "$python" ] || die "there is no Python: set LORAPOD_PYTHON to the interpreter that has lorapod"
}

# --- The volume ---------------------------------------------------------------------------------------------------

# Serverless workers have the volume at /runpod-volume, pods at /workspace.
find_volume() {
    local named=${VOLUME_PATH:-${NETWORK_VOLUME_PATH:-${WORKSPACE_PATH:-}}} candidate
    if [ -n "$named" ]; then
        [ -d "$named" ] || die "the volume $named is not there: attach a network volume, or correct VOLUME_PATH"
        printf '%s\n' "$named"
        return
    fi
    for candidate in /runpod-volume /workspace; do
        if mountpoint -q "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    say "no network volume is attached: what is trained here is lost with this container"
    mkdir -p /workspace
    printf '%s\n' /workspace
}

lay_out() {
    local folder
    for folder in training_data models output logs processes workflows; do
        mkdir -p "$WORKSPACE_PATH/$folder" || die "$WORKSPACE_PATH cannot be written"
    done
}

# Models and caches lie on the volume, so that the next worker has them; a token is passed on, and never printed.
set_hub() {
    export HF_HOME=${HF_HOME:-$volume/.cache/huggingface}
    export HF_TOKEN=${HF_TOKEN:-${HUGGINGFACE_API_TOKEN:-${HUGGING_FACE_HUB_TOKEN:-}}}
    [ -n "$HF_TOKEN" ] || unset HF_TOKEN
}

# --- The user -----------------------------------------------------------------------------------------------------

# Root only where the volume is root's own, as RunPod mounts it; else this script begins again as LORAPOD_USER.
leave_root() {
    local user=${LORAPOD_USER:-lorapod} become
    if [ "$(id -u)" != 0 ] || ! id -u "$user" >/dev/null 2>&1; then return; fi
    become=(setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups --inh-caps=-all --no-new-privs)
    if "${become[@]}" test -w "$WORKSPACE_PATH"; then
        exec "${become[@]}" env HOME="$(getent passwd "$user" | cut -d: -f6)" "$0"
    fi
    say "the volume is writable for root alone, so the worker stays root"
}

# --- Installing onto the volume -----------------------------------------------------------------------------------

# install_once FOLDER COMMAND…: run COMMAND once for all workers of the volume. It is done when its mark is there; a
# worker that dies on the way lets go of the lock, and the next one begins anew.
install_once() {
    local folder=$1 mark=$1.installed lock
    shift
    [ -e "$mark" ] && return
    mkdir -p "$(dirname "$folder")"
    lock=$folder.lock
    exec {guard}>"$lock"
    if ! flock -n "$guard"; then
        say "another worker installs $folder; waiting"
        flock -w "${STARTUP_TIMEOUT:-1800}" "$guard" || die "$folder was not installed within STARTUP_TIMEOUT"
    fi
    if [ ! -e "$mark" ]; then
        say "installing $folder (once for this volume)"
        rm -rf "$folder"
        "$@" "$folder" {guard}>&- || die "$folder could not be installed; its output is above"
        date -u +%Y-%m-%dT%H:%M:%SZ >"$mark.$$" && mv "$mark.$$" "$mark"
    fi
    exec {guard}>&-
}

# clone REPOSITORY COMMIT FOLDER: the commit and nothing else; its hash is its checksum.
clone() {
    git init -q "$3"
    git -C "$3" fetch -q --depth 1 "$1" "$2"
    git -C "$3" checkout -q --detach FETCH_HEAD
}

install_comfyui() {
    clone "${COMFYUI_REPOSITORY:-https://github.com/Comfy-Org/ComfyUI.git}" "$COMFYUI_COMMIT" "$1"
    "$python" -m venv "$1/.venv"
    "$1/.venv/bin/python" -m pip install -q --no-cache-dir -r "$1/requirements.txt"
}

install_swarmui() {
    clone "${SWARMUI_REPOSITORY:-https://github.com/mcmonkeyprojects/SwarmUI.git}" "$SWARMUI_COMMIT" "$1"
    (cd "$1" && dotnet build src/SwarmUI.csproj --configuration Release -o src/bin/live_release &&
        git rev-parse HEAD >src/bin/last_build)
}

# --- ComfyUI and SwarmUI ------------------------------------------------------------------------------------------

# start_server NAME LOG COMMAND…: in a session of its own, so that a signal for the handler is not also for it.
start_server() {
    local name=$1 log=$2
    shift 2
    say "starting $name; its output goes to $log"
    setsid "$@" >>"$log" 2>&1 &
    servers+=("$!")
    printf '%s\n' "$!" >"$run/$name.pid"
}

stop_servers() {
    local pid
    for pid in "${servers[@]}"; do
        kill -TERM -- "-$pid" 2>/dev/null || true
    done
}

# await_server NAME LOG QUESTION…: until QUESTION succeeds, the server has ended, or time is up.
await_server() {
    local name=$1 log=$2 pid deadline
    shift 2
    pid=${servers[-1]}
    deadline=$((SECONDS + ${STARTUP_TIMEOUT:-1800}))
    until "$@"; do
        if ! kill -0 "$pid" 2>/dev/null; then
            tail -n 20 "$log" >&2
            die "$name ended while it started; its last lines are above"
        fi
        [ "$SECONDS" -lt "$deadline" ] ||
            die "$name was not ready within ${STARTUP_TIMEOUT:-1800} s (STARTUP_TIMEOUT); see $log"
        sleep 1 &
        wait $! # unlike sleep itself, this ends at once when a signal comes
    done
    say "$name is ready"
}

comfyui_is_ready() { curl -fsS -m 5 -o /dev/null "$COMFYUI_URL/system_stats" 2>/dev/null; }

swarmui_is_ready() {
    curl -fsS -m 5 -H 'Content-Type: application/json' -d '{}' "$SWARMUI_API_URL/API/GetNewSession" 2>/dev/null |
        grep -q session_id
}

# The port in an address such as http://127.0.0.1:8188.
port_of() {
    local rest=${1##*:}
    printf '%s\n' "${rest%%/*}"
}

# Where ComfyUI lies: in the image, else on the volume, where it is installed once.
place_comfyui() {
    export COMFYUI_PATH=${COMFYUI_PATH:-/app/ComfyUI} COMFYUI_URL=${COMFYUI_URL:-http://127.0.0.1:8188}
    if [ ! -d "$COMFYUI_PATH" ]; then
        COMFYUI_PATH=$volume/ComfyUI
        [ -n "${COMFYUI_COMMIT:-}" ] || die "there is no ComfyUI at COMFYUI_PATH, and COMFYUI_COMMIT names none to install"
        install_once "$COMFYUI_PATH" install_comfyui
    fi
    export COMFYUI_PYTHON=${COMFYUI_PYTHON:-$COMFYUI_PATH/.venv/bin/python}
}

place_swarmui() {
    export SWARMUI_PATH=${SWARMUI_PATH:-/app/SwarmUI}
    export SWARMUI_API_URL=${SWARMUI_API_URL:-http://${SWARMUI_HOST:-127.0.0.1}:${SWARMUI_PORT:-7801}}
    if [ ! -d "$SWARMUI_PATH" ]; then
        SWARMUI_PATH=$volume/SwarmUI
        [ -n "${SWARMUI_COMMIT:-}" ] || die "there is no SwarmUI at SWARMUI_PATH, and SWARMUI_COMMIT names none to install"
        install_once "$SWARMUI_PATH" install_swarmui
    fi
}

# The models of the volume where ComfyUI and SwarmUI look for theirs; no file is moved or deleted.
link_models() { "$python" -m lorapod.models.links || die "the model folders cannot be linked to the volume"; }

start_comfyui() {
    local log=$WORKSPACE_PATH/logs/comfyui-${RUNPOD_POD_ID:-$HOSTNAME}.log
    # Its options are the operator's own words, split as a shell splits them.
    # shellcheck disable=SC2086
    start_server comfyui "$log" "$COMFYUI_PYTHON" "$COMFYUI_PATH/main.py" --listen 127.0.0.1 \
        --port "$(port_of "$COMFYUI_URL")" --disable-auto-launch ${COMFYUI_ARGS:-}
    await_server ComfyUI "$log" comfyui_is_ready
}

# SwarmUI keeps its settings in files; without these it waits for a person to click through its installer, and it would
# write a hash into each LoRA that it uses, those that were trained here among them.
configure_swarmui() {
    local data=$SWARMUI_PATH/Data
    mkdir -p "$data"
    [ -e "$data/Settings.fds" ] || printf '%s\n' \
        'IsInstalled: true' 'LaunchMode: none' \
        'Paths:' "	OutputPath: $WORKSPACE_PATH/output/swarmui" \
        'Network:' '	PortCanChange: false' \
        'Metadata:' '	ImageMetadataIncludeModelHash: false' \
        'Maintenance:' '	CheckForUpdates: false' >"$data/Settings.fds"
    [ -e "$data/Backends.fds" ] || printf '%s\n' \
        '0:' '	type: comfyui_api' '	title: ComfyUI' '	enabled: true' \
        '	settings:' "		Address: ${COMFYUI_URL:-http://127.0.0.1:8188}" >"$data/Backends.fds"
}

start_swarmui() {
    configure_swarmui
    local log=$WORKSPACE_PATH/logs/swarmui-${RUNPOD_POD_ID:-$HOSTNAME}.log
    start_server swarmui "$log" env -C "$SWARMUI_PATH" ./launch-linux.sh --launch_mode none \
        --host "${SWARMUI_HOST:-127.0.0.1}" --port "$(port_of "$SWARMUI_API_URL")"
    await_server SwarmUI "$log" swarmui_is_ready
}

# --- The handler --------------------------------------------------------------------------------------------------

healthy() {
    local pid
    pid=$(cat "$run/handler.pid" 2>/dev/null) && kill -0 "$pid" 2>/dev/null || return 1
    if [ -e "$run/comfyui.pid" ]; then comfyui_is_ready || return 1; fi
    if [ -e "$run/swarmui.pid" ]; then swarmui_is_ready || return 1; fi
}

main() {
    find_python
    volume=$(find_volume)
    export VOLUME_PATH=$volume WORKSPACE_PATH=${WORKSPACE_PATH:-$volume}
    export RUNPOD_DEBUG_LEVEL=${RUNPOD_DEBUG_LEVEL:-INFO} # at DEBUG the SDK prints each answer whole
    local handler
    case "${HANDLER:-backend}" in
        backend) handler=$app/Backend/rp_handler.py ;;
        simple) handler=$app/SimpleBackend/handler.py ;;
        fast) handler=$app/FastBackend/handler_fast.py ;;
        *) die "HANDLER is ${HANDLER}: choose backend, simple or fast" ;;
    esac
    [ -f "$handler" ] || die "$handler is not in this image"
    leave_root
    rm -rf "$run"
    mkdir -p "$run"
    lay_out
    set_hub
    local comfyui=false swarmui=false
    if is_true "${START_COMFYUI:-}"; then comfyui=true && place_comfyui; fi
    if is_true "${START_SWARMUI:-}"; then swarmui=true && place_swarmui; fi
    if $comfyui || $swarmui; then link_models; fi
    if $comfyui; then start_comfyui; fi
    if $swarmui; then start_swarmui; fi
    printf '%s\n' "$$" >"$run/handler.pid"
    say "workspace $WORKSPACE_PATH, handler ${HANDLER:-backend}"
    trap - TERM INT
    exec "$python" -u "$handler"
}

if [ "${1:-}" = healthy ]; then
    COMFYUI_URL=${COMFYUI_URL:-http://127.0.0.1:8188}
    SWARMUI_API_URL=${SWARMUI_API_URL:-http://127.0.0.1:7801}
    healthy
    exit
fi
# While there is no handler yet that could answer a signal.
trap 'say "told to stop while starting"; stop_servers; exit 143' TERM INT
main
