"""XNNPACK for 8-bit models on tflite-runtime 2.14, which has it in its library but uses it for floats alone.

Measured with one thread on x86-64: an int8 MobileNet v1 takes 9 ms in place of 38, a uint8 MobileNet v2 6 ms in place
of 72. The wheel for 32-bit Arm lacks it. LiteRT does this by itself.
"""

from __future__ import annotations

import ctypes
import platform
from typing import Any, Literal

from runtime.errors import ModelError

#: ``auto`` leaves it to the interpreter, ``on`` uses it for 8-bit operators too, ``off`` nowhere.
Xnnpack = Literal["auto", "on", "off"]
# The one release whose structure is written below.
_RELEASE = "2.14."
# TFLITE_XNNPACK_DELEGATE_FLAG_QS8 and _QU8: signed and unsigned 8-bit operators.
# https://github.com/tensorflow/tensorflow/blob/v2.14.0/tensorflow/lite/delegates/xnnpack/xnnpack_delegate.h
_EIGHT_BITS = 0x1 | 0x2


class _Options(ctypes.Structure):
    """TfLiteXNNPackDelegateOptions of release 2.14; the source is above."""

    _fields_ = (
        ("num_threads", ctypes.c_int32),
        ("flags", ctypes.c_uint32),
        ("weights_cache", ctypes.c_void_p),
        ("handle_variable_ops", ctypes.c_bool),
        ("experimental_adaptive_avx_optimization", ctypes.c_bool),
    )


class XnnpackDelegate:
    """XNNPACK for all that it can do, as an interpreter of release 2.14 takes a delegate.

    Args:
        library: the interpreter's own library.
        threads: that it uses.

    Raises:
        RuntimeError: the library does not make one.
    """

    def __init__(self, library: ctypes.CDLL, threads: int) -> None:
        self._delete = library.TfLiteXNNPackDelegateDelete
        self._delete.argtypes, self._delete.restype = [ctypes.c_void_p], None
        library.TfLiteXNNPackDelegateOptionsDefault.restype = _Options
        options = library.TfLiteXNNPackDelegateOptionsDefault()
        options.num_threads, options.flags = threads, options.flags | _EIGHT_BITS
        create = library.TfLiteXNNPackDelegateCreate
        create.argtypes, create.restype = [ctypes.POINTER(_Options)], ctypes.c_void_p
        self._pointer = create(ctypes.byref(options))
        if not self._pointer:
            raise RuntimeError("XNNPACK gives no delegate")

    def _get_native_delegate_pointer(self) -> int:  # the name that the interpreter calls
        return int(self._pointer)

    def __del__(self) -> None:
        if getattr(self, "_pointer", None):
            self._delete(self._pointer)
            self._pointer = None


def eight_bit_delegate(interpreter_module: Any, threads: int) -> XnnpackDelegate | None:
    """What makes XNNPACK work on 8-bit operators; None where the interpreter needs no such help.

    Args:
        interpreter_module: of the interpreter's package.
        threads: that it uses.

    Raises:
        ModelError: this build of the interpreter has none.
    """
    import importlib

    package = interpreter_module.__name__.partition(".")[0]
    if package != "tflite_runtime":
        return None
    version = getattr(importlib.import_module(package), "__version__", "")
    wrapper = getattr(interpreter_module, "_interpreter_wrapper", None)
    library = ctypes.PyDLL(wrapper.__file__) if wrapper is not None and version.startswith(_RELEASE) else None
    if library is None or not hasattr(library, "TfLiteXNNPackDelegateCreate"):
        raise ModelError(
            f"--xnnpack on: this tflite-runtime ({version}, {platform.machine()}) has no XNNPACK for 8-bit models; "
            "leave the option out"
        )
    return XnnpackDelegate(library, threads)
