# Sourced by builds of packages and images: optimizes the whole program, at the price of a long build.
# shellcheck shell=sh
export CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
