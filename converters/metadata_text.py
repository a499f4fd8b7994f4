"""What a user says about a model: its author, licence, version, and its labels in other languages."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from runtime.contract import read_label_file
from runtime.errors import ModelError, UsageError, counted
from runtime.file_kind import shown
from runtime.spec import LabelList

# An ISO 639 language, and perhaps a script or a region: "de", "pt-BR", "zh-Hans" (RFC 5646, 2.1).
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_OPTIONS = {"name": "--name", "version": "--model-version"}


@dataclass(frozen=True)
class MetadataText:
    """Texts of a model's metadata; None leaves a text to what the model's specification says.

    Attributes:
        name: of the model, for people.
        description: free text.
        author: who made it.
        version: of the model; the toolkit's own where nothing is said.
        license: name or text.
    """

    name: str | None = None
    description: str | None = None
    author: str | None = None
    version: str | None = None
    license: str | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            try:
                (value or "").encode()
            except UnicodeEncodeError as error:
                option = _OPTIONS.get(field.name, f"--{field.name}")
                raise UsageError(f"{option} {shown(value)} is no Unicode text; give it in UTF-8") from error


def parse_locales(options: Sequence[str]) -> dict[str, Path]:
    """The label files that ``--labels-locale de=FILE`` names, by locale.

    Raises:
        UsageError: no ``LOCALE=FILE``, or a locale twice.
    """
    found: dict[str, Path] = {}
    for option in options:
        locale, equals, name = option.partition("=")
        if not (equals and name and _LOCALE.fullmatch(locale)):
            raise UsageError(
                f"--labels-locale {shown(option)} is no LOCALE=FILE with a locale such as de or pt-BR; "
                "write --labels-locale de=labels-de.txt"
            )
        if locale in found:
            raise UsageError(f"--labels-locale {locale} is given twice; give one file for each language")
        found[locale] = Path(name)
    return found


def read_translations(files: Mapping[str, Path], labels: LabelList) -> dict[str, tuple[str, ...]]:
    """Labels in other languages.

    Args:
        files: locale -> file with one label a line, in the order of the model's labels.
        labels: of the model.

    Returns:
        Locale -> one text for each label.

    Raises:
        UsageError: no such file.
        ModelError: not text; more or fewer lines than labels; an empty line.
    """
    return {locale: _read_translation(locale, path, labels) for locale, path in files.items()}


def _read_translation(locale: str, path: Path, labels: LabelList) -> tuple[str, ...]:
    if not os.path.lexists(path):
        raise UsageError(f"--labels-locale {locale}={shown(path)}: no such file")
    lines = read_label_file(path)
    if len(lines) != len(labels):
        raise ModelError(
            f"{shown(path)} has {counted(len(lines), 'label')}, the model has {len(labels)}; "
            f"--labels-locale {locale} needs one line for each, in the order of labels.txt"
        )
    empty = [number for number, line in enumerate(lines, start=1) if not line.strip()]
    if empty:
        raise ModelError(f"{shown(path)}: line {empty[0]} is empty; it must name {labels[empty[0] - 1]!r} in {locale}")
    return lines
