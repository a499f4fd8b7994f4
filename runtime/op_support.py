"""Whether the interpreter that is installed has a model's operators: told before the model is loaded."""

from __future__ import annotations

from runtime.errors import ModelError
from runtime.file_kind import shown
from runtime.model_file import ModelFile, OperatorUse
from runtime.op_versions import COMPLETE_UP_TO, first_release, newness, release_key, too_new_for

#: The operator that ``edgetpu_compiler`` puts in place of those that it compiled.
EDGE_TPU_OPERATOR = "edgetpu-custom-op"
# TensorFlow's own operators in a file made with SELECT_TF_OPS.
_FLEX = "Flex"
# ai-edge-litert before which release -> the newest TensorFlow release of which it has any operator version. Measured
# with 209 operators x versions 1-18 on 1.2.0, 1.3.0, 1.4.0, 2.0.3, 2.1.0, 2.1.6, 2.2.0 and 2.3.0; from 2.1 on only the
# interpreter itself can tell.
_LITERT_LACKS = (("1.3", "2.19"), ("2.0", "2.20"), ("2.1", "2.21"))
# The newest TensorFlow release of which it has every operator version -> ai-edge-litert; measured alike.
_LITERT_HAS = (("2.19", "1.2"), ("2.20", "2.0"), ("2.23", "2.2"))
_PIP = {"ai-edge-litert": "pip install -U ai-edge-litert", "tflite-runtime": "pip install ai-edge-litert"}


def require_operators(file: ModelFile, delegate: bool = False) -> None:
    """Refuse a model of which the interpreter that is installed surely lacks an operator.

    Args:
        file: as ``ModelFile.read`` gives it.
        delegate: whether a delegate will take operators over; custom ones are its business then.

    Raises:
        ModelError: naming the operator and the runtime needed.
        MissingPackageError: no interpreter is installed.
    """
    if not delegate:
        _require_no_custom(file)
    if too_new_for(file, COMPLETE_UP_TO):  # else every interpreter that this runtime works with has them
        from runtime.interpreter import interpreter_version

        require_versions(file, *interpreter_version())


def require_versions(file: ModelFile, distribution: str, version: str | None) -> None:
    """The same for one interpreter, of built-in operators.

    Args:
        file: as ``ModelFile.read`` gives it.
        distribution: of the interpreter.
        version: of the interpreter; None where nobody knows it.

    Raises:
        ModelError: naming the operator and the runtime needed.
    """
    lacking = too_new_for(file, _newest(distribution, version)) if version else []
    if not lacking:
        return
    worst = max(lacking, key=newness)
    others = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
    raise ModelError(
        f"{shown(file.path)} needs {worst.name} version {worst.version}{others}, which {distribution} {version} does "
        f"not have; {who_has(worst)}: {_PIP.get(distribution, 'install that')}, or convert the model again for this "
        "one (toolkit convert does)"
    )


def who_has(operator: OperatorUse) -> str:
    """Which runtime first runs an operator, for people."""
    release = first_release(operator.name, operator.version)
    if release is None:
        return "no release known here has it; try the newest"
    needed = f"TensorFlow Lite {release.removesuffix('.0')}"
    for newest, litert in _LITERT_HAS:
        if release_key(release) <= release_key(newest):
            return f"{needed} or ai-edge-litert {litert} has it"
    return f"{needed} has it"


def _require_no_custom(file: ModelFile) -> None:
    custom = [op.name for op in file.operators if op.custom]
    if EDGE_TPU_OPERATOR in custom:
        raise ModelError(
            f"{shown(file.path)} is compiled for the Edge TPU: --delegate edgetpu runs it where one is plugged in; "
            "without one take the file that it was compiled from"
        )
    flex = next((name for name in custom if name.startswith(_FLEX)), None)
    if flex is not None:
        raise ModelError(
            f"{shown(file.path)} needs {shown(flex)}, an operator of TensorFlow itself, which no interpreter for "
            "devices has; convert the model again without SELECT_TF_OPS"
        )


def _newest(distribution: str, version: str) -> str:
    """The newest TensorFlow release of which the interpreter has anything."""
    if distribution == "tflite-runtime":
        return version  # it has TensorFlow's numbers
    for before, newest in _LITERT_LACKS:
        if release_key(version) < release_key(before):
            return newest
    return "999"
