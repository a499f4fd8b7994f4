"""Work in a child process: its answers, its errors, its deaths. The functions at the end are what the child does."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from runtime.child import ChildDied, Tell, run_in_child
from runtime.errors import DataError, ImageError

HERE = "tests.runtime.test_child"


def test_answers() -> None:
    request = {"text": "緑\n\udcff", "numbers": [1, 2.5, None]}
    assert run_in_child(f"{HERE}:echo", request, 60) == [request, True]


def test_modules_of_the_current_folder_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('mine')")
    monkeypatch.chdir(tmp_path)
    assert run_in_child(f"{HERE}:echo", {}, 60) == [{}, True]


def test_errors_of_ours_come_back() -> None:
    with pytest.raises(ImageError, match="^two\nlines$"):
        run_in_child(f"{HERE}:refuse", {}, 60)
    with pytest.raises(DataError, match="not enough memory"):
        run_in_child(f"{HERE}:no_memory", {}, 60)


@pytest.mark.parametrize(
    ("how", "said", "words"),
    [
        ("SIGSEGV", "crashed (SIGSEGV)", ""),
        ("SIGABRT", "crashed (SIGABRT)", ""),
        ("exception", "failed with exit code 1", "ValueError: odd"),
        ("exit", "ended without an answer", ""),
        ("killed", "crashed (SIGKILL)", ""),
        ("hang", "did not answer within 2 s", "waiting"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_deaths(how: str, said: str, words: str) -> None:
    with pytest.raises(ChildDied) as caught:
        run_in_child(f"{HERE}:die", {"how": how}, 2 if how == "hang" else 60)
    assert caught.value.how == said
    assert caught.value.words == words
    assert caught.value.told == ["begun", {"step": 1}]


def echo(request: dict[str, Any], tell: Tell) -> list[Any]:
    print('["result", "printed"]', flush=True)
    os.write(1, b"written to the descriptor\n")
    tell("unheard")
    return [request, True]


def refuse(request: dict[str, Any], tell: Tell) -> None:
    raise ImageError("two\nlines")


def no_memory(request: dict[str, Any], tell: Tell) -> None:
    raise MemoryError


def die(request: dict[str, Any], tell: Tell) -> None:
    tell("begun")
    tell({"step": 1})
    how = request["how"]
    if how == "exception":
        raise ValueError("odd")
    if how == "exit":
        os._exit(0)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hang":
        sys.stderr.write("waiting\n")
        sys.stderr.flush()
        time.sleep(60)
    os.kill(os.getpid(), getattr(signal, how))
