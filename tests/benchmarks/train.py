"""From a folder of pictures to a saved bundle, beside a plain Keras script that does the same job, in one run.

    python tests/benchmarks/train.py [FOLDER] [--rounds 3] [--architecture NAME] [-- OPTIONS OF TRAIN]

Three runs a round, each a process of its own, from its start to its end: ``toolkit train`` with an empty cache (cold),
the same with another option of the head (warm: pictures and features are those of the run before), and
``keras_script.py``, which has no second kind of run. It gets the same backbone with the same weights and the same
training, validation and test pictures, and trains until its validation accuracy is ours. Each time is the best of its
rounds: other programs only make it worse. TensorFlow and our modules are read from the disk once before.
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
from typing import Any

from converters.bundle import METRICS_FILE, MODEL_FILE
from converters.tensorflow import import_tensorflow
from runtime.processors import processors
from toolkit.backbones.catalog import DEFAULT_ARCHITECTURE, Architecture, find_architecture
from toolkit.backbones.registry import load_backbone
from toolkit.dataset import index_folder
from toolkit.folders import default_cache_dir
from toolkit.split import SplitOptions, split_images
from toolkit.tables import render_table

FLOWERS = Path(__file__).resolve().parents[3] / "shared" / "data" / "flowers"
SCRIPT = Path(__file__).with_name("keras_script.py")
ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=FLOWERS, help="a folder per class")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--architecture", default=DEFAULT_ARCHITECTURE)
    parser.add_argument("options", nargs="*", help="of toolkit train, after --")
    args = parser.parse_args()
    architecture = find_architecture(args.architecture)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        prepare(args.folder, architecture, work)
        times: dict[str, list[float]] = {"cold": [], "warm": [], "Keras": []}
        for number in range(args.rounds):
            ours = [str(args.folder.resolve()), "--architecture", architecture.name, *args.options]
            ours += ["--cache-dir", str(work / f"cache{number}"), "--output-dir", str(work / f"model{number}")]
            times["cold"].append(run("-m", "toolkit", "train", *ours)[0])
            times["warm"].append(run("-m", "toolkit", "train", *ours, "--label-smoothing", "0.01")[0])
            metrics = json.loads((work / f"model{number}" / METRICS_FILE).read_bytes())["accuracy"]
            spent, output = run(str(SCRIPT), *script_arguments(work, architecture, metrics))
            times["Keras"].append(spent)
            keras = json.loads(output.splitlines()[-1])
        saved = (work / f"model{args.rounds - 1}" / MODEL_FILE).stat().st_size / 1e6
    report(times, metrics, keras)
    print(f"{architecture.name}, model of {saved:.0f} MB, {processors()} cores, best of {args.rounds} rounds")


def prepare(folder: Path, architecture: Architecture, work: Path) -> None:
    """The backbone as Keras saves it, and links to the pictures of each share, for the script; one run of each."""
    import_tensorflow()
    backbone = load_backbone(architecture, cache_dir=default_cache_dir())
    backbone.keras_model().save(work / "backbone.keras")
    index = index_folder(folder)
    for share, positions in split_images(index.images, SplitOptions()).items():
        for position in positions:
            image = index.images[position]
            link = work / "shares" / share / index.labels[image.class_id] / f"{position:06}{image.path.suffix}"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(image.path.resolve())
    run(str(SCRIPT), "--help")
    run("-m", "toolkit", "train", "--help")


def script_arguments(work: Path, architecture: Architecture, metrics: dict[str, Any]) -> list[str]:
    places = [str(work / name) for name in ("shares", "backbone.keras", "keras.keras")]
    numbers = ["--mean", str(architecture.mean), "--std", str(architecture.std)]
    return [*places, *numbers, "--target", str(share_right(metrics["validation"]))]


def share_right(accuracy: dict[str, Any]) -> float:
    return float(accuracy["correct"] / accuracy["images"])


def run(*arguments: str) -> tuple[float, str]:
    """Seconds that a fresh interpreter took, and its standard output."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    started = time.perf_counter()
    result = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    spent = time.perf_counter() - started
    if result.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{result.stderr[-3000:]}")
    return spent, result.stdout


def report(times: dict[str, list[float]], metrics: dict[str, Any], keras: dict[str, Any]) -> None:
    best = {name: min(spent) for name, spent in times.items()}
    ours = [f"{share_right(metrics[share]):.1%}" for share in ("validation", "test")]
    theirs = [f"{keras['validation']:.1%}", f"{keras['test']:.1%}"]
    rows = [
        ["toolkit train, cold", f"{best['cold']:.2f}", f"{best['Keras'] / best['cold']:.1f}", *ours],
        ["toolkit train, warm", f"{best['warm']:.2f}", f"{best['Keras'] / best['warm']:.1f}", *ours],
        [f"Keras script, {keras['epochs']} epochs", f"{best['Keras']:.2f}", "1", *theirs],
    ]
    print(render_table(["run", "seconds", "times as fast", "validation", "test"], rows))


if __name__ == "__main__":
    main()
