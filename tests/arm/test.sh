#!/bin/sh
# The runtime's tests on a Raspberry Pi's software, emulated; see userland.sh. `make test-arm64`, `make test-armhf`.
#
# usage: test.sh arm64|armhf [pytest arguments...]      without arguments: tests/runtime
# What is left out, and why: left_out.py. ONLY=python-tflite runs one of two interpreters.
set -eu

arch=${1:?usage: test.sh arm64|armhf [pytest arguments...]}
shift
project=$(cd "$(dirname "$0")/../.." && pwd)
folder=$project/build/arm/$arch-${SUITE:-bookworm}
"$project/tests/arm/userland.sh" "$arch" "$folder"
export EDGE_EXPORT_USERLAND="$arch"
ulimit -c 0 # qemu would write a core file for each process that a test lets crash
failed=
for python in "$folder"/${ONLY:-python-*}; do
    name=$(basename "$python")
    echo "== $arch, $name"
    # What pip would install on the device, in a folder that is not the project's.
    (cd / && PYTHONPATH="$folder/site-project" "$python" -m runtime doctor) || failed="$failed $name:install"
    # The tests, on the working tree's code.
    (cd "$project" && PYTHONPATH="$project:$folder/site-tests" \
        "$python" -m pytest -q -p no:cacheprovider -p tests.arm.left_out "${@:-tests/runtime}") || failed="$failed $name:tests"
done
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
echo "all passed on $arch"
