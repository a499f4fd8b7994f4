"""``python micro_run.py MODEL IN.npy OUT.npy ARENA``: run a model on the interpreter of tflite-micro."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from tflite_micro import runtime

model, given, out, arena = sys.argv[1:]
interpreter = runtime.Interpreter.from_bytes(Path(model).read_bytes(), arena_size=int(arena))
answers = []
for tensor in np.load(given):
    interpreter.set_input(tensor[None], 0)
    interpreter.invoke()
    answers.append(interpreter.get_output(0)[0])
np.save(out, np.stack(answers))
