#!/usr/bin/env bash
# Checks the deployment files, as far as this machine can: the composition, the unit, the workflow, and
# the Debian package, built from the debug build and installed in a clean Debian. Prints a line for each
# check that cannot run.
#
#   deploy/check.sh            after `cargo build`
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

step() {
    echo "== $*"
    "$@"
}
skipped() { echo "not run: $1: $2"; }

# systemd-analyze warns about unknown settings and exits with 0.
verify_unit() {
    local said
    said=$(systemd-analyze verify --man=no "$1" 2>&1) || true
    [ -z "$said" ] || { echo "$said" >&2; return 1; }
}

if docker compose version >/dev/null 2>&1; then
    compose=(docker compose)
else
    compose=(docker-compose)
fi
if command -v "${compose[0]}" >/dev/null; then
    SENDPORT_SA_PASSWORD=of-no-server step "${compose[@]}" -f docker-compose.yml config --quiet
else
    skipped docker-compose.yml "docker-compose is not installed"
fi

if command -v systemd-analyze >/dev/null; then
    # With the program where this machine finds it.
    sed "s|^ExecStart=/usr/bin|ExecStart=$PWD/target/debug|" deploy/systemd/sendport.service >"$scratch/sendport.service"
    step verify_unit "$scratch/sendport.service"
else
    skipped deploy/systemd/sendport.service "systemd-analyze is not installed"
fi

if command -v actionlint >/dev/null; then
    step actionlint
else
    skipped "the workflow" "actionlint is not installed"
fi

if ! command -v cargo-deb >/dev/null; then
    skipped "the Debian package" "cargo-deb is not installed"
elif [ "$(id -u)" -ne 0 ] || ! command -v debootstrap >/dev/null; then
    skipped "the Debian package" "this is not root, or debootstrap is not installed"
else
    # Where it looks for the program of a release.
    install -D target/debug/sendport "$scratch/target/release/sendport"
    CARGO_TARGET_DIR=$scratch/target step deploy/package.sh --no-build
    step deploy/check-package.sh "$scratch"/target/debian/sendport_*.deb
fi
