"""The board itself: what it is, heat, power, memory, disk."""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
from pathlib import Path

from runtime.doctor.finding import Device, Finding

# Below these a model of 15 MB with a camera's frames does not fit with ease.
_LITTLE_MEMORY, _LITTLE_DISK = 100, 200
# Degrees Celsius: a Raspberry Pi slows down from 80 on, and hard at 85:
# https://www.raspberrypi.com/documentation/computers/raspberry-pi.html#frequency-management-and-thermal-control
_HOT = 80.0
# Bits of `vcgencmd get_throttled`: https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
_THROTTLED = (
    (0, "the supply's voltage is too low"),
    (1, "the processor's frequency is capped"),
    (2, "the processor is throttled"),
    (3, "the soft temperature limit is active"),
)
_SINCE = 16  # the same bits, shifted: it was so at some time since the start


def check_board(device: Device) -> list[Finding]:
    """What this is, and whether it suffers."""
    return [_name(device), *_power(device), *_heat(device), _memory(device), *_disk(), *_memory_limits(device)]


def _name(device: Device) -> Finding:
    model = device.board or "no board that names itself"
    system = device.read("/etc/os-release") or ""
    pretty = re.search(r'^PRETTY_NAME="?([^"\n]*)', system, re.MULTILINE)
    return Finding("device", "ok", f"{model}, {pretty[1] if pretty else platform.system()}, {platform.machine()}")


def _power(device: Device) -> list[Finding]:
    said = device.run(["vcgencmd", "get_throttled"]) or ""
    found = re.fullmatch(r"throttled=0x([0-9a-fA-F]+)\s*", said)
    if not found:
        return []
    bits = int(found[1], 16)
    now = [text for bit, text in _THROTTLED if bits >> bit & 1]
    since = [text for bit, text in _THROTTLED if bits >> (bit + _SINCE) & 1]
    mend: tuple[str, ...] = (
        ("use a supply and a cable made for this board (5 V, 3 A; Pi 5: 5 A)",) if bits & 0x10001 else ()
    )
    mend += ("give it a heat sink or a fan, or lower --fps",) if bits & 0xE000E else ()
    if now:
        return [Finding("power", "fault", f"{'; '.join(now)} (get_throttled 0x{bits:x})", mend)]
    if since:
        text = f"since it was started, at times: {'; '.join(since)} (get_throttled 0x{bits:x})"
        return [Finding("power", "warning", text, mend)]
    return [Finding("power", "ok", "no throttling since it was started")]


def _heat(device: Device) -> list[Finding]:
    degrees = []
    for zone in device.glob("sys/class/thermal/thermal_zone*/temp"):
        text = device.read(f"/{zone.relative_to(device.root)}") or ""
        if re.fullmatch(r"-?[0-9]+", text):
            degrees.append(int(text) / 1000)
    if not degrees:
        return []
    hottest = max(degrees)
    if hottest >= _HOT:
        mend = ("give it a heat sink or a fan, or lower --fps",)
        return [Finding("temperature", "fault", f"{hottest:.0f} °C: it slows down from {_HOT:.0f} °C on", mend)]
    return [Finding("temperature", "ok", f"{hottest:.0f} °C")]


def _memory(device: Device) -> Finding:
    text = device.read("/proc/meminfo") or ""
    values = {name: int(kilobytes) / 1024 for name, kilobytes in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}
    if "MemAvailable" not in values:
        return Finding("memory", "note", "the system does not say how much is free")
    free, total = values["MemAvailable"], values.get("MemTotal", 0.0)
    said = f"{free:.0f} MB of {total:.0f} MB free"
    if free < _LITTLE_MEMORY:
        mend = (
            "end other programs",
            "boot without a desktop: sudo systemctl set-default multi-user.target && sudo reboot",
        )
        return Finding("memory", "warning", f"{said}: little for a model and a camera", mend)
    return Finding("memory", "ok", said)


def _disk() -> list[Finding]:
    found = []
    for what, folder in (("disk", Path.cwd()), ("temporary files", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free / 1e6
        if not os.access(folder, os.W_OK):
            found.append(Finding(what, "note", f"{folder} is not writable"))
        elif free < _LITTLE_DISK:
            found.append(Finding(what, "warning", f"{free:.0f} MB free in {folder}", ("sudo apt clean",)))
        else:
            found.append(Finding(what, "ok", f"{free / 1000:.1f} GB free in {folder}"))
    return found


def _memory_limits(device: Device) -> list[Finding]:
    """A service's MemoryMax needs the kernel's memory controller, which Raspberry Pi OS leaves off."""
    controllers = device.read("/sys/fs/cgroup/cgroup.controllers")
    if controllers is None or "memory" in controllers.split():
        return []
    mend = ("sudo sed -i 's/$/ cgroup_enable=memory cgroup_memory=1/' /boot/firmware/cmdline.txt && sudo reboot",)
    return [Finding("memory limits", "note", "off in this kernel: a service's --memory has no effect", mend)]
