#!/usr/bin/env bash
# Installs the test dependencies, runs all checks, and prints what ran and what did not: ./test.sh
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh
# shellcheck source=scripts/summary.sh
. scripts/summary.sh

install_missing "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}"

# The servers are downloaded by apt-get and pip; most of them run as root only.
if [ -z "${SENDPORT_TEST_PEERS:-}" ]; then
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null || apt-get update -qq
        step tests/peers/install.sh target/peers
    else
        not_run "tests with real mail servers" "this is not root, or not Debian"
        export SENDPORT_TEST_PEERS=none
    fi
fi
step cargo fmt --check
step cargo clippy --locked --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" step cargo doc --locked --no-deps
step cargo test --locked --no-fail-fast
# Microsoft's parser and schema model come from PyPI.
if said=$(tests/tsql/setup.sh target/tsql 2>&1); then
    step tests/tsql/check.py --tools target/tsql
    if [ -n "${SENDPORT_TEST_SQLSERVER:-}" ]; then
        step tests/tsql/clients.py --tools target/tsql --sendport target/debug/sendport
    else
        not_run "the printed schema in clients of SQL Server" "SENDPORT_TEST_SQLSERVER is not set"
    fi
else
    not_run "Microsoft's parser over the statements for SQL Server, and clients of it" "${said##*$'\n'}"
fi
step deploy/check.sh
if pkg-config --exists krb5-gssapi; then
    step cargo clippy --locked --workspace --features gssapi --all-targets -- -D warnings
    step cargo test --locked --features gssapi --test peers -- relay_matrix kerberos_ticket_refused
else
    not_run "the feature gssapi" "libkrb5-dev is not installed"
fi
# Compiling the bindings of the driver takes minutes, so it is done only if libclang is installed.
if pkg-config --exists krb5-gssapi && compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' | grep -qv cpp; then
    step cargo clippy --locked --features sqlserver-gssapi --all-targets -- -D warnings
    step cargo test --locked --features sqlserver-gssapi --test peers -- database_kerberos
else
    not_run "the feature sqlserver-gssapi" "libclang-dev is not installed"
fi
# Without advisories: they are fetched, and a new one must not fail an unchanged tree.
if command -v cargo-deny >/dev/null; then
    step cargo deny --locked check licenses bans sources
else
    not_run "licenses, bans and sources" "cargo-deny is not installed"
fi
