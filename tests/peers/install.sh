#!/usr/bin/env bash
# Unpacks the mail servers that the tests talk to, and the libraries that this machine lacks for
# them, below a folder. Nothing is installed: no maintainer script runs, no daemon starts, no user
# is made, nothing outside of the folder is touched.
#
#   tests/peers/install.sh target/peers
set -euo pipefail

readonly packages=(postfix sasl2-bin libsasl2-2 libsasl2-modules libsasl2-modules-db libnss-wrapper)

fail() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

[[ $# -eq 1 && -n $1 ]] || fail "usage: $0 <folder>"
mkdir -p -- "$1" || fail "cannot make the folder $1"
folder=$(cd -- "$1" && pwd)
readonly folder root=$folder/postfix stamp=$folder/postfix.stamp

# What the stamp says changes with this script, so that an older folder is unpacked anew.
recipe=$(cksum <"${BASH_SOURCE[0]}")
readonly recipe
if [[ -d $root && -f $stamp && $(<"$stamp") == "$recipe" ]]; then
    exit 0
fi

for tool in apt-get dpkg dpkg-deb dpkg-query; do
    command -v "$tool" >/dev/null ||
        fail "$tool is not here: the packages are Debian's; run this on Debian or Ubuntu, or run the tests with SENDPORT_TEST_PEERS=none"
done

work=$(mktemp -d -- "$folder/.unpack.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
mkdir -- "$work/debs" "$work/root"
cd -- "$work/debs"

download() {
    apt-get -qq -o APT::Sandbox::User=root download "$@"
}

refresh_lists() {
    echo 'install.sh: reading the package lists anew (apt-get update)' >&2
    apt-get -qq update ||
        fail "apt-get update failed (it needs root and a way to the package mirror); run it yourself, then this script again"
}

is_installed() {
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# The libraries among the dependencies of a package file, one a line.
libraries_of() {
    dpkg-deb -f "$1" Depends | tr ',' '\n' | sed -E 's/^ *//; s/[ :|(].*//' | grep '^lib' || true
}

if ! download "${packages[@]}" 2>apt.log; then
    refresh_lists
    download "${packages[@]}" 2>apt.log || fail "apt-get download ${packages[*]} failed: $(tail -n 3 apt.log)"
fi

declare -A seen=()
for package in "${packages[@]}"; do
    seen[$package]=1
done

shopt -s nullglob
todo=(*.deb)
while [[ ${#todo[@]} -gt 0 ]]; do
    deb=${todo[0]}
    todo=("${todo[@]:1}")
    dpkg -x "$deb" "$work/root"
    while read -r library; do
        [[ -z ${seen[$library]:-} ]] || continue
        seen[$library]=1
        ! is_installed "$library" || continue
        download "$library" 2>apt.log || fail "apt-get download $library failed: $(tail -n 3 apt.log)"
        more=("$library"_*.deb)
        todo+=("${more[@]}")
    done < <(libraries_of "$deb")
done

rm -rf -- "$root" "$stamp"
mv -- "$work/root" "$root"
printf '%s\n' "$recipe" >"$stamp"
echo "install.sh: Postfix $(dpkg-deb -f postfix_*.deb Version) is in $root"
