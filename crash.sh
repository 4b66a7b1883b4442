#!/usr/bin/env bash
# Kills, freezes and disconnects the service while alerts come in, and counts the messages:
# ./crash.sh [--kills 200] [--faults 12] [--rate 20]; ./crash.sh --help has them all
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh

install_missing "${BUILD_PACKAGES[@]}"
cargo build --locked
exec cargo run --locked --example crash -- "$@"
