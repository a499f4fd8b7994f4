"""The capture thread, with sources that do as they are told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from runtime.errors import ImageError, SourceError, UsageError
from runtime.sources import capture as capture_module
from runtime.sources import outages
from runtime.sources.capture import Capture
from runtime.sources.frame import Frame, FrameSource, frame_of
from runtime.sources.health import Health
from runtime.sources.pace import Foresight, Throttle


class Script:
    """A source that gives frames of grey ``number``; what happens at some of them can be told.

    Attributes:
        decoded: numbers of the frames that were decoded.
    """

    def __init__(
        self,
        frames: int = 10,
        *,
        live: bool = False,
        at: dict[int, Exception] | None = None,
        damaged: tuple[int, ...] = (),
        seconds: float | None = None,
        hangs_at: int | None = None,
    ) -> None:
        self.name, self.live, self.frame_seconds = "script", live, seconds
        self._frames, self._at, self._damaged, self._hangs_at = frames, at or {}, damaged, hangs_at
        self._number = -1
        self.decoded: list[int] = []
        self.closed = threading.Event()
        self.released = threading.Event()

    def grab(self) -> bool:
        self._number += 1
        if self._number in self._at:
            raise self._at[self._number]
        if self._number == self._hangs_at:
            self.released.wait(30)  # whatever is closed: code in a driver does not return for that
            return False
        return self._number < self._frames

    def retrieve(self) -> Frame:
        if self._number in self._damaged:
            raise ImageError(f"--camera script: frame {self._number} cannot be decoded")
        self.decoded.append(self._number)
        return frame_of(self.name, self._number, np.full((32, 32, 3), 50 + self._number, np.uint8), 0.0)

    def close(self) -> None:
        self.closed.set()


@contextmanager
def capturing(*sources: FrameSource | Exception, **options: Any) -> Iterator[tuple[Capture[int], list[str]]]:
    """A capture that opens one source after the other; and its log."""
    left, log = list(sources), []

    def open_source() -> FrameSource:
        source = left.pop(0)
        if isinstance(source, Exception):
            raise source
        return source

    capture = Capture(open_source, lambda frame: int(frame.pixels()[0, 0, 0]) - 50, log=log.append, **options)
    try:
        yield capture, log
    finally:
        capture.close()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(capture_module, "_GRACE", 0.0)


def numbers(capture: Capture[int]) -> list[int]:
    return [frame.number for frame, _ in capture]


def test_every_frame_of_a_file_with_what_was_made_of_it() -> None:
    with capturing(Script()) as (capture, log):
        assert [(frame.number, made, frame.dropped) for frame, made in capture] == [(n, n, 0) for n in range(10)]
    assert log == ["--camera script: 10 frames looked at"]


def test_the_newest_frame_of_a_camera() -> None:
    source = Script(1000, live=True, at={1000: SourceError("gone")})
    source.grab = _slowly(source.grab, 0.002)  # type: ignore[method-assign]
    with capturing(source) as (capture, _):
        frames = iter(capture)
        first = next(frames)[0]
        time.sleep(0.1)
        latest = source.decoded[-1]
        second = next(frames)[0]
        assert second.number >= latest > first.number + 5
        assert second.dropped == second.number - first.number - 1
        assert capture.counts.dropped == second.dropped + first.dropped


def _slowly(call: Callable[[], bool], seconds: float) -> Callable[[], bool]:
    def grab() -> bool:
        time.sleep(seconds)
        return call()

    return grab


def test_a_camera_that_breaks_is_opened_again_and_frames_are_counted_on() -> None:
    broken = Script(live=True, at={4: SourceError("fell silent")})
    last = Script(live=True, at={3: UsageError("stop")})
    with capturing(broken, SourceError("no such device"), last, latest=False) as (capture, log):
        frames = []
        with pytest.raises(UsageError, match="stop"):
            frames += [frame.number for frame, _ in _gathered(capture, frames)]
        assert frames == list(range(7))
        assert broken.closed.is_set()
        assert capture.counts.outages == 1
    assert log == [
        "fell silent; opening it again",
        "no such device; next try in 0.02 s",
        "--camera script: back after 0 s",
        "--camera script: 7 frames looked at, 1 outage",
    ]


def _gathered(capture: Capture[int], into: list[int]) -> Iterator[tuple[Frame, int]]:
    for frame, _ in capture:
        into.append(frame.number)
    yield from ()


def test_pauses_grow_and_the_log_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(outages, "_FIRST_PAUSE", 0.5)
    log: list[str] = []
    watched = outages.Outages(log.append)
    pauses = []
    while now[0] < 3600:
        pauses.append(watched.pause_after(SourceError("away")))
        now[0] += pauses[-1]
    assert pauses[:8] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert len(log) == 7 + 5
    assert log[-1] == "away; away for 51 minutes"
    watched.over("x")
    assert log[-1].startswith("--camera x: back after 36")
    now[0] += 60  # sound for a minute: what comes then is another story
    assert watched.pause_after(SourceError("away")) == 0.5


def test_a_camera_that_never_returns_is_left_alone() -> None:
    hung = Script(live=True, hangs_at=2)
    last = Script(live=True, at={2: UsageError("stop")})
    with capturing(hung, last, latest=False, timeout=1.5) as (capture, log):
        seen: list[int] = []
        with pytest.raises(UsageError, match="stop"):
            list(_gathered(capture, seen))
        assert seen == [0, 1, 2, 3]
        assert hung.closed.is_set()
        hung.released.set()
    assert "--camera script: hangs, and has not answered for" in log[0]
    assert log[1] == "--camera script: back after 0 s"


def test_too_many_threads_that_never_return(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_module, "_MOST_STUCK", 2)
    monkeypatch.setattr(capture_module, "_LOOK", 0.05)
    sources = [Script(live=True, hangs_at=0) for _ in range(3)]
    with capturing(*sources, timeout=0.1) as (capture, _):
        with pytest.raises(SourceError, match="hung 2 times, and never returned; start this command anew"):
            numbers(capture)
        for source in sources:
            source.released.set()


def test_a_source_that_does_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_module, "_LOOK", 0.05)
    released = threading.Event()

    def never() -> FrameSource:
        released.wait(30)
        raise SourceError("too late")

    with pytest.raises(SourceError, match="does not open: nothing for 0.2 s"):
        Capture(never, lambda frame: frame, timeout=0.2)
    released.set()
    with pytest.raises(SourceError, match="no camera 7"), capturing(SourceError("no camera 7")):
        pass


def test_damaged_frames_are_left_out_counted_and_said() -> None:
    with capturing(Script(damaged=(2, 3, 7))) as (capture, log):
        assert numbers(capture) == [0, 1, 4, 5, 6, 8, 9]
        assert (capture.counts.damaged, capture.counts.looked_at) == (3, 7)
    assert log == [
        "--camera script: frame 2 cannot be decoded; left out",
        "--camera script: 7 frames looked at, 3 left out, 3 damaged",
    ]


def test_frames_that_are_damaged_now_and_then_for_days_do_not_fill_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    now, log = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    health = Health(10.0, log.append)
    for number in range(3 * 86_400):  # one in ten
        now[0] += 1
        if number % 10:
            health.fine(frame_of("cam", number, np.full((32, 32, 3), 99, np.uint8), 0.0))
        else:
            health.bad("cam", ImageError(f"--camera cam: frame {number} cannot be decoded"), breaks=True)
    assert log[:2] == [
        "--camera cam: frame 0 cannot be decoded; left out",
        "--camera cam: frame 60 cannot be decoded; left out (6 times)",
    ]
    assert len(log) < 90


def test_nothing_but_damaged_frames() -> None:
    nothing = pytest.raises(SourceError, match="none of its 3 frames can be decoded")
    with capturing(Script(3, damaged=(0, 1, 2))) as (capture, _), nothing:
        numbers(capture)
    ill = Script(10**6, live=True, damaged=tuple(range(1000)))
    ill.grab = _slowly(ill.grab, 0.01)  # type: ignore[method-assign]
    well = Script(live=True, at={1: UsageError("stop")})
    with capturing(ill, well, timeout=1.0) as (capture, log), pytest.raises(UsageError, match="stop"):
        numbers(capture)
    assert "--camera script: nothing but damaged frames for 1 s; opening it again" in log


def test_black_frames_are_counted_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.sources.health._BLACK_SECONDS", 0.0)

    class Dark(Script):
        def retrieve(self) -> Frame:
            frame = super().retrieve()
            frame.pixels()[:] = 200 if frame.number == 5 else 10
            return frame

    with capturing(Dark(7)) as (capture, log):
        assert numbers(capture) == list(range(7))
        assert capture.counts.black == 6
    assert log.pop() == "--camera script: 7 frames looked at, 6 black"
    assert [line.partition(": ")[2][:24] for line in log] == [
        "nothing but black frames",
        "shows a picture again",
        "nothing but black frames",
    ]


def test_a_loop_counts_on_and_waits_for_a_file_that_is_away() -> None:
    last = Script(2, at={1: UsageError("stop")})
    with capturing(Script(3), SourceError("no such file"), Script(2), last, loop=True) as (capture, log):
        seen: list[int] = []
        with pytest.raises(UsageError, match="stop"):
            list(_gathered(capture, seen))
        assert seen == list(range(6))
    assert log == [
        "no such file; opening it again",
        "--camera script: back after 0 s",
        "--camera script: 6 frames looked at, 1 outage",
    ]


def test_frames_that_are_not_looked_at_are_not_decoded() -> None:
    source = Script(100, seconds=0.04)
    with capturing(source, fps=5.0) as (capture, _):
        assert numbers(capture) == list(range(0, 100, 5))
    assert source.decoded == list(range(0, 100, 5))


def test_one_frame_in_so_many_seconds_of_a_camera() -> None:
    source = Script(10**6, live=True)
    source.grab = _slowly(source.grab, 0.005)  # type: ignore[method-assign]
    with capturing(source, fps=10.0) as (capture, _):
        frames = iter(capture)
        moments = [next(frames)[0].arrived for _ in range(6)]
    assert moments[-1] - moments[0] > 0.45
    assert len(source.decoded) < 12


@pytest.mark.parametrize(
    ("rate", "allowed", "passed"), [(30, 30, 300), (30, 10, 100), (25, 10, 100), (30, 20, 200), (5, 30, 50)]
)
def test_a_throttle_lets_through_what_it_says(rate: int, allowed: int, passed: int) -> None:
    chance = np.random.default_rng(3)
    throttle = Throttle(1 / allowed)
    moments = np.arange(10 * rate) / rate + chance.uniform(-0.2, 0.2, 10 * rate) / rate
    assert abs(sum(throttle.passes(float(moment), 1 / rate) for moment in moments) - passed) <= 2


def test_frames_that_will_be_outdated_are_not_decoded() -> None:
    """A model that takes 100 ms, a camera that gives a frame every 30: two in three would be decoded for nothing."""
    foresight, free, decoded = Foresight(), 0.0, []
    for number in range(200):
        now = number * 0.03
        if free and now + 1e-9 >= free:
            foresight.asked(free)
            free = 0.0
        foresight.came(now)
        if foresight.in_vain(now):
            continue
        decoded.append(number)
        foresight.worked(0.005)
        if not free:
            foresight.given(now + 0.005)
            free = now + 0.105
    assert 45 <= len([number for number in decoded if number >= 50]) <= 90


def test_the_end_while_a_source_hangs_is_quick() -> None:
    hung = Script(live=True, hangs_at=1)
    begun = threading.active_count()
    with capturing(hung) as (capture, log):
        assert next(iter(capture))[0].number == 0
    assert log[-1].startswith("--camera script: 1 frames looked at, 0 left out")
    assert hung.closed.is_set()
    hung.released.set()
    while threading.active_count() > begun:
        time.sleep(0.01)
