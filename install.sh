#!/usr/bin/env bash
# Builds sendport and installs it for this user, in a few minutes: ./install.sh
# Installs what the build needs where it is missing, and the shell of SQLite, which the documents use.
# Arguments go to `cargo install`.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh

install_missing "${BUILD_PACKAGES[@]}" sqlite3
cargo install --locked --path . "$@"
command -v sendport >/dev/null ||
    echo "Now open a new terminal, or put it on the PATH: . \"\$HOME/.cargo/env\""
