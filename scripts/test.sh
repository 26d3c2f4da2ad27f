#!/usr/bin/env bash
# Installs what is missing, builds in float and in double, and runs every test of both builds. The float build has MPI where it is
# installed, the double build is made without it.
#   scripts/test.sh            the float and the double build
#   scripts/test.sh asan ..    other presets of CMakePresets.json instead
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
presets=("$@")
[ ${#presets[@]} -gt 0 ] || presets=(release double)
jobs=$(nproc)
for preset in "${presets[@]}"; do
    echo "== $preset: build"
    mpi=AUTO
    [ "$preset" != double ] || mpi=OFF
    cmake --preset "$preset" -DFLT_MPI=$mpi >/dev/null
    cmake --build "build/$preset" -j "$jobs" | grep -v -E "^\[.*(Building|Built|Linking)" || [ "${PIPESTATUS[0]}" -eq 0 ]
done
for preset in "${presets[@]}"; do
    echo "== $preset: test"
    ctest --test-dir "build/$preset" --output-on-failure -j "$jobs"
done
