"""The folder that a conversion writes into, and what in it is the user's."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from converters.bundle import EXPORT_PAGE, REPORT_FILE
from converters.formats.coreml import SUFFIX, check_coreml_folder
from converters.formats.saved_model import FOLDER_ENDING, check_saved_model_folder
from converters.kinds import CALIBRATED, MIXED
from converters.options import ConvertOptions
from converters.other_formats import names_of
from converters.prove import file_stem
from converters.quantization.explain import PLOT_ENDING
from converters.report import files_of
from runtime.errors import DataError, UsageError
from runtime.file_kind import shown
from runtime.spec import ModelSpec


@dataclass(frozen=True)
class OutputFolder:
    """Where a conversion writes.

    Attributes:
        path: of the folder.
        model: that is converted.
        ours: whether nobody else writes there, or what others wrote may go (``--force``).
    """

    path: Path
    model: Path
    ours: bool

    def check(self, names: Iterable[str], asked_by: Mapping[str, str] = MappingProxyType({})) -> None:
        """Make sure that nothing of the user's is written over: not the model, nor what no conversion has put there.

        Args:
            names: of all files and folders that are to be written.
            asked_by: the option that asks for a name.

        Raises:
            UsageError: something is.
        """
        known = files_of(self.path)
        if known:
            known |= {REPORT_FILE: "", EXPORT_PAGE: ""}
        for name in names:
            place = self.path / name
            if self.model.resolve().is_relative_to(place.resolve()):
                who = asked_by.get(name, shown(name))
                raise UsageError(f"{who} would write over {shown(self.model)} itself; name another --output-dir")
            if place.exists() and name not in known and not self.ours:
                raise UsageError(
                    f"{shown(place)} is there, and no conversion has put it there; move it away, name another "
                    "--output-dir, or write over it with --force"
                )
            if name.endswith(FOLDER_ENDING):
                check_saved_model_folder(place, "--formats saved_model:")
            elif name.endswith(SUFFIX):
                check_coreml_folder(place)

    @contextmanager
    def made(self) -> Iterator[None]:
        """Make the folder for a block, and leave none behind that the block has put nothing into.

        Raises:
            DataError: it cannot be made.
        """
        new = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        self._make()
        try:
            yield
        except BaseException:  # a signal too
            with suppress(OSError):  # something is in it
                for folder in new:
                    folder.rmdir()
            raise

    def _make(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise DataError(f"cannot write to {shown(self.path)}: it is a file, not a folder")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
            if error.errno == errno.ENOENT:  # although all folders above are made: /proc and the like
                above = next(folder for folder in self.path.absolute().parents if folder.exists())
                reason = f"no folder can be made in {shown(above)}"
            raise DataError(f"cannot write to {shown(self.path)}: {reason}; name another --output-dir") from error


def planned_names(spec: ModelSpec, options: ConvertOptions) -> dict[str, str]:
    """Names of all files and folders that a conversion may write -> the option that asks for it."""
    stem = file_stem(spec)
    kinds = [*options.kinds, *((MIXED, "int16x8") if "int8" in options.kinds else ())]  # in the place of int8
    names = dict.fromkeys((REPORT_FILE, EXPORT_PAGE), "toolkit convert")
    names |= {f"{stem}_{kind}.tflite": f"the {kind} file" for kind in kinds}
    drawn = [kind for kind in kinds if kind in CALIBRATED or kind == MIXED] if options.explain else []
    names |= {f"{stem}_{kind}{PLOT_ENDING}": "--explain" for kind in drawn}
    return names | {name: f"--formats {form}" for form in options.formats for name in names_of(form, spec, stem)}
