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
#: What an int8 file is called that keeps some layers in float, since it loses too much otherwise.
MIXED = "mixed"
#: Kinds that are made with calibration pictures.
CALIBRATED = frozenset(("int8", "int16x8"))
#: The kind that every conversion makes.
ALWAYS = "float32"

#: Other formats, and what a user should know of them.
FORMATS: dict[str, str] = {
    "pb": "frozen GraphDef, input to final_result, for programs of TensorFlow 1",
    "saved_model": "SavedModel folder, for TensorFlow Serving and TensorFlow.js's converter",
    "keras": ".keras file, of a model that is Keras's",
    "c-array": ".h and .cc for TensorFlow Lite Micro, of the int8 file, with labels and arena size",
    "edgetpu": "compiled with edgetpu_compiler; where that is missing, held against its published rules",
    "onnx": "ONNX through tf2onnx ('edge-export-toolkit[onnx]'), any batch, opset 14",
    "coreml": "Core ML package through coremltools ('edge-export-toolkit[coreml]'); runs on Apple's devices",
}
#: Formats that are made of the int8 file, which they bring along.
OF_INT8 = frozenset(("c-array", "edgetpu"))
