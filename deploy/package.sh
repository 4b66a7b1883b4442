#!/usr/bin/env bash
# Builds the Debian package, target/debian/sendport_*.deb, and installs missing build dependencies.
# Arguments go to `cargo deb`.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/prepare.sh
. scripts/prepare.sh
# shellcheck source=deploy/profile.sh
. deploy/profile.sh

# dpkg-shlibdeps, of dpkg-dev, finds the packages of the libraries; without it the package would have no dependencies.
install_missing "${BUILD_PACKAGES[@]}" dpkg-dev
command -v dpkg-shlibdeps >/dev/null || { echo "dpkg-shlibdeps is missing: apt-get install dpkg-dev" >&2; exit 1; }
if ! command -v cargo-deb >/dev/null; then
    cargo install --locked --root target/tools cargo-deb
    export PATH=$PWD/target/tools/bin:$PATH
fi

# The program generates completions and manual pages from its command line.
[[ " $* " == *" --no-build "* ]] || cargo build --release --locked
program=${CARGO_TARGET_DIR:-target}/release/sendport
rm -rf target/manual
"$program" manual target/manual
"$program" completions bash > target/manual/sendport.bash
"$program" completions zsh > target/manual/_sendport
"$program" completions fish > target/manual/sendport.fish

package=$(cargo deb --locked --strip "$@" | tail -n 1)
depends=$(dpkg-deb --field "$package" Depends)
for library in libc6 libssl3 libgcc-s1; do
    [[ ", $depends" == *", $library"* ]] || { echo "$package does not depend on $library: $depends" >&2; exit 1; }
done
echo "$package"
