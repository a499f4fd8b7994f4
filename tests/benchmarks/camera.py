"""How well the camera loop keeps up, beside the bound of this machine, in one run.

    python tests/benchmarks/camera.py MODEL [--seconds 10] [--size 640x480] [--threads N] [--fps 30 60]

A video file is made, and played as a camera would give it at each frame rate, then as fast as the loop goes. The
bound is min(frames of the source, 1 / forward pass) a second; the forward pass is timed by itself in the same run,
before and behind each round, with the interpreter's threads as the loop has them. For the file that is played as fast
as it goes the bound is one over the longer of the forward pass and decoding a frame, timed alike. Both share the
processors there, so no loop reaches it; the last column is the share of what all processors could do: processors /
(decoding + forward pass with one thread), as for a folder.

Printed of each round: classified frames a second and their share of the bound; the age of the frame behind each answer
(from its arrival to its answer), beside one frame interval and one forward pass; and the overhead: what a frame costs
the loop and the capture thread beside decoding and the forward pass.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from runtime.actions.action import Seen
from runtime.classifier import Classifier, Prepared
from runtime.find_model import load_model
from runtime.model_slot import ModelSlot
from runtime.options import ClassifyOptions, ModelOptions
from runtime.processors import processors
from runtime.sources.open import CameraOptions
from runtime.watch import watch
from toolkit.tables import render_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a .tflite file")
    parser.add_argument("--seconds", type=float, default=10, help="of each round (default: 10)")
    parser.add_argument("--size", default="640x480", help="of the frames (default: 640x480)")
    parser.add_argument("--threads", type=int, help="of the interpreter (default: all, at most 4)")
    parser.add_argument("--fps", type=float, nargs="+", default=[30, 60], help="of the source (default: 30 60)")
    args = parser.parse_args()
    slot = ModelSlot(load_model(ModelOptions(args.model, threads=args.threads), io.StringIO()))
    # As the command does where every frame of a file counts: an interpreter of one thread for each processor.
    single = ModelSlot(load_model(ModelOptions(args.model, threads=args.threads or 1), io.StringIO()))
    width, height = map(int, args.size.split("x"))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for fps in (*args.fps, None):
            video = Path(folder, f"{fps or 'fast'}.avi")
            make_video(video, width, height, fps or 30, round(args.seconds * (fps or 200)))
            rows.append(measure(slot if fps else single, slot, video, fps, args.seconds))
    header = ["source", "classified/s", "bound/s", "share", "age median", "p99", "interval + invoke", "overhead"]
    header.append("of all processors")
    print(render_table(header, rows))


def make_video(path: Path, width: int, height: int, fps: float, frames: int) -> None:
    """Moving stripes with some noise, as Motion JPEG."""
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (width, height))
    rows, columns = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(0).integers(0, 32, (height, width, 3), np.uint8)
    for number in range(frames):
        picture = np.stack([columns + 5 * number, rows + 3 * number, rows + columns], axis=-1).astype(np.uint8)
        writer.write(picture // 2 + noise)
    writer.release()


def measure(slot: ModelSlot, alone: ModelSlot, video: Path, fps: float | None, seconds: float) -> list[str]:
    """One row of the table; ``alone`` is the model that the forward pass is timed with."""
    before = times_alone(slot, alone, video)
    seen = list(round_of(slot, video, fps, seconds))
    invoke, decode, single = (min(pair) for pair in zip(before, times_alone(slot, alone, video), strict=True))
    first, last = seen[0], seen[-1]
    classified = (len(seen) - 1) / (last.at - first.at)
    bound = min(fps, 1 / invoke) if fps else 1 / max(invoke, decode)
    ages = sorted(one.age_ms for one in seen)
    overhead = statistics.median(one.overhead_ms for one in seen)
    interval = 1000 / fps if fps else decode * 1000
    return [
        f"{fps:g} fps" if fps else "as fast as it goes",
        f"{classified:.1f}",
        f"{bound:.1f}",
        f"{classified / bound:.2f}",
        f"{statistics.median(ages):.1f} ms",
        f"{ages[len(ages) * 99 // 100]:.1f} ms",
        f"{interval + invoke * 1000:.1f} ms",
        f"{overhead:.2f} ms",
        "" if fps else f"{classified * (decode + single) / processors():.2f}",
    ]


class Timed:
    """An answer's times; the frame itself is let go."""

    def __init__(self, seen: Seen) -> None:
        stages = seen.answer.milliseconds
        self.at = time.monotonic()
        self.age_ms = seen.age_ms
        self.overhead_ms = stages.preprocess + stages.postprocess


def round_of(slot: ModelSlot, video: Path, fps: float | None, seconds: float) -> Iterator[Timed]:
    options = ClassifyOptions(camera=CameraOptions(str(video), realtime=fps is not None))
    ends = time.monotonic() + seconds
    frames = watch(options, slot, io.StringIO())
    yield from takewhile(lambda one: one.at < ends, (Timed(seen) for seen in frames))
    frames.close()  # type: ignore[attr-defined]


def times_alone(slot: ModelSlot, alone: ModelSlot, video: Path) -> tuple[float, float, float]:
    """Seconds of a forward pass by ``alone``, of decoding a frame, and of a forward pass by ``slot``."""
    invoke = forward_seconds(alone.current)
    return invoke, decode_seconds(video), invoke if slot is alone else forward_seconds(slot.current)


def forward_seconds(classifier: Classifier) -> float:
    """Median of a forward pass alone."""
    tensor = classifier.prepare(np.zeros((8, 8, 3), np.uint8)).tensor
    return statistics.median(timed(lambda: classifier.run(Prepared(tensor, 0, 0))) for _ in range(60))


def decode_seconds(video: Path) -> float:
    """Median of decoding a frame alone."""
    import cv2

    capture = cv2.VideoCapture(str(video))
    found = statistics.median(timed(capture.read) for _ in range(60))
    capture.release()
    return found


def timed(call: Any) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
