"""Where tflite-runtime 2.14 lives: an environment of its own, since it cannot share one with TensorFlow.

Looked for in this order: ``--floor-python PATH``; the variable ``EDGE_EXPORT_FLOOR_PYTHON``; and
``floor/bin/python`` in the user's data folder (``~/.local/share/edge-export-toolkit`` on Linux), made once with::

    python3.11 -m venv ~/.local/share/edge-export-toolkit/floor
    ~/.local/share/edge-export-toolkit/floor/bin/pip install tflite-runtime==2.14.0 'numpy<2' pillow
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from converters.processes import child_environment
from runtime.errors import UsageError
from runtime.file_kind import shown

INTERPRETER = "tflite-runtime"
VARIABLE = "EDGE_EXPORT_FLOOR_PYTHON"
_NEEDED = "python -m pip install tflite-runtime==2.14.0 'numpy<2' pillow, in an environment of Python 3.10 or 3.11"
# Seconds that a Python may take to import an interpreter.
_TIMEOUT = 60


def floor_python(given: Path | None = None) -> Path | None:
    """The Python with tflite-runtime in its environment.

    Args:
        given: by the user.

    Returns:
        Its path, with a folder; None where nobody named one and none is in its usual place.

    Raises:
        UsageError: the one that was named does not run, or has no tflite-runtime.
    """
    named = given if given is not None else _from_environment()
    if named is None:
        usual = usual_place()
        return usual if usual.is_file() and _problem(usual) is None else None
    if problem := _problem(named):
        what = "--floor-python" if given is not None else VARIABLE
        raise UsageError(f"{what} {shown(named)}: {problem}; it needs {_NEEDED}")
    return _with_folder(named)


def usual_place() -> Path:
    """Where the environment is looked for when nobody names one."""
    base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "edge-export-toolkit" / "floor" / "bin" / "python"


def _from_environment() -> Path | None:
    value = os.environ.get(VARIABLE)
    return Path(value) if value else None


def _with_folder(path: Path) -> Path:
    """So that it can be started from another folder; a link stays one, since a virtual environment's Python is one."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow the link


def _problem(python: Path) -> str | None:
    """Why a Python cannot run the floor interpreter; None where it can."""
    if not python.is_file():
        return "no such file"
    code = "import runtime.interpreter as i; print(i.interpreter_name())"
    try:
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(  # noqa: S603 - the user's own choice of a Python
                [str(_with_folder(python)), "-c", code],
                cwd=folder,
                capture_output=True,
                text=True,
                errors="replace",
                env=child_environment(INTERPRETER),
                timeout=_TIMEOUT,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"it does not run ({error})"
    if done.returncode == 0 and done.stdout.startswith(INTERPRETER):
        return None
    lines = done.stderr.strip().splitlines()
    return f"it has no tflite-runtime ({lines[-1] if lines else f'exit code {done.returncode}'})"
