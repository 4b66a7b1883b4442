#!/usr/bin/env bash
# Authenticates to every server with every mechanism and every kind of TLS, and writes the results to
# the table of docs/relays.md: ./relay-matrix.sh
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh

install_missing "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
tests/peers/install.sh target/peers
SENDPORT_WRITE_RELAY_MATRIX=1 cargo test --locked --features gssapi --test peers relay_matrix
sed -n '/relay-matrix.sh: begin/,/relay-matrix.sh: end/{//!p}' docs/relays.md
