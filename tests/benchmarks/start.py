"""What the start of ``runtime classify`` costs beside a bare script's, in one run.

    python tests/benchmarks/start.py MODEL PICTURE [--rounds 20] [--python PATH]

The bare script imports numpy, Pillow and the interpreter, loads the model, decodes the picture, runs and prints.
Both run in turn, in processes of their own, modules compiled before. Printed: the least and the median time of each,
the processor time, of parent and child together, and the peak of the larger process's resident memory; ``memory.py``
looks at both. Where other programs keep the processors busy, the processor time says more than the clock.
``--python`` names another environment's, one with tflite-runtime say.
"""

from __future__ import annotations

import argparse
import compileall
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from toolkit.tables import render_table

ROOT = Path(__file__).resolve().parents[2]
BARE = """
import sys
import numpy as np
from PIL import Image
try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1])
interpreter.allocate_tensors()
given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
height, width = given["shape"][1:3]
image = Image.open(sys.argv[2]).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
pixels = np.asarray(image)
if given["dtype"] == np.float32:
    pixels = (pixels - np.float32(127.5)) / np.float32(127.5)
interpreter.set_tensor(given["index"], pixels[None])
interpreter.invoke()
scores = interpreter.get_tensor(made["index"])[0]
for index in np.argsort(-scores.astype(np.float32))[:5]:
    print(index, scores[index])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a .tflite file of ours")
    parser.add_argument("picture")
    parser.add_argument("--rounds", type=int, default=20, help="of each (default: 20)")
    parser.add_argument("--python", default=sys.executable, help="of the environment to measure")
    args = parser.parse_args()
    compileall.compile_dir(str(ROOT / "runtime"), quiet=1)
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder, "bare.py")
        bare.write_text(BARE, encoding="utf-8")
        given = [args.model, args.picture]
        commands = {
            "bare script": [args.python, str(bare), *given],
            "runtime classify": [args.python, "-m", "runtime", "classify", "--model", *given],
        }
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
        for _ in range(args.rounds + 1):
            for name, command in commands.items():
                found[name].append(run(command))
    rows, first = [], min(one[0] for one in found["bare script"][1:])
    for name, rounds in found.items():
        wall, cpu, memory = zip(*rounds[1:], strict=True)  # the first round warms the caches
        rows.append(
            [
                name,
                f"{min(wall) * 1000:.0f} ms",
                f"{statistics.median(wall) * 1000:.0f} ms",
                f"{min(wall) / first:.2f}",
                f"{min(cpu) * 1000:.0f} ms",
                f"{max(memory):.1f} MB",
            ]
        )
    print(render_table(["", "least", "median", "ratio", "processor time", "peak memory"], rows))


def run(command: list[str]) -> tuple[float, float, float]:
    """(Seconds, processor seconds, MB) of one process with its children."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = str(ROOT)
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    _, status, used = os.wait4(process.pid, 0)
    took = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return took, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


if __name__ == "__main__":
    main()
