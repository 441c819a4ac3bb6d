#!/usr/bin/env bash
# Starts a container: finds the volume, makes its folders, starts ComfyUI and SwarmUI if they are switched on, and then
# becomes the handler that HANDLER names. `startup.sh healthy` exits with 0 if everything that was started is healthy.
# docs/howto/image.md describes all variables.
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
        *) die "'$1' is not a switch: use true or false" ;;
    esac
}

find_python() {
    if [ -z "$python" ]; then
        for python in /opt/lorapod/bin/python "$(command -v python3)"; do
            [ -x "$python" ] && break
        done
    fi
    [ -x "$python" ] || die "no Python was found: set LORAPOD_PYTHON to the interpreter with lorapod"
}

# --- The volume ---------------------------------------------------------------------------------------------------

# Serverless workers have the volume at /runpod-volume, pods at /workspace.
find_volume() {
    local named=${VOLUME_PATH:-${NETWORK_VOLUME_PATH:-${WORKSPACE_PATH:-}}} candidate
    if [ -n "$named" ]; then
        [ -d "$named" ] || die "the volume $named does not exist: attach a network volume, or correct VOLUME_PATH"
        printf '%s\n' "$named"
        return
    fi
    for candidate in /runpod-volume /workspace; do
        if mountpoint -q "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    say "no network volume is attached: trained files will be lost with this container"
    mkdir -p /workspace
    printf '%s\n' /workspace
}

lay_out() {
    local folder
    for folder in training_data models output logs processes workflows; do
        mkdir -p "$WORKSPACE_PATH/$folder" || die "$WORKSPACE_PATH is not writable: check the volume and its permissions"
    done
}

# Models and caches are on the volume, so that the next worker has them; the worker links the model that RunPod keeps ready
# on the host into them. The token is passed on and never printed.
set_hub() {
    export HF_HOME=${HF_HOME:-$volume/.cache/huggingface}
    local kept
    for kept in "${MODEL_CACHE_PATH:-/runpod-volume/huggingface-cache/hub}"/models--*/snapshots; do
        [ -d "$kept" ] || continue
        kept=${kept%/snapshots} kept=${kept##*/models--}
        say "the model ${kept//--//} is in RunPod's cache, and is not downloaded"
    done
    export HF_TOKEN=${HF_TOKEN:-${HUGGINGFACE_API_TOKEN:-${HUGGING_FACE_HUB_TOKEN:-}}}
    [ -n "$HF_TOKEN" ] || unset HF_TOKEN
}

# --- The user -----------------------------------------------------------------------------------------------------

# Stay root only if just root may write to the volume, as RunPod mounts it; else restart this script as LORAPOD_USER.
leave_root() {
    local user=${LORAPOD_USER:-lorapod} become
    if [ "$(id -u)" != 0 ] || ! id -u "$user" >/dev/null 2>&1; then return; fi
    become=(setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups --inh-caps=-all --no-new-privs)
    if "${become[@]}" test -w "$WORKSPACE_PATH"; then
        exec "${become[@]}" env HOME="$(getent passwd "$user" | cut -d: -f6)" "$0"
    fi
    say "only root may write to the volume, so the worker stays root"
}

# --- Installing onto the volume -----------------------------------------------------------------------------------

# install_once FOLDER COMMAND…: run COMMAND once for all workers of the volume. The installation is complete when its
# mark exists. A worker that dies meanwhile releases the lock, and the next one starts the installation again.
install_once() {
    local folder=$1 mark=$1.installed lock
    shift
    [ -e "$mark" ] && return
    mkdir -p "$(dirname "$folder")"
    lock=$folder.lock
    exec {guard}>"$lock"
    if ! flock -n "$guard"; then
        say "waiting for another worker, which installs $folder"
        flock -w "${STARTUP_TIMEOUT:-1800}" "$guard" ||
            die "$folder was not installed within ${STARTUP_TIMEOUT:-1800} s; set a longer STARTUP_TIMEOUT"
    fi
    if [ ! -e "$mark" ]; then
        say "installing $folder (once for this volume)"
        rm -rf "$folder"
        "$@" "$folder" {guard}>&- || die "$folder could not be installed; see the output above"
        date -u +%Y-%m-%dT%H:%M:%SZ >"$mark.$$" && mv "$mark.$$" "$mark"
    fi
    exec {guard}>&-
}

# clone REPOSITORY COMMIT FOLDER: fetch this commit only; its hash is its checksum.
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

# start_server NAME LOG COMMAND…: start it in a session of its own, so that it does not get the handler's signals.
start_server() {
    local name=$1 log=$2
    shift 2
    say "starting $name; its log is $log"
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

# await_server NAME LOG QUESTION…: wait until QUESTION succeeds; die if the server ends or the time is up.
await_server() {
    local name=$1 log=$2 pid deadline
    shift 2
    pid=${servers[-1]}
    deadline=$((SECONDS + ${STARTUP_TIMEOUT:-1800}))
    until "$@"; do
        if ! kill -0 "$pid" 2>/dev/null; then
            tail -n 20 "$log" >&2
            die "$name ended during its start; its last lines are above, its log is $log"
        fi
        [ "$SECONDS" -lt "$deadline" ] ||
            die "$name was not ready within ${STARTUP_TIMEOUT:-1800} s; see $log, or set a longer STARTUP_TIMEOUT"
        sleep 1 &
        wait $! # a signal ends this at once, but it would not end a sleep in the foreground
    done
    say "$name is ready"
}

comfyui_is_ready() { curl -fsS -m 5 -o /dev/null "$COMFYUI_URL/system_stats" 2>/dev/null; }

swarmui_is_ready() {
    curl -fsS -m 5 -H 'Content-Type: application/json' -d '{}' "$SWARMUI_API_URL/API/GetNewSession" 2>/dev/null |
        grep -q session_id
}

# The port of a URL such as http://127.0.0.1:8188.
port_of() {
    local rest=${1##*:}
    printf '%s\n' "${rest%%/*}"
}

# Find ComfyUI in the image, or install it once on the volume.
place_comfyui() {
    export COMFYUI_PATH=${COMFYUI_PATH:-/app/ComfyUI} COMFYUI_URL=${COMFYUI_URL:-http://127.0.0.1:8188}
    if [ ! -d "$COMFYUI_PATH" ]; then
        COMFYUI_PATH=$volume/ComfyUI
        [ -n "${COMFYUI_COMMIT:-}" ] || die "ComfyUI is not at COMFYUI_PATH: correct it, or set COMFYUI_COMMIT to the commit to install"
        install_once "$COMFYUI_PATH" install_comfyui
    fi
    export COMFYUI_PYTHON=${COMFYUI_PYTHON:-$COMFYUI_PATH/.venv/bin/python}
}

# Install the extensions that COMFYUI_NODES asks for, and choose the Python that has what they need. What cannot be
# installed is named here and in `health`, and does not prevent the start. In the background, so that a signal ends it.
add_nodes() {
    comfyui_python=$COMFYUI_PYTHON
    [ -n "${COMFYUI_NODES:-}" ] || return 0
    setsid "$python" -m lorapod.engines.comfyui.extensions >"$run/comfyui-python" &
    servers+=("$!")
    if wait "$!"; then
        comfyui_python=$(cat "$run/comfyui-python")
    else
        say "the extensions of COMFYUI_NODES could not be looked at; see the output above"
    fi
    unset 'servers[-1]'
}

place_swarmui() {
    export SWARMUI_PATH=${SWARMUI_PATH:-/app/SwarmUI}
    export SWARMUI_API_URL=${SWARMUI_API_URL:-http://${SWARMUI_HOST:-127.0.0.1}:${SWARMUI_PORT:-7801}}
    if [ ! -d "$SWARMUI_PATH" ]; then
        SWARMUI_PATH=$volume/SwarmUI
        [ -n "${SWARMUI_COMMIT:-}" ] || die "SwarmUI is not at SWARMUI_PATH: correct it, or set SWARMUI_COMMIT to the commit to install"
        install_once "$SWARMUI_PATH" install_swarmui
    fi
}

# Link the models of the volume into the model folders of ComfyUI and SwarmUI; no file is moved or deleted.
link_models() { "$python" -m lorapod.models.links || die "the model folders cannot be linked to the volume; see the output above"; }

start_comfyui() {
    local log=$WORKSPACE_PATH/logs/comfyui-${RUNPOD_POD_ID:-$HOSTNAME}.log level=() written
    written=$(stat -c %s "$log" 2>/dev/null || echo 0)
    [ -z "${COMFY_LOG_LEVEL:-}" ] || level=(--verbose "${COMFY_LOG_LEVEL^^}")
    # COMFYUI_ARGS is split into words on purpose.
    # shellcheck disable=SC2086
    start_server comfyui "$log" "$comfyui_python" "$COMFYUI_PATH/main.py" --listen 127.0.0.1 \
        --port "$(port_of "$COMFYUI_URL")" --disable-auto-launch "${level[@]}" ${COMFYUI_ARGS:-}
    await_server ComfyUI "$log" comfyui_is_ready
    if [ -n "${COMFYUI_NODES:-}" ]; then
        tail -c "+$((written + 1))" "$log" | "$python" -m lorapod.engines.comfyui.extensions --imports || true
    fi
}

# SwarmUI keeps its settings in files. Without these it would wait for a person to click through its installer, and it
# would write a hash into each LoRA that it uses, also into those that were trained here.
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
        *) die "HANDLER is '${HANDLER}': set it to backend, simple or fast" ;;
    esac
    [ -f "$handler" ] || die "$handler is not in this image: choose another HANDLER or another image"
    leave_root
    rm -rf "$run"
    mkdir -p "$run"
    lay_out
    set_hub
    local comfyui=false swarmui=false
    if is_true "${START_COMFYUI:-}"; then comfyui=true && place_comfyui; fi
    if is_true "${START_SWARMUI:-}"; then swarmui=true && place_swarmui; fi
    if $comfyui || $swarmui; then link_models; fi
    if $comfyui; then add_nodes && start_comfyui; fi
    if $swarmui; then start_swarmui; fi
    printf '%s\n' "$$" >"$run/handler.pid"
    say "workspace $WORKSPACE_PATH, handler ${HANDLER:-backend}"
    # The SDK's own server, for tests on one machine: it needs no endpoint, and asks for no key.
    local serve=()
    if is_true "${SERVE_API_LOCALLY:-}"; then serve=(--rp_serve_api --rp_api_host 0.0.0.0); fi
    trap - TERM INT
    exec "$python" -u "$handler" "${serve[@]}"
}

if [ "${1:-}" = healthy ]; then
    COMFYUI_URL=${COMFYUI_URL:-http://127.0.0.1:8188}
    SWARMUI_API_URL=${SWARMUI_API_URL:-http://127.0.0.1:7801}
    healthy
    exit
fi
# Until the handler runs, signals are handled here.
trap 'say "stopped by a signal during the start"; stop_servers; exit 143' TERM INT
main
