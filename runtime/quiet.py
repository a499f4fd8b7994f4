"""Keeps the chatter of native libraries from the terminal."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.errors import EdgeExportError


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back what is written to standard error in the block; shown after all if it fails.

    An error of ours says all that is needed by itself, so nothing is shown with it.

    Interpreters and TensorFlow's converter log from C++ through file descriptor 2, which no Python setting
    reaches. The descriptor belongs to the whole process: for the command line, not for libraries with threads.
    """
    try:
        saved = os.dup(2)
    except OSError:  # no standard error at all: nothing to hold back
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        except EdgeExportError:
            raise
        except Exception:
            caught.seek(0)
            os.write(saved, caught.read()[-20_000:])
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
