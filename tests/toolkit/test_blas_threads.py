"""toolkit.blas_threads: one thread in the block, as many as before after it; heads that do not depend on them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from toolkit import blas_threads
from toolkit.blas_threads import one_blas_thread

_FIT = """
import hashlib
import numpy as np
from toolkit.head_training import Examples, fit_linear
random = np.random.default_rng(0)
features = random.normal(size=(700, 512)).astype(np.float32)
truth = np.eye(5, dtype=np.float32)[features[:, :5].argmax(axis=1)]
examples = Examples(features, truth, np.ones(700, np.float32), np.arange(700), np.ones(700, np.bool_))
print(hashlib.sha256(fit_linear(examples).kernel.tobytes()).hexdigest())
"""


def threads() -> int:
    found = blas_threads._openblas()
    if found is None:
        pytest.skip("numpy does not stand on OpenBLAS here")
    return found[0]()


def test_blocks_that_overlap_are_one() -> None:
    before = threads()
    inside, left = threading.Event(), threading.Event()
    seen: list[int] = []

    def other() -> None:
        with one_blas_thread():
            inside.set()
            left.wait(10)
            seen.append(threads())

    thread = threading.Thread(target=other)
    with one_blas_thread():
        thread.start()
        assert inside.wait(10)
        assert threads() == 1
    assert threads() == 1, "the other block goes on"
    left.set()
    thread.join()
    assert seen == [1]
    assert threads() == before


def test_an_error_takes_the_limit_away() -> None:
    before = threads()
    with pytest.raises(ValueError, match="x"), one_blas_thread():
        raise ValueError("x")
    assert threads() == before


def test_without_openblas_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas_threads, "_openblas", lambda: None)
    with one_blas_thread():
        pass
    assert blas_threads._LIMIT._blocks == 0


def test_the_head_does_not_depend_on_the_number_of_processors() -> None:
    threads()
    heads = set()
    for number in ("1", "2", "4"):
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": number}
        run = subprocess.run([sys.executable, "-c", _FIT], env=environment, capture_output=True, text=True, check=True)
        heads.add(run.stdout.strip())
    assert len(heads) == 1
