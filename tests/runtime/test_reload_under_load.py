"""Models are swapped while all processors are busy: no frame without an answer, no answer of the wrong model."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.runtime.conftest import COLOURS, spec_of
from tests.runtime.seen import eventually
from tests.runtime.tiny_models import mean_colour_model

LANGUAGES = (("red", "green", "blue"), ("rot", "grün", "blau"))
# As the fixture ``clip`` has them: four frames each.
FILM = [colour for colour in ("red", "blue", "red") for _ in range(4)]


@pytest.fixture
def busy() -> Iterator[None]:
    """All processors have something else to do, too."""
    idle = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(idle) for _ in range(os.cpu_count() or 1)]
    yield
    for other in others:
        other.kill()
        other.wait()


def put(path: Path, content: bytes, turn: int) -> None:
    """Replace a file as users do: by another one, or by writing over it, a piece at a time."""
    if turn % 2:
        new = path.with_name("new")
        new.write_bytes(content)
        new.replace(path)
        return
    with path.open("wb", buffering=0) as file:
        for place in range(0, len(content), 500):
            file.write(content[place : place + 500])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM of POSIX")
@pytest.mark.usefixtures("busy")
def test_no_frame_is_lost_and_no_label_is_wrong(clip: Path, save_model: Callable[..., Path]) -> None:
    models = [
        save_model(mean_colour_model(then="SOFTMAX"), spec_of(*labels), f"{labels[0]}.tflite").read_bytes()
        for labels in LANGUAGES
    ]
    path = save_model(models[0], name="model.tflite")
    command = [sys.executable, "-m", "runtime", "classify", "--camera", str(clip), "--loop", "--json"]
    process = subprocess.Popen(
        [*command, "--model", str(path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    answers: list[Any] = []
    said: queue.Queue[str] = queue.Queue()
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        readers = [
            threading.Thread(target=lambda out: answers.extend(map(json.loads, out)), args=(process.stdout,)),
            threading.Thread(target=lambda err: [said.put(line) for line in err], args=(process.stderr,)),
        ]
        for reader in readers:
            reader.start()
        try:
            assert eventually(lambda: answers, 60)
            for turn in range(4):
                put(path, models[(turn + 1) % 2], turn)
                assert said.get(timeout=60) == f"model: {path} was replaced; the new one, 3 labels, is in use\n"
            swapped = len(answers)
            assert eventually(lambda: len(answers) > swapped + 10)
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        finally:
            process.kill()
            for reader in readers:
                reader.join(20)
    assert process.returncode == 0
    assert [answer["frame"] for answer in answers] == list(range(len(answers)))
    languages = []
    for answer in answers:
        labels = {guess["label"] for guess in answer["predictions"]}
        language = next(language for language in LANGUAGES if labels == set(language))
        colour = list(COLOURS).index(FILM[answer["frame"] % len(FILM)])
        assert answer["labels"] == [language[colour]]
        languages.append(language)
    swaps = sum(before != after for before, after in zip(languages, languages[1:], strict=False))
    assert (swaps, languages[-1]) == (4, LANGUAGES[0])
