"""The whole way once: pictures, training, conversion, and the device's program on pictures it never saw.

    python samples/demo.py             draws its own pictures
    python samples/demo.py PHOTOS      takes your folder, one folder of pictures for each class

Everything it makes lies in ./demo. Run again, it computes nothing twice.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from runtime.file_kind import shown
from toolkit.tables import render_table

FOLDER = Path("demo")
# Held-out pictures that the runtime is shown for the eye, of each class.
_SHOWN = 2


def main() -> int:
    """Run every step; returns the exit code."""
    if len(sys.argv) > 2 or sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__)
        return 0 if len(sys.argv) == 2 else 2
    photos = Path(sys.argv[1]).expanduser() if len(sys.argv) == 2 else FOLDER / "shapes"
    bundle = FOLDER / ("model" if len(sys.argv) == 1 else f"model-{photos.resolve().name}")
    try:
        if len(sys.argv) == 1:
            run("toolkit", "sample-data", "shapes", photos)
        run("toolkit", "train", photos, "--output-dir", bundle, "--cache-dir", FOLDER / "cache")
        run("toolkit", "convert", bundle, "--quantize")
        report = json.loads((bundle / "export" / "export.json").read_bytes())
        model = bundle / "export" / [entry for entry in report["files"] if entry["accepted"]][-1]["file"]
        test = held_out(bundle)
        pictures = [photos / entry["path"] for entry in for_the_eye(test)]
        run("runtime", "classify", "--model", model, "--top-k", "1", *pictures)
        counts = {
            entry["file"]: right_answers(bundle / "export" / entry["file"], photos, test) for entry in report["files"]
        }
    except subprocess.CalledProcessError as error:
        return error.returncode
    print(f"\n{len(test)} held-out test pictures, classified by `runtime` from their files:\n")
    print(final_table(report, counts, len(test)))
    print(f"\nfiles: {shown(bundle / 'export')}")
    print(f"next:  {shlex.quote(script('runtime'))} classify --model {shlex.quote(str(model))} YOUR_PICTURE.jpg")
    return 0


def script(name: str) -> str:
    """Path of a command of the environment that runs this, short where it can be."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        raise SystemExit(f"the command {name} is not installed beside {sys.executable}: pip install '.[train-cpu]'")
    path = Path(found)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def run(*command: object) -> None:
    """Show a command as one would type it, and run it."""
    name, *arguments = map(str, command)
    print(f"\n$ {name} {shlex.join(arguments)}", flush=True)
    subprocess.run([script(name), *arguments], check=True)


def held_out(bundle: Path) -> list[dict[str, Any]]:
    """The test pictures of a bundle: path under the picture folder, label."""
    entries: list[dict[str, Any]] = json.loads((bundle / "test_split.json").read_bytes())["images"]
    return entries


def for_the_eye(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first few of each class."""
    seen: Counter[str] = Counter()
    chosen = []
    for entry in entries:
        (label,) = entry["labels"]
        seen[label] += 1
        if seen[label] <= _SHOWN:
            chosen.append(entry)
    return chosen


def right_answers(model: Path, photos: Path, entries: list[dict[str, Any]]) -> int:
    """How many held-out pictures the device's program gets right."""
    paths = [str(photos / entry["path"]) for entry in entries]
    command = [script("runtime"), "classify", "--model", str(model), "--json", "--top-k", "1", *paths]
    done = subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    truth = {path: entry["labels"][0] for path, entry in zip(paths, entries, strict=True)}
    return sum(answer["predictions"][0]["label"] == truth[answer["source"]] for answer in answers)


def final_table(report: dict[str, Any], counts: dict[str, int], total: int) -> str:
    """A row for each exported file."""
    trained = report["trained"]["accuracy"]["accuracy"]
    rows = [
        [
            entry["file"],
            f"{entry['bytes'] / 1e6:.2f} MB",
            f"{counts[entry['file']] / total:.1%}" if total else "-",
            "-" if trained is None else f"{trained:.1%}",
            f"{entry['latency_ms']:.1f} ms",
        ]
        for entry in report["files"]
    ]
    return render_table(["file", "size", "accuracy", "trained model", "latency here"], rows)


if __name__ == "__main__":
    raise SystemExit(main())
