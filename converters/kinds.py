"""The kinds of ``.tflite`` file, and what they are for."""

from __future__ import annotations

from typing import Literal, get_args

#: What an int8 model takes and gives.
InOut = Literal["uint8", "int8", "float32"]
IN_OUT: tuple[str, ...] = get_args(InOut)

#: Each kind and what a user should know of it, in the order in which they are made and listed.
KINDS: dict[str, str] = {
    "float32": "the model as it was trained; for desktop processors and as the measure of the others",
    "float16": "half the size, float; for GPUs of phones; unpacks to float32 on processors",
    "dynamic": "a quarter of the size; int8 weights, float activations; needs no calibration pictures",
    "int8": "a quarter of the size, integers only; for Raspberry Pi, phones, microcontrollers, Edge TPU",
    "int16x8": "int8 weights, 16-bit activations: a quarter of the size, nearly all of the accuracy, slower",
}
#: Kinds that are made with calibration pictures.
CALIBRATED = frozenset(("int8", "int16x8"))
#: The kind that every conversion makes.
ALWAYS = "float32"
