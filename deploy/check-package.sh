#!/usr/bin/env bash
# Installs the Debian package in a clean Debian 12 and runs the service there, with the unit's command
# line and user, and with SQLite; then upgrades, removes and purges the package. As root, on Debian:
#
#   deploy/check-package.sh target/debian/sendport_*.deb
#
# --chroot FOLDER uses an existing, fresh `debootstrap --variant=minbase bookworm`.
set -euo pipefail

root=
[ "${1:-}" != --chroot ] || { root=$2; shift 2; }
package=${1:?which package? build one with: deploy/package.sh}
command -v objdump >/dev/null || { echo "objdump is missing: apt-get install binutils" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || { echo "Only root can create a chroot." >&2; exit 1; }

scratch=$(mktemp -d)
running=()
ended() {
    local process
    for process in "${running[@]}"; do kill -KILL "$process" 2>/dev/null || true; done
    if mountpoint -q "$root/proc"; then umount "$root/proc"; fi
    rm -rf --one-file-system "$scratch"
}
trap ended EXIT

step() { echo "== $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
is() { [ "$2" = "$3" ] || fail "$1: expected '$3', found '$2'"; }
within() { "${inside[@]}" "$@"; }
apt() { within apt-get -qq -y --no-install-recommends "$@" >"$scratch/apt.log" 2>&1 || { cat "$scratch/apt.log" >&2; fail "apt-get $*"; }; }

# A setting of the unit.
unit() { sed -n "s/^$1=//p" "$root/usr/lib/systemd/system/sendport.service" | head -n 1; }
as_service() { "${as_user[@]}" "$@"; }
sql() { as_service sqlite3 -cmd '.timeout 10000' /var/lib/sendport/sendport.db "$1"; }

free_port() {
    local port
    for port in $(shuf -i 20000-29999 -n 50); do
        (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}

# wait_until WHAT COMMAND...: up to 30 seconds.
wait_until() {
    local what=$1 end=$((SECONDS + 30))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { cat "$scratch/service.log" >&2; fail "$what: not within 30 seconds"; }
        sleep 0.2
    done
}

start() {
    local RUN_OPTIONS='' command
    # shellcheck source=/dev/null
    . "$root/etc/default/sendport"
    command=$(unit ExecStart)
    command=${command//\$RUN_OPTIONS/$RUN_OPTIONS}
    echo "   $command"
    # shellcheck disable=SC2086 # systemd splits it at white space, too
    "${as_user[@]}" $command >>"$scratch/service.log" 2>&1 &
    service=$!
    running+=("$service")
    wait_until "the service is ready" as_service sendport health
}

stop() {
    local code=0
    kill -TERM "$service"
    wait "$service" || code=$?
    is "the exit code after SIGTERM" "$code" 0
}

relayed() { [ "$(sql "SELECT Status FROM AlertStatus WHERE Reference = '$1'")" = relayed ]; }
alert() {
    sql "INSERT INTO Alert (ToRecipients, Subject, Body, Reference)
         VALUES ('ops@contoso.example', 'Order $1 is late', 'By two hours.', '$1')"
    wait_until "alert $1 is relayed" relayed "$1"
}

if [ -z "$root" ]; then
    step "A clean Debian 12"
    root=$scratch/root
    debootstrap --variant=minbase bookworm "$root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$scratch/debootstrap.log" ||
        { tail "$scratch/debootstrap.log" >&2; fail debootstrap; }
fi
inside=(chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive)
cp /etc/resolv.conf /etc/hosts "$root/etc/"
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
port=$(free_port)
cp "$package" "$root/tmp/sendport.deb"

step "Install"
apt update
apt install /tmp/sendport.deb
# Libraries that other packages happen to install do not count: each must be a dependency.
depends=$(dpkg-deb -f "$package" Depends)
objdump -p "$root/usr/bin/sendport" | sed -n 's/^ *NEEDED *//p' | while read -r library; do
    owner=$(within dpkg-query --search "*/$library" | sed -n 's/:.*//p' | head -n 1)
    [[ ", $depends," == *", $owner"[\ ,]* ]] || fail "the package does not depend on $owner, which has $library: $depends"
done
grep -h '^sendport is installed' "$scratch/apt.log" || fail "the package does not say that it does not run"
apt install sqlite3
is "owner and mode of the configuration" "$(within stat -c '%U:%G %a' /etc/sendport/sendport.toml)" "root:sendport 640"
is "owner and mode of the folder of sendmail" "$(within stat -c '%U:%G %a' /var/spool/sendport/sendmail)" "sendport:sendport 3733"
is "owner and mode of the state" "$(within stat -c '%U:%G %a' /var/lib/sendport)" "sendport:sendport 750"
as_user=("${inside[@]}" setpriv --reuid "$(unit User)" --regid "$(unit Group)" --init-groups --bounding-set=-all
    --no-new-privs env "SENDPORT__HTTP__LISTEN=127.0.0.1:$port")
[ ! -e "$root/etc/systemd/system/multi-user.target.wants/sendport.service" ] || fail "it is enabled before it is configured"
within ldd /usr/bin/sendport | grep 'not found' && fail "a library is missing"
as_service sendport check --offline

step "Manual pages and completions"
apt install man-db zsh fish
verbs=$(within sendport --help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z]*\) .*/\1/p' | grep -vx help)
[ "$(wc -l <<<"$verbs")" -gt 10 ] || fail "the verbs of sendport --help: $verbs"
for verb in '' $verbs; do
    page=sendport${verb:+-$verb}
    shown=$(within env MANWIDTH=80 man --warnings "$page" 2>&1) || fail "man $page: $shown"
    grep -q "^ *$page  *- " <<<"$shown" || fail "man $page does not name itself: $shown"
    ! grep -q 'warning:' <<<"$shown" || fail "man $page: $(grep 'warning:' <<<"$shown")"
done
is "what bash completes" "$(within bash -euc '. /usr/share/bash-completion/completions/sendport
    COMP_WORDS=(sendport che) COMP_CWORD=1
    _sendport sendport che sendport
    echo "${COMPREPLY[@]}"')" check
is "what zsh completes with" "$(within zsh -fc 'autoload -Uz compinit; compinit -u -D; echo "$_comps[sendport]"')" _sendport
within zsh -n /usr/share/zsh/vendor-completions/_sendport
is "what fish completes" "$(within env HOME=/tmp fish -c 'complete -C "sendport che"' | cut -f 1)" check

step "Root gets the command that creates the tables, and it works in root's home"
said=$(within sh -c 'cd /root && sendport migrate' 2>&1) && fail "root created files that the service cannot open: $said"
line=$(sed -n 's/^  runuser/runuser/p' <<<"$said")
within sh -c "cd /root && $line" || fail "$line"
is "owner of the database" "$(within stat -c %U /var/lib/sendport/sendport.db)" sendport
within sendport check
is "files of others in /var/lib/sendport" "$(within find /var/lib/sendport ! -user sendport)" ""

step "The unit's command line, with SQLite, as $(unit User)"
start
is "the process's user" "$(within stat -c %U "/proc/$service")" sendport
alert 4711
grep -l '^Subject: Order 4711 is late' "$root"/var/lib/sendport/mails/*.eml
stop
grep -q 'service stopped, all outcomes recorded' "$scratch/service.log" || fail "no orderly end in the log"

step "A relay that the administrator configures"
smtp=$(free_port)
"${inside[@]}" sendport sink --listen "127.0.0.1:$smtp" --folder /tmp/sink >"$scratch/sink.log" 2>&1 &
sink=$!
running+=("$sink")
sed -i 's/^relays = .*/relays = ["main"]/' "$root/etc/sendport/sendport.toml"
printf '\n[relay.main]\nkind = "smtp"\nhost = "127.0.0.1"\nport = %s\ntls = "none"\n' "$smtp" >>"$root/etc/sendport/sendport.toml"
start
alert 4712
grep -lr '^Subject: Order 4712 is late' "$root/tmp/sink"
stop

step "Upgrade"
dpkg-deb -R "$package" "$scratch/newer"
version=$(dpkg-deb -f "$package" Version)
sed -i "s/^Version: .*/Version: $version+next/" "$scratch/newer/DEBIAN/control"
printf '# a newer default\n' >>"$scratch/newer/etc/sendport/sendport.toml"
dpkg-deb --root-owner-group -b "$scratch/newer" "$root/tmp/newer.deb" >/dev/null
apt install -o Dpkg::Options::=--force-confold /tmp/newer.deb
is "the version" "$(within dpkg-query -W -f '${Version}' sendport)" "$version+next"
grep -q "^port = $smtp" "$root/etc/sendport/sendport.toml" || fail "the upgrade lost the administrator's settings"
is "owner and mode of the configuration" "$(within stat -c '%U:%G %a' /etc/sendport/sendport.toml)" "root:sendport 640"
start
alert 4713
is "alerts after the upgrade" "$(sql 'SELECT count(*) FROM AlertStatus')" 3
stop
kill -TERM "$sink"
wait "$sink" || true

step "Remove, install again, purge"
apt remove sendport
[ ! -e "$root/usr/bin/sendport" ] || fail "the program is still there"
[ -e "$root/etc/sendport/sendport.toml" ] || fail "remove took the configuration"
apt install /tmp/newer.deb
grep -q "^port = $smtp" "$root/etc/sendport/sendport.toml" || fail "the second installation lost the settings"
apt purge sendport
[ ! -e "$root/etc/sendport" ] || fail "purge left the configuration: $(ls "$root/etc/sendport")"
[ ! -e "$root/etc/default/sendport" ] || fail "purge left /etc/default/sendport"
[ -e "$root/var/lib/sendport/sendport.db" ] || fail "purge took the alerts"
within dpkg --audit

if command -v systemd-analyze >/dev/null; then
    step "The unit"
    apt install /tmp/newer.deb
    # With the path of the program on this machine.
    sed "s|^ExecStart=|&$root|" "$root/usr/lib/systemd/system/sendport.service" >"$scratch/sendport.service"
    is "what systemd-analyze says of it" "$(systemd-analyze verify --man=no "$scratch/sendport.service" 2>&1)" ""
    systemd-analyze security --offline=true --no-pager "$scratch/sendport.service" | tail -n 1
    apt purge sendport
fi
echo "The package works."
