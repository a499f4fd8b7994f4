from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from runtime.private_copy import PrivateCopies


def test_the_end_while_another_thread_is_done_with_its_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, copies = tmp_path / "model.tflite", PrivateCopies()
    model.write_bytes(b"model")
    taken, done = threading.Event(), threading.Event()
    used: list[Path] = []

    def use() -> None:
        with copies.of(model) as copy:
            used.append(copy)
            taken.set()
            done.wait(10)

    thread = threading.Thread(target=use)
    thread.start()
    assert taken.wait(10)
    remove = shutil.rmtree

    def remove_slowly(folder: Any, **options: Any) -> None:
        if threading.current_thread() is not thread:
            done.set()
            thread.join(10)
        remove(folder, **options)

    monkeypatch.setattr(shutil, "rmtree", remove_slowly)
    copies.end()
    assert not thread.is_alive()
    assert not used[0].parent.exists()
