from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.child import ChildDied
from runtime.doctor.board import check_board
from runtime.doctor.cameras import check_cameras
from runtime.doctor.finding import Device, Finding
from runtime.doctor.report import as_json, as_text, examine
from runtime.doctor.software import check_software
from runtime.errors import MissingPackageError

Run = Callable[..., subprocess.CompletedProcess[str]]
PI = "Raspberry Pi Zero 2 W Rev 1.0"


def device(tmp_path: Path, files: dict[str, str], programs: dict[str, str] | None = None) -> Device:
    """A file system with these files, and programs that print these texts."""
    root, path = tmp_path / "root", tmp_path / "bin"
    path.mkdir()
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name, text in (programs or {}).items():
        (path / name).write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
        (path / name).chmod(0o755)
    root.mkdir(exist_ok=True)
    return Device(root, str(path) + os.pathsep + os.environ["PATH"])


def named(findings: list[Finding], what: str) -> Finding:
    (found,) = [finding for finding in findings if finding.what == what]
    return found


def test_here_every_check_runs_and_the_interpreter_loads(colours: Path) -> None:
    found = examine([colours])
    assert not [finding for finding in found if "could not be looked at" in finding.text]
    assert named(found, "interpreter").status == "ok"
    assert named(found, "python").text.startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    model = named(found, "model")
    assert (model.status, "runs here" in model.text) == ("ok", True)


def test_the_command(colours: Path, run_module: Run, tmp_path: Path) -> None:
    done = run_module("doctor", "--json", str(colours))
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr, told["healthy"]) == (0, "", True)
    (tmp_path / "bad.tflite").write_bytes(b"nothing")
    done = run_module("doctor", str(tmp_path / "bad.tflite"), str(tmp_path / "missing"))
    assert done.returncode == 1
    faults = [line for line in done.stdout.splitlines() if line.startswith("FAULT")]
    assert len(faults) == 2
    assert "no such file or folder" in faults[1]
    assert done.stdout.splitlines()[-1].startswith("2 faults, ")


def test_a_healthy_board(tmp_path: Path) -> None:
    files = {
        "proc/device-tree/model": PI + "\0",
        "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        "proc/meminfo": "MemTotal: 436604 kB\nMemFree: 10 kB\nMemAvailable: 262144 kB\n",
        "sys/class/thermal/thermal_zone0/temp": "48312\n",
        "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n",
    }
    found = check_board(device(tmp_path, files, {"vcgencmd": "throttled=0x0"}))
    assert {finding.status for finding in found} == {"ok"}
    assert named(found, "device").text.startswith(f"{PI}, Debian GNU/Linux 12 (bookworm), ")
    assert named(found, "temperature").text == "48 °C"
    assert named(found, "memory").text == "256 MB of 426 MB free"


def test_a_board_that_suffers(tmp_path: Path) -> None:
    files = {
        "proc/meminfo": "MemTotal: 436604 kB\nMemAvailable: 51200 kB\n",
        "sys/class/thermal/thermal_zone0/temp": "84900\n",
        "sys/class/thermal/thermal_zone1/temp": "unreadable\n",
        "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io pids\n",
    }
    found = check_board(device(tmp_path, files, {"vcgencmd": "throttled=0x50005"}))
    power = named(found, "power")
    assert power.status == "fault"
    assert "the supply's voltage is too low; the processor is throttled" in power.text
    assert any("supply" in step for step in power.mend)
    assert any("heat sink" in step for step in power.mend)
    assert named(found, "temperature").status == "fault"
    assert named(found, "memory").status == "warning"
    limits = named(found, "memory limits")
    assert (limits.status, "cgroup_enable=memory" in limits.mend[0]) == ("note", True)


def test_a_board_that_suffered(tmp_path: Path) -> None:
    (power,) = [f for f in check_board(device(tmp_path, {}, {"vcgencmd": "throttled=0x10000"})) if f.what == "power"]
    assert (power.status, power.text) == (
        "warning",
        "since it was started, at times: the supply's voltage is too low (get_throttled 0x10000)",
    )


def test_cameras_that_may_and_may_not_be_opened(tmp_path: Path) -> None:
    files = {
        "sys/class/video4linux/video0/name": "HD Webcam: 花\n",
        "dev/video0": "",
        "sys/class/video4linux/video1/name": "Gone\n",
        "sys/class/video4linux/video10/name": "bcm2835-codec-decode\n",
    }
    found = check_cameras(device(tmp_path, files))
    assert [(f.status, f.text) for f in found] == [
        ("ok", "--camera 0: HD Webcam: 花"),
        ("fault", "Gone: the kernel has it, /dev/video1 is missing"),
    ]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may open everything")
def test_a_camera_of_another_group(tmp_path: Path) -> None:
    there = device(tmp_path, {"sys/class/video4linux/video0/name": "Cam", "dev/video0": ""})
    (there.root / "dev/video0").chmod(0)
    (found,) = check_cameras(there)
    assert found.status == "fault"
    assert found.mend[0] == "sudo usermod -aG video $USER"


def test_the_raspberry_pi_camera_out_of_sight(tmp_path: Path) -> None:
    without = check_cameras(device(tmp_path, {"proc/device-tree/model": PI}))
    assert named(without, "picamera2").mend == ("sudo apt install python3-picamera2",)
    (tmp_path / "second").mkdir()
    files = {"usr/lib/python3/dist-packages/picamera2/__init__.py": ""}
    hidden = named(check_cameras(device(tmp_path / "second", files)), "picamera2")
    assert hidden.status == "warning"
    assert "system-site-packages" in hidden.mend[0]


def test_the_raspberry_pi_camera_in_sight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site" / "picamera2").mkdir(parents=True)
    (tmp_path / "site" / "picamera2" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    listing = (
        "Available cameras\n-----------------\n0 : imx708 [4608x2592] (/base/soc/i2c@1/imx708@1a)\n    Modes: ...\n"
    )
    there = device(tmp_path, {"proc/device-tree/model": PI}, {"rpicam-hello": listing})
    found = check_cameras(there)
    assert named(found, "picamera2").status == "ok"
    assert named(found, "libcamera").text == "0 : imx708 [4608x2592] (/base/soc/i2c@1/imx708@1a)"
    (Path(there.path.split(os.pathsep)[0]) / "rpicam-hello").write_text("#!/bin/sh\necho 'No cameras available!'\n")
    assert named(check_cameras(there), "libcamera").status == "warning"


def test_software(tmp_path: Path) -> None:
    found = check_software(device(tmp_path, {}))
    assert named(found, "interpreter").status == "ok"
    assert named(found, "pictures").text.endswith("reads JPEG")


def test_a_file_in_the_current_folder_that_is_called_like_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "numpy.py").write_text("raise SystemExit('mine')")
    found = {finding.what: finding.status for finding in check_software(Device(tmp_path))}
    assert (found["interpreter"], found["pictures"]) == ("ok", "ok")


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        (ChildDied("crashed (SIGILL)", [], "last words"), "its process crashed (SIGILL): last words"),
        (MissingPackageError("no TFLite interpreter (it does not load)"), "no TFLite interpreter (it does not load)"),
        (OSError(11, "Resource temporarily unavailable"), "[Errno 11] Resource temporarily unavailable"),
    ],
)
def test_an_interpreter_that_does_not_load(
    raised: Exception, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise raised

    monkeypatch.setattr("runtime.doctor.software.run_in_child", fail)
    (finding,) = [finding for finding in check_software(Device(tmp_path)) if finding.what == "interpreter"]
    assert finding.status == "fault"
    assert finding.text.endswith(f": {text}")


def test_numpy_that_does_not_fit(floor_python: Path, run_module: Run, tmp_path: Path) -> None:
    code = "from runtime.doctor import software as s\n"
    code += "s.package_version = lambda name: {'tflite-runtime': '2.14.0', 'numpy': '2.1.0'}.get(name)\n"
    code += "print(s._interpreter()[0])"
    done = subprocess.run([floor_python, "-c", code], capture_output=True, text=True, check=True)
    assert "status='fault'" in done.stdout
    assert "numpy<2" in done.stdout


def test_texts() -> None:
    findings = [Finding("a", "ok", "fine"), Finding("b", "fault", "broken", ("do this", "then that"))]
    assert as_text(findings).splitlines() == [
        "ok      a                fine",
        "FAULT   b                broken",
        "                         mend: do this",
        "                         mend: then that",
        "1 fault, 0 warnings",
    ]
    assert as_text(findings[:1]).endswith("nothing is wrong")
    assert json.loads(as_json(findings))["healthy"] is False
