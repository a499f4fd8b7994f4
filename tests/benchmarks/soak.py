"""Whether the camera's loop stays as small as it began, over many frames (Linux).

    python tests/benchmarks/soak.py MODEL [--frames 100000] [--size 320x240] [--all]

A film is made and played over and over, as fast as the loop goes, through a real ``runtime classify --camera FILM
--loop --json``. ``--all`` adds what a device may do beside: smoothing, a CSV file, kept pictures within a limit, and a
command at each change. The process is looked at all the time: printed are its resident memory, file descriptors and
threads at each tenth of the way. The program ends with exit code 1 where memory grew by more than ``--limit`` MB, or
descriptors or threads grew at all, from the second tenth to the end.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from toolkit.tables import render_table

ROOT = Path(__file__).resolve().parents[2]
ALL = ["--smooth", "0.5", "--csv", "answers.csv", "--save", "kept", "--save-limit", "100KB", "--save-pause", "0.05"]
# Frames of the film, in pictures of which each shows something else than the one before.
_FILM = 40


class Look(NamedTuple):
    """What a process holds after so many frames."""

    frames: int
    seconds: float
    resident_mb: float
    descriptors: int
    threads: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--size", default="320x240", help="of the film (default: 320x240)")
    parser.add_argument("--all", action="store_true", help="with smoothing, CSV, kept pictures and a command")
    parser.add_argument("--limit", type=float, default=2.0, help="MB that it may grow by (default: 2)")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    looks = soak(args.model, args.frames, (width, height), everything=args.all)
    rows = [
        [
            f"{look.frames}",
            f"{look.seconds:.0f} s",
            f"{look.resident_mb:.1f} MB",
            f"{look.descriptors}",
            f"{look.threads}",
        ]
        for look in looks
    ]
    print(render_table(["frames", "time", "resident", "descriptors", "threads"], rows))
    if problems := growth(looks, args.limit):
        sys.exit("; ".join(problems))


def soak(model: Path, frames: int, size: tuple[int, int] = (320, 240), *, everything: bool = False) -> list[Look]:
    """What the process holds at each tenth of so many frames.

    Raises:
        RuntimeError: it ended before, or a frame was left out.
    """
    looks: list[Look] = []
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder, "film.avi")
        make_film(film, *size)
        words = ["classify", "--model", str(model.absolute()), "--camera", str(film), "--loop", "--json"]
        if everything:
            words += [*ALL, "--on", "unknown", "true", "--on-pause", "0.2"]
        process = subprocess.Popen(
            [sys.executable, "-m", "runtime", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert process.stdout is not None
        began = time.monotonic()
        try:
            for number, line in zip(range(frames), process.stdout, strict=False):
                if json.loads(line)["frame"] != number:
                    raise RuntimeError(f"frame {number} was left out: {line!r}")
                if (number + 1) % (frames // 10) == 0:
                    looks.append(look_at(process.pid, number + 1, time.monotonic() - began))
        finally:
            process.terminate()
            _, err = process.communicate(timeout=30)
    if len(looks) < 10:
        raise RuntimeError(f"ended after {looks[-1].frames if looks else 0} frames: {err.decode(errors='replace')}")
    return looks


def growth(looks: list[Look], limit: float) -> list[str]:
    """What grew from the second tenth on, for people; nothing where all is well."""
    settled, last = looks[1], looks[-1]
    problems = []
    if last.resident_mb - settled.resident_mb > limit:
        problems.append(f"memory grew from {settled.resident_mb:.1f} to {last.resident_mb:.1f} MB")
    # A command that is just running has descriptors and a thread of its own.
    if last.descriptors > settled.descriptors + 4:
        problems.append(f"descriptors grew from {settled.descriptors} to {last.descriptors}")
    if last.threads > settled.threads + 2:
        problems.append(f"threads grew from {settled.threads} to {last.threads}")
    return problems


def look_at(process: int, frames: int, seconds: float) -> Look:
    """What a process holds now."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    )
    resident, threads = int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"])
    return Look(frames, seconds, resident, len(list(Path(f"/proc/{process}/fd").iterdir())), threads)


def make_film(path: Path, width: int, height: int) -> None:
    """Plain colours that change, as Motion JPEG."""
    import cv2
    import numpy as np

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (width, height))
    for number in range(_FILM):
        picture = np.zeros((height, width, 3), np.uint8)
        picture[:, :, number % 3] = 255 - number
        writer.write(picture)
    writer.release()


if __name__ == "__main__":
    main()
