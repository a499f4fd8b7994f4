"""Virtual environments like those of our users, made once and kept under ``build/environments``."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "build" / "environments"
LOCK_FILE = ROOT / "requirements-dev.lock"

# All that goes into the project's wheel.
_PACKAGES = ("runtime", "converters", "toolkit")
_FILES = ("pyproject.toml", "README.md", "LICENSE", "NOTICE")

# How pip says that it had no connection, as against a requirement or a build of ours that is wrong.
_OFFLINE = (
    "Connection broken",
    "ConnectionError",
    "ConnectTimeout",
    "Failed to establish",
    "Max retries exceeded",
)


def make_environment(
    name: str,
    *,
    dependencies: Sequence[str] | None,
    python: str = sys.executable,
    constraints: Path | None = None,
    with_project: bool = True,
) -> Path:
    """A virtual environment with the project installed in it, as a wheel and not editable.

    It is made anew when ``pyproject.toml`` or the dependencies change, and the project in it is replaced
    when its sources change. Several test runs may ask at the same time.

    Args:
        name: the beginning of its folder's name.
        dependencies: what to install before the project, which then brings nothing itself;
            None lets the project bring its own dependencies.
        python: the interpreter to make it with.
        constraints: a pip constraints file.
        with_project: False for one of other people's programs alone, which needs no wheel of ours.

    Returns:
        The path of its python; the project's commands lie beside it.
    """
    if os.environ.get("EDGE_EXPORT_USERLAND"):
        pytest.skip("in an emulated userland no environment can be made")
    ours = (ROOT / "pyproject.toml").read_text(encoding="utf-8") if with_project else "not in it"
    parts = [str(ROOT), str(dependencies), ours]
    limits: list[str] = []
    if constraints is not None:
        parts.append(constraints.read_text(encoding="utf-8"))
        limits = ["--constraint", str(constraints)]
    kind = f"{name}-{_version(python)}"
    folder = KEPT / f"{kind}-{_digest(parts)}"
    # Written last, so an environment without it is half made. It holds the digest of the installed sources.
    stamp = folder / "installed-sources"
    pip = [str(_python_in(folder)), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    install = ("install", "--no-compile")  # of thousands of modules few are imported, and those are compiled then
    with _locked(KEPT / "lock"):
        wheel = _project_wheel() if with_project else None
        sources = wheel.parent.name if wheel else "none"
        if not stamp.exists() or not _version(str(_python_in(folder))):
            for outdated in KEPT.glob(f"{kind}-*"):
                shutil.rmtree(outdated)
            run_or_skip([python, "-m", "venv", str(folder)])
            run_or_skip([*pip, *install, *limits, *([str(wheel)] if dependencies is None else dependencies)])
            if dependencies is None or not with_project:
                stamp.write_text(sources, encoding="utf-8")
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != sources:
            stamp.unlink(missing_ok=True)
            run_or_skip([*pip, *install, "--no-index", "--no-deps", "--force-reinstall", str(wheel)])
            stamp.write_text(sources, encoding="utf-8")
    return _python_in(folder)


def python_for_tflite_runtime() -> str:
    """An interpreter that tflite-runtime 2.14 has a wheel for; skips the test where there is none."""
    if not sys.platform.startswith("linux"):
        pytest.skip("tflite-runtime 2.14 has wheels for Linux only")
    for candidate in (sys.executable, "python3.11", "python3.10"):
        found = shutil.which(candidate)
        if found and _version(found) in ("3.10", "3.11"):
            return found
    pytest.skip("tflite-runtime 2.14 needs Python 3.10 or 3.11, and neither is here")


def _project_wheel() -> Path:
    """The wheel of the working tree, in a folder named after its sources; built at need, under the lock."""
    sources = [ROOT / name for name in _FILES]
    for package in _PACKAGES:
        sources += [file for file in sorted((ROOT / package).rglob("*")) if file.is_file()]
    sources = [file for file in sources if "__pycache__" not in file.parts]
    digest = _digest([part for file in sources for part in (str(file.relative_to(ROOT)), file.read_bytes())])
    folder = KEPT / "wheels" / digest
    if not folder.exists():
        # Built from a copy: setuptools leaves a `build/lib` behind that the next wheel would pick up.
        with tempfile.TemporaryDirectory(dir=KEPT) as scratch:
            copy, built = Path(scratch, "tree"), Path(scratch, "wheel")
            for file in sources:
                target = copy / file.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, target)
            options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--wheel-dir", str(built)]
            run_or_skip([sys.executable, "-m", "pip", "wheel", *options, str(copy)])
            shutil.rmtree(folder.parent, ignore_errors=True)  # only the newest is of use
            folder.parent.mkdir(parents=True)
            built.rename(folder)
    return next(folder.glob("*.whl"))


def run_or_skip(command: Sequence[str]) -> None:
    """Run a step that pip is in; a test run without a connection skips, unless it is CI's."""
    if os.environ.get("EDGE_EXPORT_USERLAND"):
        pytest.skip("in an emulated userland no environment can be made")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode == 0:
        return
    said = (done.stdout + done.stderr).strip()
    offline = [line.strip() for line in said.splitlines() if any(sign in line for sign in _OFFLINE)]
    if offline and os.environ.get("CI") != "true":
        pytest.skip(f"the package registry cannot be reached: {offline[0]}")
    pytest.fail(f"{' '.join(command)} ended with {done.returncode}:\n{said}", pytrace=False)


def _version(python: str) -> str:
    """Such as "3.11"; "" for one that does not run."""
    command = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip()


def _python_in(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _digest(parts: Sequence[str | bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:12]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock file; the system lets go of it when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            while True:
                try:
                    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)  # gives up after ten seconds
                    break
                except OSError:
                    continue
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
