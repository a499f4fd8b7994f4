"""``python -m tests.runtime.fuzz MODEL PICTURE [MODEL PICTURE ...] --count N``: damaged files through the command.

N seeded mutations of each model with its sound picture, and N of each picture with its sound model, through
``runtime classify`` in this process, and the damaged pictures' bytes through ``Classifier.classify``, which is what
``POST /classify`` calls. Prints one JSON object: how many were answered and refused, what went wrong, and the memory
after a fifth of the cases and at the end. A crash ends the process; its last line on standard error then names the
case. Pairs are (model, picture): any file whose name ends in .tflite begins one.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from runtime.classifier import Classifier
from runtime.cli import main as runtime_main
from runtime.contract import Overrides
from runtime.errors import EdgeExportError
from tests.runtime.mutations import mutate, structure_of

# For models that do not say it themselves; those that do are not asked.
NORMALIZATION = ["--mean", "127.5", "--std", "127.5"]
LIKE_THE_OPTIONS = Overrides(mean=(127.5,), std=(127.5,))
FINE = ("answered", "refused")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--count", type=int, default=100, help="mutations of each file (default: 100)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first (default: 0)")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", module="PIL")
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    memory: list[float] = []
    pairs = list(zip(args.files[::2], args.files[1::2], strict=True))
    seeds = range(args.first, args.first + args.count)
    total, done = 2 * len(pairs) * len(seeds), 0
    page = {str(model): Classifier.load(model, LIKE_THE_OPTIONS, threads=1) for model, _ in pairs}
    with tempfile.TemporaryDirectory() as folder:
        for name, words in cases(pairs, seeds, Path(folder)):
            sys.stderr.write(f"{name}\n")
            outcome, said = classify(words)
            model, picture = words[2], Path(words[-1])
            if model in page and outcome in FINE:  # a damaged picture: the same through the page
                posted = post(page[model], picture.read_bytes())
                outcome = outcome if posted == outcome else f"{outcome} by the command, {posted} by the page"
            counts[outcome] += 1
            if outcome not in FINE:
                wrong.append(f"{name}: {outcome}: {said}")
            done += 1
            if done in (total // 5, total):
                memory.append(resident())
    print(json.dumps({"counts": counts, "wrong": wrong, "memory": memory}))
    return 0


def cases(pairs: list[tuple[Path, Path]], seeds: range, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """(Name, words of the command) of each case; models and pictures in turn, so that memory can be compared."""
    sources = [(model.read_bytes(), picture.read_bytes()) for model, picture in pairs]
    spans = [structure_of(model) for model, _ in sources]
    for seed in seeds:
        for (model, picture), (model_bytes, picture_bytes), inside in zip(pairs, sources, spans, strict=True):
            damaged = folder / f"model{seed % 4}.tflite"
            replace(damaged, mutate(model_bytes, seed, inside))
            yield f"{model.name} {seed}", ["classify", "--model", str(damaged), *NORMALIZATION, str(picture)]
            bad = folder / f"picture{seed % 4}{picture.suffix}"
            replace(bad, mutate(picture_bytes, seed))
            yield f"{picture.name} {seed}", ["classify", "--model", str(model), *NORMALIZATION, str(bad)]


def replace(path: Path, data: bytes) -> None:
    """A new file under the name: the old one may still be mapped."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def classify(words: list[str]) -> tuple[str, str]:
    """(What came of it, what was said)."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = runtime_main(words)
        except BaseException as error:
            return type(error).__name__, str(error)
    said = err.getvalue()
    lines = [line for line in said.splitlines() if line.startswith("runtime: error: ")]
    if code == 0 and "%" in out.getvalue():
        return "answered", said
    if code == 1 and len(lines) == 1 and said.endswith(f"{lines[0]}\n"):
        return "refused", said
    return f"exit code {code}", said


def post(classifier: Classifier, picture: bytes) -> str:
    """What the page does with a picture's bytes."""
    try:
        return "answered" if classifier.classify(picture).predictions else "no answer"
    except EdgeExportError:
        return "refused"


def resident() -> float:
    """MB that this process has in memory; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return 0.0


if __name__ == "__main__":
    raise SystemExit(main())
