"""An export is replaced as one piece: whatever happens in between, the old one or the new one is there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from converters.bundle import SCRATCH_PREFIX
from converters.digests import digest_of
from converters.hand_over import bring_back, hand_over
from converters.report import REPORT_VERSION
from converters.whole_folder import scratch_folder
from runtime.errors import UsageError
from tests.converters.conversions import content

# Replaced files and a replaced folder, a stale file, and one of the user's.
OLD = {
    "a.tflite": b"old a",
    "m_saved_model/saved_model.pb": b"old graph",
    "stale.pb": b"stale",
    "export.html": b"old page",
}
NEW = {"a.tflite": b"new a", "m_saved_model/saved_model.pb": b"new graph", "fresh.svg": b"new plot"}
MINE = {"mine.txt": b"of the user"}


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def report_on(folder: Path, *names: str) -> dict[str, Any]:
    parts = [{"file": name, "sha256": digest_of(folder / name)} for name in names]
    return {"schema_version": REPORT_VERSION, "files": [], "formats": [{"format": "x", "files": parts}]}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    write(folder, OLD | MINE)
    report = report_on(folder, "a.tflite", "m_saved_model", "stale.pb")
    (folder / "export.json").write_text(json.dumps(report), encoding="utf-8")
    return folder


def made(scratch: Path) -> tuple[list[Path], dict[str, Any]]:
    beside = scratch / "beside"
    write(beside, NEW)
    names = ("a.tflite", "m_saved_model", "fresh.svg")
    return [beside / name for name in names], report_on(beside, *names)


def replace_it(target: Path) -> list[str]:
    with scratch_folder(target, SCRATCH_PREFIX) as scratch:
        files, report = made(scratch)
        return hand_over(files, report, b"new page", target, scratch)


def test_all_is_replaced_and_what_is_stale_goes(target: Path) -> None:
    assert replace_it(target) == ["stale.pb"]
    after = content(target)
    report = json.loads(after.pop("export.json"))
    assert [part["file"] for part in report["formats"][0]["files"]] == ["a.tflite", "m_saved_model", "fresh.svg"]
    assert after == NEW | MINE | {"export.html": b"new page"}


def test_what_was_changed_since_stays(target: Path) -> None:
    (target / "stale.pb").write_bytes(b"changed by the user")
    assert replace_it(target) == []
    assert content(target)["stale.pb"] == b"changed by the user"


def test_what_is_the_users_is_asked_for_before_anything_moves(target: Path) -> None:
    before = content(target)
    asked: list[str] = []

    def refuse(names: Any) -> None:
        asked.extend(names)
        raise UsageError("it is the user's")

    with pytest.raises(UsageError), scratch_folder(target, SCRATCH_PREFIX) as scratch:
        files, report = made(scratch)
        hand_over(files, report, b"new page", target, scratch, refuse)
    assert asked == ["a.tflite", "m_saved_model", "fresh.svg", "export.html", "export.json"]
    assert content(target) == before


# Moves: 5 things are set aside, 5 come; what is before the first and behind the last is whole anyway.
MOVES = range(1, 10)


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The number of the move before which a signal comes, once."""
    real, when, done = Path.replace, [0], [0]

    def replace(self: Path, to: Path) -> Path:
        if done[0] == when[0]:
            done[0] = -1000
            raise KeyboardInterrupt
        done[0] += 1
        return real(self, to)

    monkeypatch.setattr(Path, "replace", replace)
    yield when
    monkeypatch.undo()


@pytest.mark.parametrize("number", MOVES)
def test_interrupted(target: Path, moves: list[int], number: int) -> None:
    before = content(target)
    moves[0] = number
    with pytest.raises(KeyboardInterrupt):
        replace_it(target)
    assert content(target) == before


KILLED = """\
import os, signal, sys
from pathlib import Path
from tests.converters.test_hand_over import replace_it
real, left = Path.replace, int(sys.argv[2])
def replace(self, to):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return real(self, to)
Path.replace = replace
replace_it(Path(sys.argv[1]))
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
@pytest.mark.parametrize("number", MOVES)
def test_killed(target: Path, number: int) -> None:
    before = content(target)
    done = subprocess.run([sys.executable, "-c", KILLED, str(target), str(number)], check=False, env=environment())
    assert done.returncode == -signal.SIGKILL
    assert content(target) != before
    bring_back(target)
    assert content(target) == before
    assert not list(target.glob(f"{SCRATCH_PREFIX}*")), "nor a folder without files"


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_killed_where_nothing_was_before(tmp_path: Path) -> None:
    target = tmp_path / "export"
    write(target, MINE)
    done = subprocess.run([sys.executable, "-c", KILLED, str(target), "4"], check=False, env=environment())
    assert done.returncode == -signal.SIGKILL
    assert (target / "fresh.svg").exists()
    bring_back(target)
    assert content(target) == MINE
    assert not list(target.glob(f"{SCRATCH_PREFIX}*"))


def environment() -> dict[str, str]:
    return dict(os.environ) | {"PYTHONPATH": str(Path(__file__).parents[2])}


def test_a_living_process_is_left_alone(target: Path) -> None:
    """It may be between two of its moves."""
    with scratch_folder(target, SCRATCH_PREFIX) as scratch:
        (target / "export.json").rename(scratch / "moved.json")
        write(scratch, {"aside/a.tflite": b"older", "coming.json": b"{}"})
        bring_back(target)
        assert content(target)["a.tflite"] == b"old a"


def test_a_full_disk_takes_nothing_away(mounted: Path) -> None:
    old = {"export.json": b"old report", "shapes_float32.tflite": b"old file"}
    write(mounted, old)
    report = {"files": [], "formats": [], "test_scores": ["x" * 1_000_000]}
    with pytest.raises(OSError, match="No space left"), scratch_folder(mounted, SCRATCH_PREFIX) as scratch:
        hand_over([], report, b"", mounted, scratch)
    assert content(mounted) == old
