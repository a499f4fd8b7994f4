#!/bin/sh
# A Raspberry Pi's software on another machine: Debian's Python for Arm with the real Arm wheels, run by qemu.
# No root file system is entered and no foreign package is configured: files are unpacked, and qemu runs Python out of
# them. Emulated time says nothing about a device's; answers are the device's own.
#
# usage: userland.sh arm64|armhf FOLDER      makes FOLDER/python-tflite, and for arm64 FOLDER/python-litert
#
# Wants a Debian or Ubuntu host with pip; installs qemu-user-static and mmdebstrap where they are missing (as root, or
# with sudo). SUITE=trixie takes Debian 13 and Python 3.13 (arm64: LiteRT only). MIRROR names a Debian mirror; without
# it the host's own is asked for.
set -eu

arch=${1:?usage: userland.sh arm64|armhf FOLDER}
folder=$(mkdir -p "${2:?usage: userland.sh arm64|armhf FOLDER}" && cd "$2" && pwd)
project=$(cd "$(dirname "$0")/../.." && pwd)
suite=${SUITE:-bookworm}
root=$folder/root-$suite
case $suite in
    bookworm) version=3.11 ;;
    trixie) version=3.13 ;;
    *) echo "SUITE must be bookworm or trixie; got $suite" >&2; exit 2 ;;
esac
case $arch in
    arm64) qemu=qemu-aarch64-static cpu=cortex-a72 machine=aarch64 ;;
    armhf) qemu=qemu-arm-static cpu=cortex-a7 machine=armv7l ;;
    *) echo "the first argument must be arm64 or armhf; got $arch" >&2; exit 2 ;;
esac
python=${PYTHON:-python3}
tag=cp$(echo "$version" | tr -d .)

find_mirror() {
    [ -n "${MIRROR:-}" ] || MIRROR=$(apt-get indextargets --format '$(SITE)' "Identifier: Packages" "Release: $suite" | head -n 1)
    [ -n "$MIRROR" ] || MIRROR=$(apt-get indextargets --format '$(SITE)' 'Identifier: Packages' | head -n 1)
    [ -n "$MIRROR" ] || { echo "no Debian mirror is known here: name one with MIRROR=" >&2; exit 1; }
}

install_tools() {
    command -v "$qemu" >/dev/null && command -v mmdebstrap >/dev/null && return
    sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    $sudo apt-get install -y -qq --no-install-recommends qemu-user-static mmdebstrap
}

# Debian's files, unpacked alone. 32 bits: numpy has no wheel, so Debian's numpy and Pillow are taken.
unpack() {
    [ -e "$root/.done" ] && return
    rm -rf "$root"
    packages="python$version-minimal,libpython$version-stdlib,libstdc++6,libgcc-s1"
    [ "$arch" = arm64 ] || packages="$packages,python3-numpy,python3-pil"
    mmdebstrap --quiet --variant=extract --architectures="$arch" --include="$packages" "$suite" "$root" "$MIRROR"
    rm -rf "$root/dev"  # the host's devices serve, pseudo terminals among them
    [ -e "$root/lib" ] || ln -s usr/lib "$root/lib"  # Debian 13 leaves that to a package that is not here
    if [ "$arch" = armhf ]; then  # links that update-alternatives would have made
        libraries=$root/usr/lib/arm-linux-gnueabihf
        ln -sf blas/libblas.so.3 "$libraries/libblas.so.3"
        ln -sf lapack/liblapack.so.3 "$libraries/liblapack.so.3"
    fi
    # qemu hands the host's /proc/cpuinfo through, in which LiteRT looks for an Arm processor and dies when it finds
    # none: a Raspberry Pi 4's (BCM2711, four Cortex-A72).
    mkdir -p "$root/proc"
    for core in 0 1 2 3; do
        printf 'processor\t: %s\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\n' "$core"
        printf 'CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\n'
        printf 'CPU revision\t: 3\n\n'
    done > "$root/proc/cpuinfo"
    touch "$root/.done"
}

# fetch FOLDER ARGUMENTS...: Arm wheels and what they need, chosen by the host's pip for the device.
fetch() {
    target=$1
    shift
    asked="$* $(cksum < "$project/pyproject.toml")"
    [ "$(cat "$target/.done" 2>/dev/null)" = "$asked" ] && return
    rm -rf "$target"
    platforms=
    for manylinux in manylinux2014 manylinux_2_17 manylinux_2_24 manylinux_2_26 manylinux_2_27 manylinux_2_28 \
        manylinux_2_31 manylinux_2_34 manylinux_2_35; do
        platforms="$platforms --platform ${manylinux}_$machine"
    done
    # shellcheck disable=SC2086 - a list of words
    "$python" -m pip install --quiet --disable-pip-version-check --target "$target" --only-binary=:all: \
        --implementation cp --python-version "$version" --abi "$tag" --abi abi3 --abi none $platforms "$@"
    echo "$asked" > "$target/.done"
}

# launcher NAME PATHS: a python that runs on the host, and is what sys.executable says, for processes of its own.
launcher() {
    cat > "$folder/$1" <<SCRIPT
#!/bin/sh
export QEMU_CPU=\${QEMU_CPU-$cpu} PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH="$folder/start-$1\${PYTHONPATH:+:\$PYTHONPATH}:$2"
exec $qemu -L "$root" "$root/usr/bin/python$version" "\$@"
SCRIPT
    chmod +x "$folder/$1"
    mkdir -p "$folder/start-$1"
    echo "import sys; sys.executable = '$folder/$1'" > "$folder/start-$1/sitecustomize.py"
}

# The tests run the working tree's code, and nothing of an older wheel.
forget_project() {
    rm -rf "$1/runtime" "$1/converters" "$1/toolkit"
}

# 32 bits: `pip install .` beside Debian's numpy and Pillow, by a pip that runs there itself; the host's takes markers
# (platform_machine) from the host, whatever the platform it is told.
install_there() {
    [ -d "$folder/site-pip" ] ||
        "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder/site-pip" pip
    rm -rf "$folder/installed" "$folder/site-device" "$folder/site-project"
    PYTHONPATH="$folder/site-pip:$root/usr/lib/python3/dist-packages" QEMU_CPU=$cpu $qemu -L "$root" \
        "$root/usr/bin/python$version" -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
        --break-system-packages --only-binary=:all: --prefix "$folder/installed" "$folder"/wheel/*.whl
    mv "$folder/installed/lib/python$version/site-packages" "$folder/site-device"
    mkdir "$folder/site-project"
    for part in runtime converters toolkit; do mv "$folder/site-device/$part" "$folder/site-project"; done
    mv "$folder"/site-device/edge_export_toolkit-*.dist-info "$folder/site-project"
}

compile_all() {  # emulated, the first import of everything would take ten seconds
    "$python" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" || return 0
    "$python" -m compileall -q "$root/usr/lib" "$folder"/site-* >/dev/null 2>&1 || true
}

find_mirror
install_tools
unpack
# What the tests need beside the device install, which runs on any machine: pytest, what talks to a broker and to pins,
# and the schema that they write models with (a module of LiteRT's, without its interpreter).
fetch "$folder/site-tests" pytest flatbuffers paho-mqtt gpiozero
[ -e "$folder/schema/ai_edge_litert/__init__.py" ] || {
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder/host" ai-edge-litert
    mkdir -p "$folder/schema/ai_edge_litert"
    cp "$folder/host/ai_edge_litert/schema_py_generated.py" "$folder/schema/ai_edge_litert/"
    rm -rf "$folder/host"
    touch "$folder/schema/ai_edge_litert/__init__.py"
}
# The project's wheel, anew each time, and what it asks for.
rm -rf "$folder/wheel"
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$folder/wheel" "$project"
if [ "$arch" = armhf ]; then
    install_there
    launcher python-tflite "$folder/site-device:$root/usr/lib/python3/dist-packages:$folder/schema"
else
    # OpenCV is no part of the device install; with it the tests of cameras and videos run too.
    fetch "$folder/site-opencv" --no-deps opencv-python-headless
    fetch "$folder/site-litert" "$folder"/wheel/*.whl
    forget_project "$folder/site-litert"
    launcher python-litert "$folder/site-litert:$folder/site-opencv"
    if [ "$suite" = bookworm ]; then
        fetch "$folder/site-tflite" tflite-runtime==2.14.0 'numpy<2' pillow
        launcher python-tflite "$folder/site-tflite:$folder/site-opencv:$folder/schema"
    fi
    rm -rf "$folder/site-project"
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder/site-project" \
        "$folder"/wheel/*.whl
fi
compile_all
echo "ready: $folder"
