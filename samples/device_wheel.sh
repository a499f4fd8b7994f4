#!/bin/sh
# A wheel of `runtime` alone, under the project's name and version: without `toolkit`, `converters` and what only they
# ask for. `make device-wheel`.
#
# usage: device_wheel.sh FOLDER      the folder for the wheel; PYTHON names the Python that builds it
set -eu

target=$(mkdir -p "${1:?usage: device_wheel.sh FOLDER}" && cd "$1" && pwd)
cd "$(dirname "$0")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R runtime README.md LICENSE NOTICE "$copy"
# Left out: the command, packages and data of the desk, and its extras (from `train` to before `camera`, and from `onnx`
# to the end of the list).
sed -e '/^toolkit = /d; /^converters = /d' \
    -e 's/^include = .*/include = ["runtime*"]/' \
    -e '/^train = /,/^camera = /{/^camera = /!d;}' \
    -e '/^# `toolkit convert --formats onnx/,/^\[project.scripts\]/{/^\[project.scripts\]/!d;}' \
    pyproject.toml > "$copy/pyproject.toml"
rm -f "$target"/edge_export_toolkit-*.whl
"${PYTHON:-python3}" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$target" "$copy"
ls "$target"/edge_export_toolkit-*.whl
