# Sourced by install.sh, demo.sh, test.sh and .ci/run.
# shellcheck shell=bash disable=SC2034

# Build dependencies: a C compiler for SQLite, which is compiled in, and OpenSSL.
BUILD_PACKAGES=(gcc libc6-dev pkg-config libssl-dev)
# Additional test dependencies: other mail parsers, mail programs and clients, database clients, Kerberos for the
# feature gssapi, kill, and libraries of the servers, which themselves are unpacked and never installed.
# None may depend on an MTA: the users that its package makes are those of the unpacked servers.
TEST_PACKAGES=(ca-certificates curl freetds-bin gpg-agent gpgsm libdb5.3 libicu72 libkrb5-dev libnsl2
    libnss3-tools libsasl2-2 msmtp neomutt netcat-openbsd node-nodemailer notmuch openssl php-cli procps python3
    python3-dkim python3-m2crypto python3-nacl python3-venv s-nail swaks tdsodbc)
# Optional for deploy/check.sh.
CHECK_PACKAGES=(docker-compose systemd)

# Rust from rustup, in a shell that was started before its installation.
if ! command -v cargo >/dev/null && [ -f "$HOME/.cargo/env" ]; then
    # shellcheck source=/dev/null
    . "$HOME/.cargo/env"
fi
rust_wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
# The output of `rustc --version`, such as `rustc 1.95.0 (...)`; empty if there is none.
rust_found=$(rustc --version 2>/dev/null | cut -d ' ' -f 2) || true
if ! command -v cargo >/dev/null || ! sort --check=quiet --version-sort <<<"$rust_wanted"$'\n'"$rust_found"; then
    echo "Rust ${rust_wanted:?} or later is wanted, found: ${rust_found:-none}. Install it from https://rustup.rs and run this
again; Debian's own is older, and one that rustup installed is renewed by \`rustup update\`. In short, on Debian:
  apt-get install --no-install-recommends ca-certificates curl     (as root)
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal" >&2
    exit 1
fi

# as_root COMMAND...: sudo asks for a password on a terminal, and fails without one.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@" </dev/null
    fi
}

# install_missing PACKAGE...: installs missing Debian packages. If it cannot, it prints which ones are
# missing and continues, because their content may have been installed in another way.
install_missing() {
    local package missing=()
    if ! command -v dpkg-query >/dev/null; then
        echo "This is not Debian. What these packages of Debian 12 bring is needed: $*" >&2
        return
    fi
    for package in "$@"; do
        dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null |
            grep -qx installed || missing+=("$package")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    echo "Installing: ${missing[*]}"
    as_root apt-get update -qq &&
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install --yes -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        echo "Missing and not installed: ${missing[*]}
As root: apt-get install --no-install-recommends ${missing[*]}" >&2
}
