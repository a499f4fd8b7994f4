"""Cameras: what is plugged in, whether this user may open it, whether the Raspberry Pi's own is in reach."""

from __future__ import annotations

import importlib.util
import os
import sys

from runtime.doctor.finding import Device, Finding

# Nodes of the Raspberry Pi's image pipeline and codecs, which are no cameras by themselves.
_NO_CAMERA = ("bcm2835-codec", "bcm2835-isp", "rpivid", "rpi-hevc", "pispbe", "rp1-cfe", "unicam")
_SYSTEM_PACKAGE = "usr/lib/python3/dist-packages/picamera2"


def check_cameras(device: Device) -> list[Finding]:
    """Cameras by Video4Linux and by libcamera."""
    return [*_video4linux(device), *_raspberry_pi(device)]


def _video4linux(device: Device) -> list[Finding]:
    nodes = []
    for folder in device.glob("sys/class/video4linux/video*"):
        name = device.read(f"/sys/class/video4linux/{folder.name}/name") or "unnamed"
        if not name.startswith(_NO_CAMERA):
            nodes.append((folder.name, name))
    if not nodes:
        return [Finding("USB cameras", "note", "none is plugged in (no /dev/video*)")]
    found = []
    for node, name in nodes:
        path = device.root / "dev" / node
        number = node.removeprefix("video")
        if not path.exists():
            mend: tuple[str, ...] = (f"give the container the device: docker run --device /dev/{node}",)
            found.append(Finding("USB cameras", "fault", f"{name}: the kernel has it, /dev/{node} is missing", mend))
        elif not os.access(path, os.R_OK | os.W_OK):
            mend = ("sudo usermod -aG video $USER", "log out and in again (or reboot)")
            found.append(Finding("USB cameras", "fault", f"{name}: you may not open /dev/{node}", mend))
        else:
            found.append(Finding("USB cameras", "ok", f"--camera {number}: {name}"))
    return found


def _raspberry_pi(device: Device) -> list[Finding]:
    board = device.board or ""
    system = bool(device.glob(_SYSTEM_PACKAGE))
    if not system and not board.startswith("Raspberry Pi"):
        return []
    if importlib.util.find_spec("picamera2") is None:
        return [Finding("picamera2", "warning", *_picamera2_missing(system))]
    found = [Finding("picamera2", "ok", "is visible here: --camera pi")]
    listed = device.run(["rpicam-hello", "--list-cameras"]) or device.run(["libcamera-hello", "--list-cameras"])
    if listed is not None and "No cameras available" in listed:
        mend = (
            "look at the ribbon cable, both ends, with the power off",
            "sudo apt update && sudo apt full-upgrade && sudo reboot",
            "for a camera that is not the Raspberry Pi's own, set dtoverlay= in /boot/firmware/config.txt",
        )
        found.append(Finding("libcamera", "warning", "sees no camera", mend))
    elif listed is not None:
        cameras = [line.strip() for line in listed.splitlines() if line[:1].isdigit()]
        found.append(Finding("libcamera", "ok", "; ".join(cameras) or "answers"))
    return found


def _picamera2_missing(system: bool) -> tuple[str, tuple[str, ...]]:
    """What is said, and what mends it."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not system:
        return "is not installed: needed for the Raspberry Pi's own camera", ("sudo apt install python3-picamera2",)
    if sys.prefix != sys.base_prefix:
        again = f"python3 -m venv --system-site-packages --upgrade {sys.prefix}"
        return (
            f"is installed for the system, and not visible in this virtual environment (Python {here})",
            (again, "if its Python is not the system's, make the environment anew with /usr/bin/python3"),
        )
    return (
        f"is installed for the system's Python, and this is another one ({sys.executable})",
        ("/usr/bin/python3 -m venv --system-site-packages venv",),
    )
