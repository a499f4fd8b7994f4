from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from runtime.actions.commands import RunCommands
from runtime.actions.options import CommandRule
from runtime.actions.placeholders import fill_in
from runtime.actions.worker import Worker
from runtime.cli import main
from runtime.said import Said
from tests.conftest import ROOT
from tests.runtime.seen import Log, eventually, seen

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="commands of POSIX")


@contextmanager
def running(*rules: CommandRule, log: Log | None = None, camera: bool = True) -> Iterator[RunCommands]:
    said = Said(log or Log(), "--on cat")
    with closing(RunCommands(rules, [said] * len(rules), camera=camera)) as action:
        yield action


def writes(path: Path, *words: str) -> tuple[str, ...]:
    """A command that appends its arguments to a file, a line each."""
    code = "import sys; open(sys.argv[1], 'a').write('\\n'.join(sys.argv[2:]) + '\\n')"
    return (sys.executable, "-c", code, str(path), *words)


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def test_placeholders() -> None:
    words = ("{label}", "-d", '{"name": "{label}", "score": {score}}', "{print $1}", "{lab}", "{source}#{frame} {time}")
    assert fill_in(words, seen("向日葵", number=7, source="{score}"), "向日葵") == (
        "向日葵",
        "-d",
        '{"name": "向日葵", "score": 0.750}',
        "{print $1}",
        "{lab}",
        "{score}#7 2026-03-01T09:30:00.125Z",
    )


def test_it_starts_when_the_label_appears(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with running(CommandRule("cat", writes(path, "{frame}"), pause=0)) as action:
        for number, label in enumerate(["dog", "cat", "cat", "dog", "cat"]):
            action.handle(seen(label, number=number))
            if label == "cat":
                assert eventually(lambda: action._rules[0]._worker.idle)  # type: ignore[union-attr]
    assert lines(path) == ["1", "4"]


def test_no_label_at_all_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with running(CommandRule("unknown", writes(path, "{label} {score}"))) as action:
        action.handle(seen("cat"))
        action.handle(seen(scores=(0.25, 0.1, 0.1)))
        assert eventually(lambda: lines(path))
    assert lines(path) == ["unknown 0.250"]


def test_it_is_not_started_too_often(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with running(CommandRule("cat", writes(path, "{frame}"), pause=1000)) as action:
        for number in range(100):
            action.handle(seen("cat" if number % 2 else "dog", number=number))
        assert eventually(lambda: lines(path))
    assert lines(path) == ["1"]


def test_there_is_no_shell(tmp_path: Path) -> None:
    path = tmp_path / "out"
    label = f"$(touch {tmp_path}/bad); touch {tmp_path}/bad\n`touch {tmp_path}/bad`"
    with running(CommandRule(label, writes(path, "{label}", ">", "x", "&&", "{label}")), camera=False) as action:
        action.handle(seen(label, names=(label, "b")))
    assert not (tmp_path / "bad").exists()
    assert lines(path)[0].startswith("$(touch")


def test_while_it_runs_it_is_not_started_again(tmp_path: Path) -> None:
    path, log, go = tmp_path / "out", Log(), tmp_path / "go"
    script = f"echo x >> {path}; while [ ! -e {go} ]; do sleep 0.01; done"
    with running(CommandRule("cat", ("sh", "-c", script), pause=0), log=log) as action:
        for number in range(10):
            action.handle(seen("dog" if number % 2 else "cat"))
        assert eventually(lambda: lines(path))
        go.touch()
        assert eventually(lambda: action._rules[0]._worker.idle)  # type: ignore[union-attr]
        assert lines(path) == ["x"]
        action.handle(seen("cat"))
        assert eventually(lambda: len(lines(path)) == 2)
    assert log.lines == ["--on cat: sh is still running; not started again"]


def test_a_label_that_appears_in_the_pause_and_stays_starts_it_behind_the_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, clock = tmp_path / "out", [100.0]
    monkeypatch.setattr("runtime.actions.commands.time", SimpleNamespace(monotonic=lambda: clock[0]))
    with running(CommandRule("cat", writes(path, "{frame}"), pause=10, timeout=1e9)) as action:
        for number, (moment, label) in enumerate(
            [(0, "cat"), (1, "dog"), (2, "cat"), (9, "cat"), (10, "cat"), (11, "cat"), (30, "cat")]  # starts 0 and 4
            + [(31, "dog"), (32, "cat"), (33, "dog"), (50, "dog"), (60, "dog")]  # starts 8
            + [(61, "cat"), (62, "dog"), (63, "cat"), (64, "dog"), (80, "dog")]  # starts 12; the other one is gone
        ):
            clock[0] = 100.0 + moment
            action.handle(seen(label, number=number))
            assert eventually(lambda: action._rules[0]._worker.idle)  # type: ignore[union-attr]
    assert lines(path) == ["0", "4", "8", "12"]


def test_a_label_that_appears_while_it_runs_and_stays_starts_it_again(tmp_path: Path) -> None:
    path, log, go = tmp_path / "out", Log(), tmp_path / "go"
    script = f"echo $1 >> {path}; while [ ! -e {go} ]; do sleep 0.01; done"
    with running(CommandRule("cat", ("sh", "-c", script, "sh", "{frame}"), pause=0), log=log) as action:
        for number, label in enumerate(["cat", "dog", "cat", "cat"]):
            action.handle(seen(label, number=number))
        assert eventually(lambda: lines(path))
        go.touch()
        assert eventually(lambda: action._rules[0]._worker.idle)  # type: ignore[union-attr]
        for number in (4, 5, 6):
            action.handle(seen("cat", number=number))
            assert eventually(lambda: action._rules[0]._worker.idle)  # type: ignore[union-attr]
    assert (lines(path), log.lines) == (["0", "4"], [])


def test_a_failure_that_nobody_foresaw_ends_no_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, log = tmp_path / "out", Log()
    with running(CommandRule("cat", writes(path, "{frame}"), pause=0), log=log) as action:
        with monkeypatch.context() as patch:
            patch.setattr("runtime.actions.commands.threading.Thread.start", lambda thread: 1 / 0)
            action.handle(seen("cat", number=1))
            assert eventually(lambda: log.lines)
        action.handle(seen("dog"))
        action.handle(seen("cat", number=2))
        assert eventually(lambda: "2" in lines(path))
    assert log.lines == [f"--on cat: {sys.executable} could not be seen to: ZeroDivisionError: division by zero"]
    assert lines(path) in (["2"], ["1", "2"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sh", "-c", "echo first; echo 'no such bell' >&2; exit 3"), "sh failed with exit code 3: no such bell"),
        (("sh", "-c", "exit 1"), "sh failed with exit code 1"),
        (("sh", "-c", "kill -9 $$"), "sh failed with signal 9"),
        (("./no such command",), "./no such command cannot be started: No such file or directory"),
        (("/",), "/ cannot be started: Permission denied"),
        (("echo", "{label}\0"), "echo cannot be started: embedded null byte"),
        (("sh", "-c", "printf '\\033[31mred'; exit 1"), "sh failed with exit code 1: \\x1b[31mred"),
    ],
)
def test_what_fails_is_said(words: tuple[str, ...], message: str) -> None:
    log = Log()
    with running(CommandRule("cat", words), log=log, camera=False) as action:
        action.handle(seen("cat"))
    assert log.lines == [f"--on cat: {message}"]


def test_a_command_that_prints_without_end_is_read(tmp_path: Path) -> None:
    log = Log()
    code = "import sys; sys.stdout.write('x' * 3_000_000 + '\\nlast\\n'); sys.exit(1)"
    with running(CommandRule("cat", (sys.executable, "-c", code)), log=log, camera=False) as action:
        action.handle(seen("cat"))
    assert log.lines == [f"--on cat: {sys.executable} failed with exit code 1: last"]


def _state(process: str) -> str:
    """The letter that Linux has for it; "gone", or "" on other systems."""
    if not Path("/proc/self/stat").exists():
        return ""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # it ended at this moment
        return "gone"


def alive(path: Path) -> list[int]:
    """Which of the processes whose numbers stand in a file still run."""
    found = []
    for line in lines(path):
        try:
            os.kill(int(line), 0)
        except ProcessLookupError:
            continue
        if _state(line) not in ("Z", "gone"):
            found.append(int(line))
    return found


# Deaf to the polite signal, and with a child that is so too.
_DEAF = (
    "trap '' TERM; echo $$ >> {0}; (trap '' TERM; sh -c 'echo $PPID' >> {0}; while :; do sleep 0.1; done) & wait; wait"
)


def test_one_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    path, log = tmp_path / "processes", Log()
    rule = CommandRule("cat", ("sh", "-c", _DEAF.format(path)), timeout=0.3)
    with running(rule, log=log) as action:
        action.handle(seen("cat"))
        assert eventually(lambda: log.lines)
    assert log.lines == ["--on cat: sh was killed after 0.3 s (--on-timeout)"]
    assert len(lines(path)) == 2
    assert eventually(lambda: not alive(path))


def test_one_that_runs_at_the_end_is_killed(tmp_path: Path) -> None:
    path, log = tmp_path / "processes", Log()
    with running(CommandRule("cat", ("sh", "-c", _DEAF.format(path))), log=log) as action:
        action.handle(seen("cat"))
        assert eventually(lambda: len(lines(path)) == 2)
    assert eventually(lambda: not alive(path))
    assert log.lines == []


def test_a_second_signal_kills_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "processes"

    def interrupted(_worker: object, _seconds: float) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), running(CommandRule("cat", ("sh", "-c", _DEAF.format(path)))) as action:
        action.handle(seen("cat"))
        assert eventually(lambda: len(lines(path)) == 2)
        monkeypatch.setattr(Worker, "close", interrupted)
    assert eventually(lambda: not alive(path))


def test_a_picture_waits_for_its_command(photos: Path, colours: Path, tmp_path: Path) -> None:
    path = tmp_path / "out"
    (photos / "red 2.png").write_bytes((photos / "red.png").read_bytes())
    command = " ".join(f"'{word}'" if " " in word else word for word in ("sh", "-c", f'echo "$0" >> {path}'))
    rules = ["--on", "red", f"{command} {{source}}", "--on", "緑 grün", f"{command} {{label}}"]
    assert main(["classify", "--model", str(colours), *rules, str(photos)]) == 0
    assert lines(path) == ["緑 grün", str(photos / "red 2.png"), str(photos / "red.png")]


def test_sigterm_ends_the_command_and_its_commands(clip: Path, colours: Path, tmp_path: Path) -> None:
    path = tmp_path / "processes"
    on = ["--on", "red", f"sh -c 'echo $$ >> {path}; exec sleep 1000'"]
    command = [sys.executable, "-m", "runtime.cli", "classify", "--camera", str(clip), "--model", str(colours), *on]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment}
    with subprocess.Popen([*command, "--realtime", "--loop"], **options) as process:  # type: ignore[call-overload]
        assert eventually(lambda: lines(path))
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert b"Traceback" not in err
    assert process.returncode in (0, 143)
    assert eventually(lambda: not alive(path))
