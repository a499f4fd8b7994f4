"""The systemd unit that keeps ``runtime`` going.

Directives: https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html and systemd.exec.html,
systemd.resource-control.html beside it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import UsageError, one_line

#: The first line of each unit that is written here: such a file may be replaced.
MARK = "# Written by `runtime install-service`, which may write it anew."
# Names of units: systemd.unit(5); without "@", which would make it a template.
_NAME = re.compile(r"[A-Za-z0-9:_.\\-]{1,200}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
# What systemd takes as a size: systemd.resource-control(5), MemoryMax.
_MEMORY = re.compile(r"[1-9][0-9]*[KMGT]?|[1-9][0-9]?%")


@dataclass(frozen=True)
class UnitOptions:
    """What the unit is to hold.

    Attributes:
        command: the command with its arguments; the first is an absolute path.
        name: of the unit, without ``.service``.
        user: that runs it; empty for a user that systemd makes for it alone (``DynamicUser``).
        memory: limit, as systemd writes it.
        groups: that give access to devices and exist here.
        watchdog: seconds without a sign of life after which it is restarted.
        folder: that it starts in; absolute.
        writable: folders that it may write to; absolute.
    """

    command: tuple[str, ...]
    name: str = "edge-classifier"
    user: str = ""
    memory: str = "256M"
    groups: tuple[str, ...] = ()
    watchdog: int = 30
    folder: Path = Path("/")
    writable: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UsageError(f"--name must be letters, digits and :_.-; got {self.name!r}")
        if self.user and not _USER.fullmatch(self.user):
            raise UsageError(f"--user must be the name of a user, small letters, digits, _ and -; got {self.user!r}")
        if not _MEMORY.fullmatch(self.memory):
            raise UsageError(f"--memory must be a number with K, M or G, or a percentage; got {self.memory!r}")
        if not 5 <= self.watchdog <= 3600:
            raise UsageError(f"--watchdog must be 5 to 3600 seconds; got {self.watchdog}")


def unit_text(options: UnitOptions) -> str:
    """The unit file.

    Raises:
        UsageError: an argument that no unit can hold.
    """
    check_line(str(options.folder))
    lines = [
        MARK,
        "[Unit]",
        "Description=Picture classifier (edge-export-toolkit)",
        "Documentation=man:systemd.service(5)",
        "Wants=network-online.target",
        "After=network-online.target",
        "# It never gives up: a camera may come back after hours.",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=notify",
        "NotifyAccess=main",
        f"ExecStart={' '.join(quoted(word) for word in options.command)}",
        "# A new model file, or `systemctl reload`, swaps the model between two frames.",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "Restart=always",
        "RestartSec=5",
        f"WatchdogSec={options.watchdog}",
        "TimeoutStartSec=600",
        "TimeoutStopSec=5",
        f"WorkingDirectory={str(options.folder).replace('%', '%%')}",
        "Environment=PYTHONUNBUFFERED=1",
        "",
        "# More than this and it is ended and begun anew, before it takes the whole device with it.",
        f"MemoryMax={options.memory}",
        "MemorySwapMax=0",
        "# A new model is tried in a child process; one that is too large ends the child alone.",
        "OOMPolicy=continue",
        "",
        *_user_lines(options),
        *(f"SupplementaryGroups={group}" for group in options.groups),
        *(f"ReadWritePaths={_in_list(folder)}" for folder in options.writable),
        "NoNewPrivileges=true",
        "ProtectSystem=strict",
        "ProtectHome=read-only",
        "PrivateTmp=true",
        "ProtectKernelTunables=true",
        "ProtectKernelModules=true",
        "ProtectControlGroups=true",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "RestrictNamespaces=true",
        "LockPersonality=true",
        "RestrictSUIDSGID=true",
        "UMask=0027",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def _user_lines(options: UnitOptions) -> list[str]:
    if options.user:
        return [f"User={options.user}"]
    return [
        "# A user of its own, that exists while the service runs.",
        "DynamicUser=true",
        f"StateDirectory={options.name}",
    ]


def check_line(word: str) -> None:
    """A unit's setting is one line.

    Raises:
        UsageError: a NUL or a line break, which no unit can hold.
    """
    if any(character in word for character in "\0\n\r"):
        raise UsageError(f"a service's unit cannot hold a line break: {one_line(repr(word))}")


def quoted(word: str) -> str:
    """One word of a command line as a unit holds it: ``systemd.service(5)``, "Command lines".

    Raises:
        UsageError: a NUL or a line break, which no unit can hold.
    """
    check_line(word)
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    plain = re.fullmatch(r"[A-Za-z0-9@%+=:,./_$-]+", escaped) is not None
    return escaped if plain else f'"{escaped}"'


def _in_list(path: Path) -> str:
    """A path as a setting holds it that takes a list of them; no variables are replaced there."""
    return quoted(str(path)).replace("$$", "$")
