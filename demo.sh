#!/usr/bin/env bash
# Shows sendport at work on this machine: ./demo.sh
# Installs missing build dependencies. Arguments go to `sendport demo`.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh

install_missing "${BUILD_PACKAGES[@]}"
exec cargo run --locked -- demo "$@"
