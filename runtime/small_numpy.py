"""numpy, loaded as a command of the device needs it."""

from __future__ import annotations

import os

# https://github.com/OpenMathLib/OpenBLAS#setting-the-number-of-threads-using-environment-variables
_THREADS = "OPENBLAS_NUM_THREADS"


def load_numpy() -> None:
    """Load numpy without the threads of its linear algebra, which nothing here uses.

    OpenBLAS starts one for each processor, and each spins for a while before it sleeps: a fifth of the processor time
    that a picture takes, just when the interpreter wants the processors. Commands that are started later (``--on``)
    find the variable as it was.
    """
    if _THREADS in os.environ:
        return
    os.environ[_THREADS] = "1"
    try:
        import numpy  # noqa: F401
    finally:
        del os.environ[_THREADS]
