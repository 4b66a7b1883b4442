# Sourced where something is built that many machines run: optimised as a whole, for a long build.
# shellcheck shell=sh
export CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
