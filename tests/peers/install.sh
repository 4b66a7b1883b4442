#!/usr/bin/env bash
# Unpacks the servers that the tests talk to, one folder each, and the libraries that this machine
# lacks for them, below a folder. Nothing is installed: no maintainer script runs, no daemon starts,
# no user is made, nothing outside of the folder is touched. Python's packages go into a virtual
# environment there.
#
#   tests/peers/install.sh target/peers
set -euo pipefail

# Postfix and Exim exclude each other as packages; side by side they do not.
declare -A packages=(
    [postfix]='postfix sasl2-bin libsasl2-2 libsasl2-modules libsasl2-modules-db libsasl2-modules-gssapi-mit libnss-wrapper'
    [exim]='exim4-daemon-heavy libnss-wrapper'
    [dovecot]='dovecot-core dovecot-gssapi dovecot-submissiond'
    [samba]='winbind samba-libs'
    [kdc]='krb5-kdc krb5-admin-server krb5-user'
    [slapd]='slapd'
)
readonly packages

fail() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

[[ $# -eq 1 && -n $1 ]] || fail "usage: $0 <folder>"
mkdir -p -- "$1" || fail "cannot make the folder $1"
folder=$(cd -- "$1" && pwd)
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
readonly folder script=$here/${BASH_SOURCE[0]##*/} requirements=$here/requirements.txt modules_beside=$here/modules_beside.c

# What a stamp says changes with its recipe, so that an older folder is made anew.
recipe_of() {
    case $1 in
    python) cat -- "$script" "$requirements" ;;
    dovecot) cat -- "$script" "$modules_beside" ;;
    *) cat -- "$script" ;;
    esac | cksum
}

is_there() {
    [[ -d $folder/$1 && -f $folder/$1.stamp && $(<"$folder/$1.stamp") == "$(recipe_of "$1")" ]]
}

todo=()
for name in "${!packages[@]}" python; do
    is_there "$name" || todo+=("$name")
done
[[ ${#todo[@]} -gt 0 ]] || exit 0

for tool in apt-get dpkg dpkg-deb dpkg-query gcc python3; do
    command -v "$tool" >/dev/null ||
        fail "$tool is not here: the packages are Debian's; run this on Debian or Ubuntu, or run the tests with SENDPORT_TEST_PEERS=none"
done

work=$(mktemp -d -- "$folder/.unpack.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
shopt -s nullglob

download() {
    apt-get -qq -o APT::Sandbox::User=root download "$@" 2>"$work/apt.log"
}

refresh_lists() {
    echo 'install.sh: reading the package lists anew (apt-get update)' >&2
    apt-get -qq update ||
        fail "apt-get update failed (it needs root and a way to the package mirror); run it yourself, then this script again"
}

# The packages that this machine has.
declare -A installed=()
while read -r status package; do
    [[ $status != installed ]] || installed[$package]=1
done < <(dpkg-query -W -f '${db:Status-Status} ${Package}\n')
readonly installed

# The libraries among the dependencies of package files, one a line.
libraries_of() {
    local deb
    for deb in "$@"; do
        dpkg-deb -f "$deb" Depends | tr ',' '\n' | sed -E 's/^ *//; s/[ :|(].*//' | grep '^lib' || true
    done
}

# unpack NAME PACKAGE...: the packages, then what libraries they lack, then what those lack.
unpack() {
    local name=$1 root=$work/$1.root debs=$work/$1.debs deb library
    shift
    local wanted=("$@")
    declare -A seen=()
    mkdir -- "$root" "$debs"
    while [[ ${#wanted[@]} -gt 0 ]]; do
        mkdir -- "$debs/new"
        cd -- "$debs/new"
        download "${wanted[@]}" || { refresh_lists && download "${wanted[@]}"; } ||
            fail "apt-get download ${wanted[*]} failed: $(tail -n 3 "$work/apt.log")"
        for library in "${wanted[@]}"; do
            seen[$library]=1
        done
        for deb in ./*.deb; do
            dpkg -x "$deb" "$root"
        done
        wanted=()
        while read -r library; do
            [[ -n ${seen[$library]:-} || -n ${installed[$library]:-} ]] || wanted+=("$library")
        done < <(libraries_of ./*.deb | sort -u)
        mv -- *.deb "$debs"
        cd -- "$work"
        rmdir -- "$debs/new"
    done
    # Set-user-ID programs ignore LD_LIBRARY_PATH.
    find "$root" -type f -perm /6000 -exec chmod ug-s {} +
    [[ $name != dovecot ]] || gcc -shared -fPIC -O -Wall -Werror -o "$root/usr/lib/dovecot/modules_beside.so" "$modules_beside"
    move_in "$name"
}

# A virtual environment knows its own place, so it is made there.
make_python() {
    rm -rf -- "$folder/python.stamp"
    python3 -m venv --clear "$folder/python" >"$work/python.log" ||
        fail "python3 -m venv failed: $(tail -n 3 "$work/python.log"); on Debian it needs the package python3-venv"
    "$folder/python/bin/pip" --quiet --disable-pip-version-check install \
        --require-hashes --only-binary :all: -r "$requirements" ||
        fail "pip could not install $requirements (it needs a way to PyPI)"
    stamp python
    echo "install.sh: $(grep -o '^[a-z]*==[^ ]*' "$requirements" | paste -sd ' ') are in $folder/python"
}

move_in() {
    rm -rf -- "${folder:?}/$1" "$folder/$1.stamp"
    mv -- "$work/$1.root" "$folder/$1"
    stamp "$1"
    echo "install.sh: ${packages[$1]%% *} $(dpkg-deb -f "$work/$1.debs/${packages[$1]%% *}"_*.deb Version) is in $folder/$1"
}

stamp() {
    recipe_of "$1" >"$folder/$1.stamp"
}

for name in "${todo[@]}"; do
    case $name in
    python) make_python ;;
    # Split into words.
    *) read -ra list <<<"${packages[$name]}" && unpack "$name" "${list[@]}" ;;
    esac
done
