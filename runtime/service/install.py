"""Writes the unit where systemd looks for it, after looking whether it could run there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from runtime.errors import DataError, UsageError
from runtime.file_kind import shown
from runtime.service.command import service_command
from runtime.service.unit import MARK, UnitOptions, unit_text

_UNITS = Path("/etc/systemd/system")
# They give access to cameras, GPIO pins and USB accelerators on Debian and Raspberry Pi OS.
_GROUPS = ("video", "render", "gpio", "plugdev")


def install(
    name: str,
    user: str,
    memory: str,
    watchdog: int,
    output: str | None,
    words: Sequence[str],
    out: TextIO,
    log: TextIO,
) -> int:
    """Write the unit.

    Args:
        name: of the unit, without ``.service``.
        user: that runs it; empty for one of its own.
        memory: limit, as systemd writes it.
        watchdog: seconds.
        output: file; ``-`` for ``out``; None for systemd's folder.
        words: the command, without ``runtime``.
        out: the unit, where it is only to be shown.
        log: what was done and what comes next.

    Returns:
        Exit code 0.

    Raises:
        UsageError: the command is none that can run as a service, or its files cannot be reached by its user.
        DataError: the unit cannot be written.
    """
    command = service_command(words)
    folder = Path.cwd()
    written = [folder / path for path in command.writes()]
    options = UnitOptions(
        command=(*_runtime(), *words),
        name=name,
        user=user,
        memory=memory,
        groups=_existing_groups(),
        watchdog=watchdog,
        folder=folder,
        writable=tuple(_folders(written)) if user else (),
    )
    _check_user(user)
    if not user:
        _check_state(written, name)
        for path in (Path(sys.executable), Path(__file__), folder, *(folder / path for path in command.reads())):
            _check_readable(path)
    text = unit_text(options)
    if output == "-":
        out.write(text)
        return 0
    path = _UNITS / f"{name}.service" if output is None else Path(output)
    _write(path, text)
    print(f"written: {shown(path)}", file=log)
    if output is None:
        print(_next_steps(name), file=log)
    return 0


def _runtime() -> tuple[str, ...]:
    """The command of this environment; ``-m`` would prefer a folder ``runtime`` where the service starts."""
    script = Path(sys.executable).with_name("runtime")
    return (str(script),) if script.is_file() else (sys.executable, "-m", "runtime")


def _next_steps(name: str) -> str:
    return (
        f"start it, now and with the device:  sudo systemctl daemon-reload && sudo systemctl enable --now {name}\n"
        f"see how it is:                      systemctl status {name}\n"
        f"see what it says:                   journalctl -u {name} -f\n"
        f"end it for good:                    sudo systemctl disable --now {name}"
    )


def _folders(paths: Sequence[Path]) -> list[Path]:
    """Existing folders in which these are to be written: systemd mounts them before the command makes any."""
    return sorted({next(parent for parent in (path, *path.parents) if parent.is_dir()) for path in paths})


def _existing_groups() -> tuple[str, ...]:
    try:
        import grp
    except ModuleNotFoundError:  # Windows
        return ()
    known = {group.gr_name for group in grp.getgrall()}
    return tuple(group for group in _GROUPS if group in known)


def _check_user(user: str) -> None:
    if not user:
        return
    try:
        import pwd

        pwd.getpwnam(user)
    except (ModuleNotFoundError, KeyError):
        raise UsageError(f"--user {shown(user)}: there is no such user on this device") from None


def _check_state(written: Sequence[Path], name: str) -> None:
    own = Path("/var/lib") / name
    for path in written:
        if own != path and own not in path.parents:
            raise UsageError(
                f"the service's own user may write to {own} alone, not to {shown(path)}: name a place in there, or a "
                "user that may with --user"
            )


def _check_readable(path: Path) -> None:
    """A user of its own sees what everybody may see."""
    try:
        real, named = path.resolve(strict=True), path.absolute()
        for part in (
            *reversed(named.parents),
            *reversed(real.parents),
            real,
        ):  # from the root: the first that is closed
            mode = part.stat().st_mode
            needed = 0o5 if part.is_dir() and part == real else 0o1 if part.is_dir() else 0o4
            if mode & needed != needed:
                raise UsageError(
                    f"the service's own user cannot read {shown(path)}: {shown(part)} is closed to others; "
                    f"say --user {_owner(part)}, or move the environment and the model to /opt"
                )
    except OSError as error:
        raise UsageError(f"{shown(path)}: {error.strerror or error}") from error


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except (KeyError, NotImplementedError):
        return "NAME"


def _write(path: Path, text: str) -> None:
    """Atomically, and over nothing that others wrote."""
    try:
        if path.exists() and not path.read_text("utf-8", "replace").startswith(MARK):
            raise DataError(
                f"{shown(path)}: exists and was not written by runtime; name another with --name or --output"
            )
        staged = path.with_name(f".{path.name}.new")
        staged.write_text(text, "utf-8")
        staged.replace(path)
    except OSError as error:
        advice = (
            ": write it as root (sudo), or somewhere else with --output" if isinstance(error, PermissionError) else ""
        )
        raise DataError(f"{shown(path)} cannot be written: {error.strerror or error}{advice}") from error
