# Sourced by test.sh: runs steps, and says at the end what ran, how long it took, and what did not run.
# shellcheck shell=bash

log=$(mktemp)
ran=()
missed=()
current=
trap summary EXIT

duration() { printf '%3d min %02d s' $(($1 / 60)) $(($1 % 60)); }

# step COMMAND...: runs it; its output is kept for the summary.
step() {
    local begun=$SECONDS
    current=$*
    echo "== $current"
    local all=$* before word
    before=$(wc -l <"$log")
    "$@" 2>&1 | tee -a "$log"
    # A name that no test has any more would succeed.
    if [[ $all == "cargo test"*" -- "* ]]; then
        for word in ${all##* -- }; do
            tail -n "+$((before + 1))" "$log" | grep -q "^test .*$word.* ok$" ||
                { echo "no test is named $word"; return 1; }
        done
    fi
    ran+=("$(duration $((SECONDS - begun)))  $current")
    current=
}

# not_run WHAT WHY
not_run() {
    missed+=("$1: $2")
    echo "not run: $1: $2"
}

# Each program of tests with its time and counts.
programs_of_tests() {
    awk '
        / Running / { name = $2 == "unittests" ? $3 : $2 }
        / Doc-tests / { name = "examples in " $2 }
        /^test result:/ && $4 + $8 > 0 {
            sub(/s$/, "", $NF)
            printf "    %7.1f s  %s: %d passed, %d failed, %d ignored\n", $NF, name, $4, $6, $8
        }' "$log" | sort -rn
}

# What tests said that they could not do, and what was ignored.
missed_by_tests() {
    sed -n 's/^not run: //p; s/^test \([a-z_0-9]*\)::.* \.\.\. ignored.*/tests of \1 are ignored/p' "$log" |
        sort | uniq -c | awk '{ count = $1; sub(/^ *[0-9]+ /, ""); print $0 (count > 1 ? " (" count " tests)" : "") }'
}

summary() {
    local code=$?
    echo
    echo "== What ran"
    printf '%s\n' "${ran[@]}"
    [ -z "$current" ] || echo "FAILED: $current"
    programs_of_tests
    echo "== What did not run"
    { [ ${#missed[@]} -eq 0 ] || printf '%s\n' "${missed[@]}"; missed_by_tests; } | sed 's/^/    /' | grep . || echo "    nothing"
    rm -f "$log"
    exit $code
}
