"""Python, the interpreter and the packages: whether they fit each other."""

from __future__ import annotations

import platform
import struct
import subprocess
import sys

from runtime.doctor.finding import Device, Finding
from runtime.versions import how_to_install_interpreter, package_version

_INTERPRETERS = ("ai-edge-litert", "tflite-runtime")
# Imports and uses what may not fit; a crash of it is only the child's.
_PROBE = """
from runtime.interpreter import interpreter_name
from PIL import features
import numpy
print(interpreter_name())
print(int(features.check("jpg")), int(features.check("webp")))
"""


def check_software(device: Device) -> list[Finding]:
    """All of it; ``device`` is where the system's own packages are looked for."""
    return [_python(), *_interpreter(), *_opencv(device)]


def _python() -> Finding:
    version = platform.python_version()
    bits = struct.calcsize("P") * 8
    where = "a virtual environment" if sys.prefix != sys.base_prefix else "no virtual environment"
    text = f"{version}, {bits} bits, {where}"
    if bits == 32 and sys.version_info >= (3, 12):
        mend = ("use the 64-bit Raspberry Pi OS, or Bookworm (Python 3.11)",)
        return Finding("python", "fault", f"{text}: no interpreter has a wheel for it", mend)
    return Finding("python", "ok", text)


def _interpreter() -> list[Finding]:
    """The interpreter is really loaded, in a process of its own."""
    installed = [f"{name} {version}" for name in _INTERPRETERS if (version := package_version(name))]
    numpy = package_version("numpy") or "not installed"
    if not installed:
        return [Finding("interpreter", "fault", "none is installed", (how_to_install_interpreter(),))]
    if not package_version("ai-edge-litert") and numpy.split(".")[0].isdigit() and int(numpy.split(".")[0]) >= 2:
        text = f"{installed[0]} does not work with numpy {numpy}"
        return [Finding("interpreter", "fault", text, ("pip install 'numpy<2'",))]
    try:
        done = subprocess.run(  # noqa: S603 - words of our own
            [sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [Finding("interpreter", "fault", f"{installed[0]} does not load: {error}", (_again(),))]
    lines = done.stdout.split("\n")
    if done.returncode or len(lines) < 2:
        last = done.stderr.strip().split("\n")[-1] or f"its process ended with {done.returncode}"
        return [Finding("interpreter", "fault", f"{', '.join(installed)} with numpy {numpy}: {last}", (_again(),))]
    found = [Finding("interpreter", "ok", f"{lines[0]} with numpy {numpy}")]
    jpeg = lines[1].split()[0] == "1"
    pillow = f"pillow {package_version('pillow')}"
    if jpeg:
        return [*found, Finding("pictures", "ok", f"{pillow} reads JPEG")]
    return [
        *found,
        Finding("pictures", "fault", f"{pillow} cannot read JPEG", ("pip install --force-reinstall pillow",)),
    ]


def _again() -> str:
    return f"{sys.executable} -m {how_to_install_interpreter().replace('install', 'install --force-reinstall', 1)}"


def _opencv(device: Device) -> list[Finding]:
    names = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
    installed = [f"{name} {version}" for name in names if (version := package_version(name))]
    if len(installed) > 1:
        mend = (f"pip uninstall -y {' '.join(text.split()[0] for text in installed)} && pip install opencv-python",)
        return [Finding("OpenCV", "warning", f"{', '.join(installed)}: they overwrite each other", mend)]
    if installed:
        return [Finding("OpenCV", "ok", installed[0])]
    system = device.glob("usr/lib/python3/dist-packages/cv2*")
    if system and _sees_system_packages():
        return [Finding("OpenCV", "ok", "the system's (python3-opencv)")]
    mend = ("pip install 'edge-export-toolkit[camera]'",)
    return [Finding("OpenCV", "note", "not installed: needed for USB cameras, videos and streams", mend)]


def _sees_system_packages() -> bool:
    return any(path.endswith("/dist-packages") for path in sys.path)
