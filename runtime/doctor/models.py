"""Models: whether the interpreter that is here runs them."""

from __future__ import annotations

from pathlib import Path

from runtime.doctor.finding import Finding
from runtime.errors import EdgeExportError, one_line
from runtime.file_kind import shown


def check_models(paths: list[Path]) -> list[Finding]:
    """Each model is read, loaded and run once, in a process of its own.

    Args:
        paths: model files, or folders of exports; empty for ``./model`` where there is one.
    """
    from runtime.find_model import DEFAULT_FOLDER

    named = paths or ([DEFAULT_FOLDER] if DEFAULT_FOLDER.exists() else [])
    if not named:
        return [Finding("model", "note", "none was named, and there is no ./model: runtime doctor MODEL looks at one")]
    return [_check(path) for path in named]


def _check(path: Path) -> Finding:
    from runtime.find_model import find_model
    from runtime.load_request import LoadRequest
    from runtime.model_file import ModelFile
    from runtime.op_versions import required_runtime
    from runtime.trial import try_model

    try:
        model = find_model(path, option="")
        file = ModelFile.read(model)
        needed = required_runtime(file)
        try_model(LoadRequest(model))
    except EdgeExportError as error:
        return Finding("model", "fault", one_line(error), _mend(one_line(error)))
    text = f"{shown(model)}: {file.size / 1e6:.1f} MB, runs here"
    if needed.version:
        text += f"; needs TFLite runtime {needed.version} or newer"
    return Finding("model", "ok", text)


def _mend(text: str) -> tuple[str, ...]:
    if "how pixels are normalised" in text:
        return ("runtime classify --mean 127.5 --std 127.5 ... (as its makers say)",)
    if "newer" in text:
        return ("pip install --upgrade ai-edge-litert", "or convert it again with: toolkit convert --min-runtime 2.14")
    return ()
