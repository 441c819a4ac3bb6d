#!/usr/bin/env bash
# Installs what builds images without a container engine; does nothing when it is there.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/install-missing.sh

install_missing buildah=buildah debootstrap=debootstrap crun=crun
