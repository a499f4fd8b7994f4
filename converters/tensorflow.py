"""TensorFlow, imported late and without its chatter."""

from __future__ import annotations

import os
from typing import Any

from runtime.errors import MissingPackageError
from runtime.quiet import quiet_stderr


def import_tensorflow() -> Any:
    """``import tensorflow`` without its start-up messages.

    Raises:
        MissingPackageError: TensorFlow is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with quiet_stderr():
            import tensorflow as tf
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"this needs {error.name or 'TensorFlow'}, which is not installed: pip install 'edge-export-toolkit[train]'"
        ) from error
    tf.get_logger().setLevel("ERROR")
    return tf
