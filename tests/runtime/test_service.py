from __future__ import annotations

import getpass
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.errors import UsageError
from runtime.service.install import install
from runtime.service.notify import Notifier
from runtime.service.unit import UnitOptions, quoted, unit_text

Run = Callable[..., subprocess.CompletedProcess[str]]
COMMAND = ("classify", "--camera", "0", "--model", "/opt/it's 100% $HOME/花 a.tflite")
ANALYZE = shutil.which("systemd-analyze")


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("user", ["", "root"])
def test_systemd_finds_no_fault_in_the_unit(user: str, tmp_path: Path) -> None:
    options = UnitOptions(
        ("/bin/true", *COMMAND), user=user, groups=("video",), folder=tmp_path, writable=(tmp_path,), memory="40%"
    )
    path = tmp_path / "edge-classifier.service"
    path.write_text(unit_text(options))
    done = subprocess.run([str(ANALYZE), "verify", path], capture_output=True, text=True, check=False)
    about_ours = [line for line in done.stderr.splitlines() if "edge-classifier" in line]
    assert (done.returncode, about_ours) == (0, [])


@pytest.mark.skipif(shutil.which("systemd-escape") is None, reason="systemd is not installed")
def test_the_unit_holds_all_that_a_year_needs(tmp_path: Path) -> None:
    text = unit_text(UnitOptions(("/bin/runtime", *COMMAND), watchdog=20, memory="128M", groups=("video", "gpio")))
    for line in (
        "Type=notify",
        "Restart=always",
        "WatchdogSec=20",
        "MemoryMax=128M",
        "DynamicUser=true",
        "SupplementaryGroups=video",
        "SupplementaryGroups=gpio",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "WantedBy=multi-user.target",
    ):
        assert line in text.splitlines()


def test_words_as_systemd_reads_them() -> None:
    assert [quoted(word) for word in ("plain-1.0", "", "a b", 'say "x"', "50%", "$HOME", "back\\slash", "花")] == [
        "plain-1.0",
        '""',
        '"a b"',
        '"say \\"x\\""',
        "50%%",
        "$$HOME",
        '"back\\\\slash"',
        '"花"',
    ]
    with pytest.raises(UsageError, match="line break"):
        quoted("two\nlines")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "../x"}, "--name must be"),
        ({"name": ""}, "--name must be"),
        ({"user": "Robert'; --"}, "--user must be"),
        ({"memory": "much"}, "--memory must be"),
        ({"watchdog": 1}, "--watchdog must be 5 to 3600"),
        ({"folder": Path("/two\nlines")}, "line break"),
    ],
)
def test_what_no_unit_can_hold(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        unit_text(UnitOptions(("/bin/true",), **options))  # type: ignore[arg-type]


def test_the_command_shows_and_writes_a_unit(run_module: Run, tmp_path: Path) -> None:
    shown = run_module("install-service", "--user", "root", "--output", "-", "--", *COMMAND, cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    (line,) = [line for line in shown.stdout.splitlines() if line.startswith("ExecStart=")]
    words = shlex.split(line.removeprefix("ExecStart=").replace("%%", "%").replace("$$", "$"))
    assert tuple(words[-len(COMMAND) :]) == COMMAND
    path = tmp_path / "door.service"
    for _ in range(2):  # the second time it replaces its own
        done = run_module("install-service", "--user", "root", "--output", str(path), "--", *COMMAND, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, f"written: {path}\n")
        assert path.read_text() == shown.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name the command that is to run, behind --"),
        (["--", "info", "x.tflite"], "must be serve or classify, with options; got info"),
        (["--", "classify", "photo.jpg"], "a service needs a camera"),
        (["--", "classify", "--camera", "-"], "a service has no standard input"),
        (["--", "classify", "--camera", "a.mp4"], "--camera a.mp4: has an end, and a service has none; add --loop"),
        (["--", "classify", "--camera", "0", "--smooth", "1e9"], "--smooth must be 0 to 3600 seconds"),
        (["--", "serve", "--csv", "a.csv"], "outputs are for the answers of a camera"),
        (["--", "classify", "--camera", "0", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["--", "classify", "--camera", "0", "--top-k", "many"], "--top-k: must be a whole number; got 'many'"),
        (["--", "classify", "--camera", "0", "--help"], "--help is no command for a service"),
        (["--user", "nobody-of-that-name", "--", *COMMAND], "there is no such user"),
    ],
)
def test_no_service_for_this(words: list[str], message: str, run_module: Run) -> None:
    done = run_module("install-service", "--output", "-", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_other_peoples_units_stay(run_module: Run, tmp_path: Path) -> None:
    path = tmp_path / "ssh.service"
    path.write_text("[Unit]\n")
    done = run_module("install-service", "--user", "root", "--output", str(path), "--", *COMMAND)
    assert done.returncode == 1
    assert "was not written by runtime" in done.stderr
    assert path.read_text() == "[Unit]\n"


def test_a_folder_that_is_not_there(run_module: Run, tmp_path: Path) -> None:
    path = tmp_path / "none" / "x.service"
    done = run_module("install-service", "--user", "root", "--output", str(path), "--", *COMMAND)
    assert done.returncode == 1
    assert "cannot be written: No such file or directory" in done.stderr


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that only its owner may open, in a system whose other folders are open."""
    monkeypatch.chdir("/")
    monkeypatch.setattr("runtime.service.install.sys.executable", shutil.which("sh"))
    monkeypatch.setattr("runtime.service.install.__file__", shutil.which("sh"))
    for folder in [tmp_path, *tmp_path.parents]:  # pytest's own folders are closed too
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    (tmp_path / "m.tflite").touch()
    (tmp_path / "closed").mkdir(mode=0o700)
    return tmp_path / "closed"


@pytest.mark.parametrize(
    "words",
    [
        ["classify", "--camera", "0", "--model", "FILE"],
        ["classify", "--camera=0", "--mod", "FILE"],
        ["classify", "--camera", "0", "--model=M", "--lab=FILE"],
        ["classify", "--camera", "0", "--model", "M", "--delegate", "FILE:device=usb"],
        ["classify", "--camera", "FILE.mp4", "--loop", "--model", "M"],
        ["serve", "--camera", "FILE%03d.jpg", "--model", "M"],
        ["classify", "--camera", "test", "--model", "M", "--on", "cat", "FILE {label}"],
        ["serve", "--token-f", "FILE", "--model", "M"],
    ],
)
def test_its_own_user_must_be_able_to_read_the_files(
    words: list[str], closed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (closed / "f.mp4").touch()
    (closed / "f").write_text("#!/bin/sh\n" + 30 * "a")
    words = [word.replace("FILE", str(closed / "f")).replace("=M", f"={closed.parent}/m.tflite") for word in words]
    words = [str(closed.parent / "m.tflite") if word == "M" else word for word in words]
    with pytest.raises(UsageError, match=r"closed is closed to others; say --user \w+, or move"):
        install("x", "", "256M", 30, "-", words, sys.stdout, sys.stderr)
    closed.chmod(0o755)
    assert install("x", "", "256M", 30, "-", words, sys.stdout, sys.stderr) == 0
    assert "DynamicUser=true" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["classify", "--camera", "0", "--save", "PLACE/pictures"],
        ["classify", "--camera", "0", "--cs=PLACE/a.csv"],
        ["serve", "--token-file", "PLACE/token"],
    ],
)
def test_where_it_may_write(words: list[str], closed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*(word.replace("PLACE", str(closed)) for word in words), "--model", str(closed.parent / "m.tflite")]
    with pytest.raises(UsageError, match="the service's own user may write to /var/lib/x alone, not to"):
        install("x", "", "256M", 30, "-", words, sys.stdout, sys.stderr)
    assert install("x", getpass.getuser(), "256M", 30, "-", words, sys.stdout, sys.stderr) == 0
    assert f"ReadWritePaths={closed}\n" in capsys.readouterr().out
    words = [word.replace(str(closed), "/var/lib/x") for word in words]
    assert install("x", "", "256M", 30, "-", words, sys.stdout, sys.stderr) == 0


def test_signs_of_life(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3600000000"})
        notifier.ready("花 two\nlines")
        assert manager.recv(1000).decode() == "READY=1\nSTATUS=花 two lines"
        for _ in range(3):
            notifier.beat()
        notifier.stopping()
        assert [manager.recv(1000), manager.recv(1000)] == [b"WATCHDOG=1", b"STOPPING=1"]


def test_the_first_sign_of_life_on_a_device_that_has_just_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        monkeypatch.setattr("runtime.service.notify.time.monotonic", lambda: 3.0)
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000000"}).beat()
        monkeypatch.undo()
        assert manager.recv(1000) == b"WATCHDOG=1"


def test_an_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0edge-export-test")
        manager.settimeout(5)
        Notifier({"NOTIFY_SOCKET": "@edge-export-test"}).stopping()
        assert manager.recv(1000) == b"STOPPING=1"


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/at/all", "@nobody-listens"])
def test_nobody_listens(address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "garbage"})
    notifier.ready("x")
    notifier.beat()
    notifier.stopping()


def test_a_watchdog_of_another_process(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        meant = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
        Notifier(meant).beat()
        with pytest.raises(BlockingIOError):
            manager.recv(1000)
