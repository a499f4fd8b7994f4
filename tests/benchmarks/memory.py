"""The memory of ``runtime classify`` beside a bare script's, in one run (Linux).

    python tests/benchmarks/memory.py MODEL FOLDER [--python PATH] [--threads 1]

Both classify the folder's pictures, one after the other. Their processes are looked at all the time: *resident* is the
largest process, *proportional* the sum over parent and child with what they share counted once, which is what they
take from the machine. Both at their peak. The limit is the bare script's and 10 MB.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from toolkit.tables import render_table

ROOT = Path(__file__).resolve().parents[2]
BARE = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1], num_threads=int(sys.argv[3]))
interpreter.allocate_tensors()
given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
height, width = given["shape"][1:3]
for path in sorted(Path(sys.argv[2]).rglob("*.jpg")):
    image = Image.open(path).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    if given["dtype"] == np.float32:
        pixels = (pixels - np.float32(127.5)) / np.float32(127.5)
    interpreter.set_tensor(given["index"], pixels[None])
    interpreter.invoke()
    print(path, interpreter.get_tensor(made["index"])[0])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a .tflite file of ours")
    parser.add_argument("folder", help="of .jpg files")
    parser.add_argument("--python", default=sys.executable, help="of the environment to measure")
    parser.add_argument("--threads", default="1", help="of both interpreters (default: 1)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder, "bare.py")
        bare.write_text(BARE, encoding="utf-8")
        runtime = ["-m", "runtime", "classify", "--model", args.model, args.folder, "--threads", args.threads]
        rows = []
        for name, words in (
            ("bare script", [str(bare), args.model, args.folder, args.threads]),
            ("runtime classify", runtime),
        ):
            resident, proportional = peak([args.python, *words])
            rows.append([name, f"{resident:.1f} MB", f"{proportional:.1f} MB"])
    print(render_table(["", "resident", "proportional"], rows))


def peak(command: list[str]) -> tuple[float, float]:
    """Largest (resident MB of one process, proportional MB of all) while it runs."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=environment, cwd=ROOT, **streams)
    resident = proportional = 0.0
    while process.poll() is None:
        found = [memory_of(number) for number in (process.pid, *children_of(process.pid))]
        resident = max(resident, *(one for one, _ in found))
        proportional = max(proportional, sum(one for _, one in found))
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return resident, proportional


def children_of(number: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{number}/task/{number}/children").read_text().split()]
    except OSError:
        return []


def memory_of(number: int) -> tuple[float, float]:
    """(Resident, proportional) MB; zeros where the process has ended."""
    try:
        text = Path(f"/proc/{number}/smaps_rollup").read_text()
    except OSError:
        return 0.0, 0.0
    sizes = dict(re.findall(r"^(Rss|Pss):\s+(\d+) kB$", text, re.MULTILINE))
    return int(sizes.get("Rss", 0)) / 1024, int(sizes.get("Pss", 0)) / 1024


if __name__ == "__main__":
    main()
