#!/bin/bash
# Downloads Debian's packages of the servers that the tests talk to and unpacks them below
# the folder $1 (default target/peers). Nothing is installed, started or written elsewhere.
# Running it again is quick.
set -euo pipefail

root=${1:-target/peers}
mkdir -p "$root/debs"
root=$(cd "$root" && pwd)

unpack() { # group package...
    local group=$1 package deb
    shift
    for package in "$@"; do
        if [ -e "$root/$group/.unpacked-$package" ]; then
            continue
        fi
        deb=$(find "$root/debs" -name "${package}_*.deb" | sort | tail -1)
        if [ -z "$deb" ]; then
            (cd "$root/debs" && apt-get download -q "$package")
            deb=$(find "$root/debs" -name "${package}_*.deb" | sort | tail -1)
        fi
        mkdir -p "$root/$group"
        dpkg -x "$deb" "$root/$group"
        touch "$root/$group/.unpacked-$package"
    done
}

unpack postfix postfix
unpack sasl sasl2-bin libsasl2-modules libsasl2-modules-db
unpack wrap libnss-wrapper
echo "unpacked in $root"
