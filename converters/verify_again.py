"""Every proof of a file once more, at any later time, on any machine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from converters import floor
from converters.against import Against
from converters.bundle import REPORT_FILE
from converters.kinds import KINDS, MIXED
from converters.loss import USUAL_AGREEMENT, Loss
from converters.min_runtime import DEFAULT_MIN_RUNTIME, MinRuntime, require_runtime
from converters.processes import run_in_process
from converters.reference import Reference
from converters.report import read_report
from converters.truth import INTEGER_KINDS, kind_of, require_true
from converters.verification import Check, State, Verification
from converters.verify import Run, run_file
from runtime.contract import read_contract
from runtime.errors import ModelError, UsageError, counted, one_line
from runtime.file_kind import shown
from runtime.missing_archive import missing_archive
from runtime.model_file import ModelFile
from runtime.op_versions import required_runtime
from runtime.spec import LabelList, Preprocessing

# Scores of an integer file differ by some hundredths between interpreters and processors that round otherwise.
_SAME_SCORES = 0.05
_DEFAULT_DROP = 2.0


@dataclass(frozen=True)
class VerifyOptions:
    """What a verification can be told.

    Attributes:
        max_accuracy_drop: points that the file may lose; None takes what export.json says, or 2.
        minimum: the oldest interpreter that must load it.
        floor_python: a Python with tflite-runtime, see ``converters.floor``; None runs the file on LiteRT alone.
    """

    max_accuracy_drop: float | None = None
    minimum: MinRuntime = DEFAULT_MIN_RUNTIME
    floor_python: Path | None = None


def _ignore(_message: str) -> None:
    pass


def verify_again(
    model: Path, against: Against, options: VerifyOptions | None = None, notify: Callable[[str], None] = _ignore
) -> Verification:
    """Repeat every proof; one that fails does not keep the others from being tried.

    Args:
        model: a ``.tflite`` file, ours or anybody's.
        against: what it is compared with.
        options: None takes the defaults.
        notify: is told in one line what happens.

    Raises:
        ModelError: the file cannot be read, or is no picture classifier.
        UsageError: nobody says how to normalise pixels for it.
    """
    options = options or VerifyOptions()
    work = _Work(model, against, options, notify)
    work.is_whole()
    work.is_unchanged()
    work.is_what_it_is_called()
    work.loads_where_it_must()
    if work.belongs():
        work.runs_everywhere()
        work.is_accurate()
        work.answers_as_before()
    return Verification(
        path=model,
        kind=work.kind,
        against=against.described,
        size=len(work.content),
        compared=against.scores is not None,
        checks=tuple(work.checks),
        runs=tuple(work.runs),
    )


@dataclass
class _Work:
    """The proofs of one file as they are made, in the order of ``verify_again``."""

    model: Path
    against: Against
    options: VerifyOptions
    notify: Callable[[str], None]
    checks: list[Check] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.contract = read_contract(self.model)
        self.content = self.model.read_bytes()
        self.digest = hashlib.sha256(self.content).hexdigest()
        self.report = read_report(self.model.parent)
        entries = self.report["files"] if self.report else []
        self.entry: dict[str, Any] | None = next((e for e in entries if e["file"] == self.model.name), None)
        self.kind = self.entry["kind"] if self.entry else _kind_by_name(self.model) or kind_of(self.content)

    def is_whole(self) -> None:
        """The interpreter does not miss what is appended to a file; labels and preprocessing go with it."""
        with self._check("whole"):
            if missing := missing_archive(self.contract.file):
                self._note("whole", "failed", missing)

    def is_unchanged(self) -> None:
        if self.entry is None:
            text = f"no {REPORT_FILE} beside it speaks of this file"
            if self.report is None and (self.model.parent / REPORT_FILE).exists():
                text = f"the {REPORT_FILE} beside it is damaged, or another version's: it proves nothing of this file"
            self._note("unchanged", "not done", text)
        elif self.entry["sha256"] == self.digest:
            self._note("unchanged", "ok", "its sha256 is the one in export.json")
        else:
            text = f"its sha256 begins {self.digest[:12]}, in export.json {self.entry['sha256'][:12]}: convert again"
            self._note("unchanged", "failed", text)

    def is_what_it_is_called(self) -> None:
        with self._check("kind"):
            require_true(self.model.name, self.content, self.kind)
            found = kind_of(self.content)
            integers = "; nothing in it is float" + ("" if self._integer_ends() else " but its input and output")
            self._note("kind", "ok", f"{found}{integers if found in INTEGER_KINDS else ''}")

    def _integer_ends(self) -> bool:
        ends = (*self.contract.file.inputs, *self.contract.file.outputs)
        return all(tensor.dtype != "float32" for tensor in ends)

    def loads_where_it_must(self) -> None:
        with self._check("operators"):
            file = ModelFile.read(self.model)
            require_runtime(file, self.kind, self.options.minimum)
            needed = required_runtime(file).version
            self._note("operators", "ok", f"{self.options.minimum} has them all; they need {needed or 'nothing new'}")

    def belongs(self) -> bool:
        """Whether the file takes these pictures and gives these classes."""
        spec = self.against.spec
        if spec is None:
            return True
        labels, pixels = self.contract.labels, self.contract.preprocessing
        if len(labels) != len(spec.labels) or (pixels.height, pixels.width) != _size(spec.preprocessing):
            text = f"takes {pixels.width} x {pixels.height} pixels and gives {counted(len(labels), 'score')}; "
            text += "{} x {} and {} are those of ".format(*_size(spec.preprocessing)[::-1], len(spec.labels))
            self._note("belongs", "failed", text + self.against.described)
            return False
        if LabelList(labels) != spec.labels:
            self._note("belongs", "failed", f"its labels are not those of {self.against.described}")
        elif self.contract.spec is not None and pixels != spec.preprocessing:
            self._note("belongs", "failed", f"its preprocessing is not that of {self.against.described}")
        else:
            self._note("belongs", "ok", f"labels and preprocessing of {self.against.described}")
        return True

    def runs_everywhere(self) -> None:
        with self._check("runs"):
            self.notify(f"Running {shown(self.model.name)}")
            reference = self._reference()
            self.runs.append(run_file(self.model, reference))
            self._note("runs", "ok", self._found(self.runs[-1]))
        name = f"runs on {floor.INTERPRETER}"
        if not self.options.minimum.includes_floor:
            self._note(name, "not done", f"--min-runtime {self.options.minimum}")
        elif self.options.floor_python is None:
            self._note(name, "not done", "no environment with it: --floor-python PATH")
        elif self.runs:
            with self._check(name):
                self.notify(f"Running {shown(self.model.name)} on {floor.INTERPRETER}")
                run = run_file(self.model, reference, str(self.options.floor_python), floor.INTERPRETER)
                self.runs.append(run)
                self._note(name, "ok", self._found(run))

    def _reference(self) -> Reference:
        """Without a trained model the file itself stands for it, and nothing is said of the comparison."""
        scores = self.against.scores
        if scores is None:
            scores = run_in_process(self.model, self.against.images)[0]
        spec, contract = self.against.spec, self.contract
        task = spec.task if spec else contract.task
        least = spec.least_scores() if spec else contract.least_scores
        return Reference(self.against.images, scores, self.against.truth, task, least)

    def _found(self, run: Run) -> str:
        found = run.interpreter
        if self.against.scores is not None:
            found += f": {run.top1_agreement:.1%} the same answer, scores differ by {run.largest_score_difference:.2g}"
        elif run is not self.runs[0]:
            found += f": scores differ from {self.runs[0].interpreter}'s by {run.largest_score_difference:.2g}"
        return found

    def is_accurate(self) -> None:
        limit = self.options.max_accuracy_drop
        if limit is None:
            limit = float(self.entry["max_accuracy_drop"]) if self.entry else _DEFAULT_DROP
        for run in self.runs:
            name = "accuracy" if run is self.runs[0] else f"accuracy on {floor.INTERPRETER}"
            if not run.accuracy.images:
                unknown = "the true labels of the pictures are not known"
                if self.against.scores is not None and run.top1_agreement < USUAL_AGREEMENT:
                    few = f"{unknown}, and only {run.top1_agreement:.1%} of them get the trained model's answer"
                    self._note(name, "failed", few)
                else:
                    self._note(name, "not done", unknown)
            elif self.against.scores is None:
                self._note(name, "ok", f"{run.accuracy}; no trained model to compare with")
            else:
                good = Loss.of(run).is_accepted(limit)
                self._note(name, "ok" if good else "failed", _accuracy_text(run, limit))

    def answers_as_before(self) -> None:
        """Compare with the scores that export.json has of the same pictures."""
        rows = self.report["test_scores"] if self.report and self.entry else ()
        before = {row["sha256"]: row[self.kind] for row in rows if self.kind in row}
        pairs = [
            (before[digest], self.runs[0].scores[row])
            for row, digest in enumerate(self.against.digests)
            if self.runs and digest in before
        ]
        if not pairs:
            return
        difference = max(float(np.abs(np.asarray(old) - new).max()) for old, new in pairs)
        text = f"scores of {len(pairs)} pictures differ from those in export.json by {difference:.2g} at most"
        self._note("as before", "ok" if difference <= _SAME_SCORES else "failed", text)

    def _note(self, name: str, state: State, text: str) -> None:
        self.checks.append(Check(name, state, text))

    @contextmanager
    def _check(self, name: str) -> Iterator[None]:
        """A failure in the block is one of this proof."""
        try:
            yield
        except ModelError as error:
            self._note(name, "failed", one_line(error))


def _accuracy_text(run: Run, limit: float) -> str:
    better, worse = len(run.paired.better), len(run.paired.worse)
    text = f"{run.accuracy}, drop {run.accuracy_drop:.1f} points; answers better {better}, worse {worse}"
    if (run.accuracy_drop or 0) > limit:
        text += f"; more than the {limit:g} allowed"
        text += ", but so few pictures may be chance" if run.paired.excuses(run.accuracy_drop or 0) else ""
    if Loss.of(run).has_collapsed(limit):
        text += f"; only {run.top1_agreement:.1%} of the pictures get the trained model's answer: it has collapsed"
    return text


def _kind_by_name(path: Path) -> str | None:
    return next((kind for kind in (*KINDS, MIXED) if path.stem.endswith(f"_{kind}")), None)


def _size(preprocessing: Preprocessing) -> tuple[int, int]:
    return preprocessing.height, preprocessing.width


def check_model_path(model: Path) -> None:
    """Say early that there is no such file.

    Raises:
        UsageError: no such file.
    """
    if not model.is_file():
        raise UsageError(f"no such file: {shown(model)}; name a .tflite file")
