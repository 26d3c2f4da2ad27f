#!/usr/bin/env bash
# Installs what flt needs and is missing (Debian and Ubuntu). Run it as often as you like: with nothing missing it does nothing and
# needs no network.
#   scripts/setup.sh               what flt needs
#   scripts/setup.sh --mpi         also Open MPI, for runs on several machines
#   scripts/setup.sh --optional    also gnuplot (flt results plot) and Chromium (the test that looks at the report in a browser)
set -euo pipefail

packages=(build-essential cmake pkg-config libopenblas-dev libfftw3-dev libsqlite3-dev libcjson-dev librandom123-dev zlib1g-dev
    libcriterion-dev)
for option; do
    case "$option" in
    --mpi) packages+=(openmpi-bin libopenmpi-dev) ;;
    --optional) packages+=(gnuplot-nox chromium) ;;
    *) echo "setup: '$option' is unknown; allowed: --mpi, --optional" >&2; exit 2 ;;
    esac
done

missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    echo "setup: everything that flt needs is installed"
    exit 0
fi

echo "setup: installing ${missing[*]}"
if ! command -v apt-get >/dev/null; then
    echo "setup: apt-get was not found; install these packages, or their like, by hand: ${missing[*]}" >&2
    exit 3
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "setup: not root and no sudo: run as root: apt-get install ${missing[*]}" >&2; exit 3; }
    as_root=(sudo)
fi
install() {
    "${as_root[@]}" apt-get update -qq &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
install || { echo "setup: that failed; run as root: apt-get install ${missing[*]}" >&2; exit 3; }
echo "setup: done"
