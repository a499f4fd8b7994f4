"""``python -m converters.formats.micro_scoring MODEL IN.npy OUT.npz``: a model's outputs on tflite-micro.

In a process of its own: the interpreter ends the process on models that it does not like.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

import numpy as np

from converters.formats.arena_probe import NOT_INSTALLED, loaded
from runtime.versions import package_version

# Its kernels are written to be short: MobileNet v1 1.00_224 takes about a second a picture. After so many seconds no
# more pictures are begun, if there were so many.
_ENOUGH, _LEAST = 60.0, 5


def main() -> int:
    """Run with the three paths of ``sys.argv``; returns the exit code.

    ``IN.npy`` holds inputs in the model's own dtype, (count, ...). ``OUT.npz`` gets ``outputs``, (fewer or as many,
    scores), in the model's own dtype, and ``version``, of tflite-micro.
    """
    try:
        micro = importlib.import_module("tflite_micro").runtime
    except ImportError:
        return NOT_INSTALLED
    model, given, out = (Path(argument) for argument in sys.argv[1:4])
    interpreter = loaded(micro, model.read_bytes())
    if interpreter is None:
        return 1
    outputs: list[np.ndarray] = []
    begun = time.monotonic()
    for tensor in np.load(given, allow_pickle=False):
        if len(outputs) >= _LEAST and time.monotonic() - begun > _ENOUGH:
            break
        interpreter.set_input(tensor[None], 0)
        interpreter.invoke()
        outputs.append(np.array(interpreter.get_output(0)).reshape(-1))
    np.savez(out, outputs=np.stack(outputs), version=np.array(package_version("tflite-micro")))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
