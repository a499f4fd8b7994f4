"""The command that a service is to run: parsed as ``runtime`` itself does, and which files it needs."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import UsageError
from runtime.file_kind import shown
from runtime.sources.kinds import camera_kind, is_url

if TYPE_CHECKING:
    from runtime.options import ClassifyOptions
    from runtime.page.options import PageOptions


@dataclass(frozen=True)
class ServiceCommand:
    """What a service runs.

    Attributes:
        classify: camera, model, rules and outputs.
        page: of ``serve``; None of ``classify``.
    """

    classify: ClassifyOptions
    page: PageOptions | None

    def reads(self) -> list[Path]:
        """Files and programs that must be there; a model only where one is found.

        Raises:
            UsageError: there is no model.
        """
        from runtime.find_model import find_model

        model, camera = self.classify.model, self.classify.camera
        found = [find_model(model.model)]
        if model.overrides.labels is not None:
            found.append(model.overrides.labels)
        if model.delegate is not None and Path(model.delegate.library).is_absolute():
            found.append(Path(model.delegate.library))
        if camera is not None and not is_url(camera.camera):
            kind = camera_kind(camera.camera)
            if kind in ("file", "sequence"):
                found.append(Path(camera.camera) if kind == "file" else Path(camera.camera).parent)
        if self._kept_token is not None and self._kept_token.exists():
            found.append(self._kept_token)
        programs = [shutil.which(rule.words[0]) or rule.words[0] for rule in self.classify.outputs.on]
        return found + [Path(program) for program in programs if Path(program).name != program]

    def writes(self) -> list[Path]:
        """Files and folders that are written to."""
        outputs = self.classify.outputs
        found = [outputs.save.folder] if outputs.save is not None else []
        if outputs.csv is not None:
            found.append(outputs.csv)
        if self._kept_token is not None and not self._kept_token.exists():
            found.append(self._kept_token)
        return found

    @property
    def _kept_token(self) -> Path | None:
        return self.page.token_file if self.page is not None else None


def service_command(words: Sequence[str]) -> ServiceCommand:
    """Read a command line.

    Args:
        words: without ``runtime``.

    Raises:
        UsageError: ``runtime`` does not understand it, or it does not run on by itself.
    """
    from runtime.cli import build_parser

    if words[0] not in ("serve", "classify"):
        raise UsageError(f"the command behind -- must be serve or classify, with options; got {shown(words[0])}")
    try:
        with redirect_stdout(io.StringIO()):
            args = build_parser(words).parse_args(list(words))
    except SystemExit:
        raise UsageError("--help is no command for a service") from None
    if words[0] == "serve":
        from runtime.commands import serve

        options = serve.options_of(args)
        command = ServiceCommand(options.classify, options.page)
    else:
        from runtime.commands import classify

        if args.camera is None:
            raise UsageError("a service needs a camera: classify --camera 0, say; pictures are done and over")
        command = ServiceCommand(classify.options_of(args), None)
    _check_camera(command)
    return command


def _check_camera(command: ServiceCommand) -> None:
    camera = command.classify.camera
    if camera is None:
        return
    kind = camera_kind(camera.camera)
    if kind == "stdin":
        raise UsageError("--camera -: a service has no standard input; name the camera itself")
    if command.page is None and kind in ("file", "sequence") and not camera.loop:
        raise UsageError(f"--camera {shown(camera.camera)}: has an end, and a service has none; add --loop")
