"""Ten thousand damaged models and pictures through the command, and what became of them.

    python tests/benchmarks/fuzz.py MODEL PICTURE [MODEL PICTURE ...] [--count 10000] [--processes 50] [--python PATH]

Each file is damaged in so many seeded ways (``tests/runtime/mutations.py``). All go through ``runtime classify``
inside one process, by ``tests.runtime.fuzz``, damaged pictures also as bytes through ``Classifier.classify``, as the
live page does; and the first ``--processes`` of each kind through real processes as well. Good is: every case ends in
an answer or in one line, exit code 0 or 1; no crash, no traceback; the memory at the end as after a fifth of the cases.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.runtime.fuzz import NORMALIZATION
from tests.runtime.mutations import mutate, structure_of

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--count", type=int, default=10_000, help="mutations of each file (default: 10000)")
    parser.add_argument("--processes", type=int, default=50, help="of each kind as real processes (default: 50)")
    parser.add_argument("--python", default=sys.executable, help="of the environment to try")
    args = parser.parse_args()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [args.python, "-m", "tests.runtime.fuzz", *map(str, args.files), "--count", str(args.count)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "".join(done.stderr.strip().splitlines()[-1:])
        end = signal.Signals(-done.returncode).name if done.returncode < 0 else done.returncode
        print(f"in one process: ended with {end} at {last}")
        return 1
    found = json.loads(done.stdout)
    print(f"in one process: {found['counts']}, memory {' -> '.join(f'{one:.1f}' for one in found['memory'])} MB")
    print(*found["wrong"], sep="\n", end="")
    bad = len(found["wrong"])
    for model, picture in zip(args.files[::2], args.files[1::2], strict=True):
        counts, wrong = as_processes(args.python, model, picture, args.processes)
        print(f"as processes: {dict(counts)}")
        print(*wrong, sep="\n", end="")
        bad += len(wrong)
    print("good" if not bad else f"{bad} bad")
    return 1 if bad else 0


def as_processes(python: str, model: Path, picture: Path, count: int) -> tuple[Counter[str], list[str]]:
    """What became of damaged copies of both, each in a process of its own."""
    counts: Counter[str] = Counter()
    wrong = []
    spans = structure_of(model.read_bytes())
    with tempfile.TemporaryDirectory() as folder:
        bad_model, bad_picture = Path(folder, "bad.tflite"), Path(folder, f"bad{picture.suffix}")
        for seed in range(count):
            bad_model.write_bytes(mutate(model.read_bytes(), seed, spans))
            bad_picture.write_bytes(mutate(picture.read_bytes(), seed))
            for words in ((bad_model, picture), (model, bad_picture)):
                command = [python, "-m", "runtime", "classify", *NORMALIZATION, "--model", *map(str, words)]
                environment = os.environ | {"PYTHONPATH": str(ROOT)}
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
                counts[f"exit code {done.returncode}"] += 1
                if done.returncode not in (0, 1) or "Traceback" in done.stderr or "crashed" in done.stderr:
                    wrong.append(f"{words[0].name} {seed}: exit code {done.returncode}: {done.stderr[-500:]}")
    return counts, wrong


if __name__ == "__main__":
    raise SystemExit(main())
