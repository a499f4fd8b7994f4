"""Python, the interpreter and the packages: whether they fit each other."""

from __future__ import annotations

import platform
import struct
import sys
from typing import Any

from runtime.child import ChildDied, Tell, run_in_child
from runtime.doctor.finding import Device, Finding
from runtime.errors import EdgeExportError, one_line
from runtime.versions import how_to_install_interpreter, package_version

_INTERPRETERS = ("ai-edge-litert", "tflite-runtime")


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
        probed = run_in_child("runtime.doctor.software:probe", {}, 120)
    except (EdgeExportError, ChildDied, OSError) as error:
        words = f": {error.words}" if isinstance(error, ChildDied) and error.words else ""
        why = f"its process {error}{words}" if isinstance(error, ChildDied) else one_line(error)
        return [Finding("interpreter", "fault", f"{', '.join(installed)} with numpy {numpy}: {why}", (_again(),))]
    found = [Finding("interpreter", "ok", f"{probed['interpreter']} with numpy {numpy}")]
    pillow = f"pillow {package_version('pillow')}"
    if probed["jpeg"]:
        return [*found, Finding("pictures", "ok", f"{pillow} reads JPEG")]
    return [
        *found,
        Finding("pictures", "fault", f"{pillow} cannot read JPEG", ("pip install --force-reinstall pillow",)),
    ]


def probe(_request: dict[str, Any], _tell: Tell) -> dict[str, Any]:
    """The child's work: imports and uses what may not fit; a crash of it is only the child's."""
    import numpy  # noqa: F401 - whether it loads
    from PIL import features

    from runtime.interpreter import interpreter_name

    return {"interpreter": interpreter_name(), "jpeg": bool(features.check("jpg"))}


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
