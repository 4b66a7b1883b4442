#!/usr/bin/env bash
# Builds sendport and installs it for this user, in a few minutes: ./install.sh
# Installs missing build dependencies, and the SQLite shell, which the documentation uses.
# Arguments go to `cargo install`.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh

install_missing "${BUILD_PACKAGES[@]}" sqlite3
cargo install --locked --path . "$@"
command -v sendport >/dev/null ||
    echo "Now open a new terminal, or put it on the PATH: . \"\$HOME/.cargo/env\""
