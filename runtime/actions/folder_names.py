"""Labels and names of files as names that every file system takes."""

from __future__ import annotations

import hashlib
import re

# What Windows and the file systems of USB sticks refuse, and what separates folders:
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_REFUSED = re.compile(r'[<>:"/\\|?*]')
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
# Bytes of a name: 255 on most file systems, less what stands behind it.
_LONGEST = 180


def folder_name(label: str) -> str:
    """A label as the name of one folder, readable, and another one for every label.

    A label that is a good name stays as it is. From any other, what cannot be in a name is replaced, and some digits of
    its hash are put behind it, so that ``a/b`` and ``a:b`` do not share a folder.
    """
    name = safe_name(label)
    if name == label:
        return name
    digest = hashlib.sha256(label.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{name}-{digest}"


def safe_name(text: str) -> str:
    """Text as the name of one file or folder that is not hidden; not empty."""
    name = "".join(c if c.isprintable() else "_" for c in _REFUSED.sub("_", text))
    name = name.encode("utf-8", "ignore")[:_LONGEST].decode("utf-8", "ignore")
    if name.endswith((".", " ")):
        name = name[:-1] + "_"
    if name.startswith((".", " ", "-")):  # hidden, lost at a prompt, or taken for an option
        name = "_" + name[1:]
    if _DEVICES.fullmatch(name):
        name = f"_{name}"
    return name or "_"
