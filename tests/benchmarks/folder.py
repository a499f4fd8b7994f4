"""``runtime classify FOLDER`` beside the bound of this machine, in one run.

    python tests/benchmarks/folder.py MODEL [FOLDER] [--pictures 1000] [--rounds 5]

The bound is what the processors could do if nothing but decoding a picture, bringing it to the model's size and the
forward pass cost time: each processor has a process of its own that does these three, one picture after the other, on
one thread, with Pillow and the interpreter alone and the files in memory already; all at the same time. Ours is
``classify_pictures`` with JSON lines to a file, reading of the files, loading of the model and all that it starts
included, in a process that has imported its modules. The second ratio is that of the processor time each took, which
other programs disturb less. Where the folder holds fewer pictures they are taken again under
other names. Rounds alternate between the two; the ratio is that of the best rounds: other programs only make it worse.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import tempfile
import time
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from runtime.classify import classify_pictures
from runtime.images import find_images
from runtime.interpreter import LoadedModel, interpreter_name
from runtime.options import ClassifyOptions, ModelOptions, OutputOptions
from runtime.processors import processors
from runtime.quiet import quiet_stderr

# Seconds that workers wait for each other: one that failed must not hang the others.
_PATIENCE = 600
FLOWERS = Path(__file__).resolve().parents[3] / "shared" / "data" / "flowers"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", nargs="?", type=Path, default=FLOWERS)
    parser.add_argument("--pictures", metavar="N", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    found = list(find_images(args.folder))
    with tempfile.TemporaryDirectory() as folder:
        for number in range(args.pictures):
            original = found[number % len(found)]
            (Path(folder) / f"{number}{original.suffix}").symlink_to(original.absolute())
        rounds = [(ours(args.model, folder), bare(args.model, folder)) for _ in range(args.rounds)]
    for mine, theirs in rounds:
        print(f"  runtime classify {mine.speed:7.1f} pictures/s   bound {theirs.speed:7.1f}   {compared(mine, theirs)}")
    mine, theirs = (max(runs, key=lambda run: run.speed) for runs in zip(*rounds, strict=True))
    print(
        f"{args.pictures} pictures, {args.model.name}, {interpreter_name()}, {processors()} processors; best of "
        f"{args.rounds} rounds: {mine.speed:.1f} pictures/s, bound {theirs.speed:.1f}, {compared(mine, theirs)}"
    )


class Run(NamedTuple):
    """Pictures a second, and seconds of all processors together."""

    speed: float
    busy: float


def compared(mine: Run, theirs: Run) -> str:
    return f"ratio {mine.speed / theirs.speed:.2f} (processor time {theirs.busy / mine.busy:.2f})"


def ours(model: Path, folder: str) -> Run:
    options = ClassifyOptions((folder,), model=ModelOptions(model), outputs=OutputOptions(json=True))
    with tempfile.TemporaryFile("w", encoding="utf-8") as out:
        started, busy = time.perf_counter(), time.process_time()
        assert classify_pictures(options, out, io.StringIO()) == 0
        seconds = time.perf_counter() - started
        busy = time.process_time() - busy
    return Run(len(list(Path(folder).iterdir())) / seconds, busy)


def bare(model: Path, folder: str) -> Run:
    paths = sorted(Path(folder).iterdir())
    count = processors()
    context = multiprocessing.get_context("spawn")
    barrier, busy = context.Barrier(count + 1), context.Value("d", 0.0)
    workers = [context.Process(target=work, args=(str(model), paths[n::count], barrier, busy)) for n in range(count)]
    for worker in workers:
        worker.start()
    barrier.wait(_PATIENCE)
    started = time.perf_counter()
    barrier.wait(_PATIENCE)
    seconds = time.perf_counter() - started
    for worker in workers:
        worker.join()
    return Run(len(paths) / seconds, busy.value)


def work(path: str, pictures: list[Path], barrier: Barrier, busy: Synchronized[float]) -> None:
    with quiet_stderr():
        model = LoadedModel(Path(path), threads=1)
    files = [picture.read_bytes() for picture in pictures]
    size = (model.input_shape[2], model.input_shape[1])
    barrier.wait(_PATIENCE)
    started = time.process_time()
    for data in files:
        with Image.open(io.BytesIO(data)) as opened:
            pixels = np.asarray(opened.convert("RGB").resize(size, Image.Resampling.BILINEAR))
        if model.input.dtype == np.float32:
            pixels = (pixels - np.float32(127.5)) / np.float32(127.5)
        model.run(pixels[None].astype(model.input.dtype, copy=False))
    with busy.get_lock():
        busy.value += time.process_time() - started
    barrier.wait(_PATIENCE)


if __name__ == "__main__":
    main()
