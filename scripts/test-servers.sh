#!/usr/bin/env bash
# Installs the servers and the browser that the tests start for themselves; does nothing when they are there.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/install-missing.sh

install_missing redis-server=redis-server /usr/lib/rabbitmq/bin/rabbitmq-server=rabbitmq-server chromium=chromium
