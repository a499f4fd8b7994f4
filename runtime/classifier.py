"""A picture in, labels with scores out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.answers import AnswerRules, Classification, Prediction, Stages, answered_labels, rank_scores
from runtime.contract import ModelContract, Overrides
from runtime.errors import ImageError, ModelError
from runtime.file_kind import shown
from runtime.interpreter import LoadedModel
from runtime.pictures import decode_picture
from runtime.preprocess import normalize, resize
from runtime.sources.frame import Frame
from runtime.spec import ChannelOrder
from runtime.twins import Twins

if TYPE_CHECKING:
    from runtime.delegates import Delegate
    from runtime.pictures import Picture
    from runtime.xnnpack import Xnnpack

T = TypeVar("T")
R = TypeVar("R")


class Prepared(NamedTuple):
    """A picture as a model's input.

    Attributes:
        tensor: (1, height, width, 3), in the model's own dtype.
        decode_ms: what its decoding took, milliseconds.
        preprocess_ms: what resizing and quantising took, milliseconds.
    """

    tensor: NDArray[Any]
    decode_ms: float
    preprocess_ms: float


class Classifier:
    """A ``.tflite`` picture classifier, ready to run; threads may share it, one forward pass runs at a time.

    ::

        classifier = Classifier.load("flowers_int8.tflite")
        answer = classifier.classify("photo.jpg")
        for answer in classifier.classify_many(Path("photos").glob("*.jpg")):
            ...

    Attributes:
        contract: how the file is used: labels, preprocessing, task, warnings.
        model: the loaded model.
    """

    def __init__(self, contract: ModelContract, model: LoadedModel) -> None:
        self.contract = contract
        self.model = model
        self._running = threading.Lock()
        self._twins = Twins()
        self._least = contract.least_scores  # the same for each picture
        self._chosen: tuple[AnswerRules, NDArray[np.bool_]] | None = None  # of the rules asked with last
        preprocessing = contract.preprocessing
        # 0 for uint8 and 128 for int8 where raw bytes go in; None where they must be normalised.
        self._byte_shift: int | None = model.input.byte_shift(preprocessing)
        if contract.normalization_from == "input type":
            self._byte_shift = 0 if model.input.dtype == np.uint8 else 128

    @classmethod
    def load(
        cls,
        path: str | Path,
        overrides: Overrides | None = None,
        threads: int | None = None,
        *,
        delegate: str | Delegate | None = None,
        xnnpack: Xnnpack = "auto",
        autotune: bool = False,
    ) -> Classifier:
        """Open a model file.

        Args:
            path: of a ``.tflite`` file.
            overrides: labels, normalisation and resize filter that go before the file's own.
            threads: of the interpreter; None takes all processors, at most four.
            delegate: ``edgetpu`` or the path of a library that takes operators over, with its options as
                ``PATH:key=value,key=value``. It is first tried in a child process, where its crash does no harm.
            xnnpack: ``auto`` leaves it to the interpreter, ``on`` uses it for 8-bit operators too, ``off`` nowhere.
            autotune: measure first which threads and XNNPACK are quickest, as far as they are not given; see
                ``runtime.autotune.tune``.

        Raises:
            ModelError: the file is no picture classifier, the interpreter lacks operators of it or refuses it, or the
                delegate crashes or refuses.
            MissingPackageError: no interpreter is installed, or the delegate's library is not.
            UsageError: nobody says how to normalise pixels.
        """
        from runtime.load_request import LoadRequest

        if isinstance(delegate, str):
            from runtime.delegates import Delegate

            delegate = Delegate.parse(delegate)
        request = LoadRequest(Path(path), overrides, threads, xnnpack, delegate)
        if autotune:
            from runtime.autotune import tune

            request = tune(request).applied(request)
        loaded = request.load_tried()
        return loaded if cls is Classifier else cls(loaded.contract, loaded.model)

    def classify(
        self,
        picture: Picture,
        top_k: int = 5,
        threshold: float = 0.0,
        *,
        allow: Sequence[str] = (),
        deny: Sequence[str] = (),
    ) -> Classification:
        """Classify one picture.

        Args:
            picture: path of a file; the bytes of one; a Pillow picture; or uint8 (height, width, 3), RGB.
            top_k: number of predictions at most; with a multi-label model there may be more, if more labels hold.
            threshold: least score of a prediction, 0..1.
            allow: the only labels that may be answered; empty means all.
            deny: labels that are never answered.

        Raises:
            ImageError: the picture cannot be used.
            ModelError: the model fails.
            UsageError: a label is named that the model does not have.
        """
        return self.look(self.prepare(picture), AnswerRules(top_k, threshold, tuple(allow), tuple(deny)))[0]

    def classify_many(
        self,
        pictures: Iterable[Picture],
        top_k: int = 5,
        threshold: float = 0.0,
        *,
        allow: Sequence[str] = (),
        deny: Sequence[str] = (),
        workers: int | None = None,
    ) -> Iterator[Classification | ImageError]:
        """Classify many pictures on all processors, in their order, each as soon as it is ready.

        Each worker thread reads and decodes a picture and runs its own interpreter. Only a few pictures are taken ahead
        of the answers, so memory stays flat however many there are.

        Args:
            pictures: each as ``classify`` takes it; a generator is fine. It is advanced by the worker threads, by one
                at a time.
            top_k: as of ``classify``, like ``threshold``, ``allow`` and ``deny``.
            threshold: the same.
            allow: the same.
            deny: the same.
            workers: threads; None takes one for each processor (or for each ``threads`` processors, where the model was
                loaded with that).

        Returns:
            An iterator that gives, for each picture, its answer; or the ``ImageError`` of one that cannot be used.

        Raises:
            UsageError: a label is named that the model does not have; at once.
            ModelError: the model fails.
        """
        rules = AnswerRules(top_k, threshold, tuple(allow), tuple(deny))
        if rules.allow or rules.deny:
            rules.classes(self.contract.labels)  # wrong labels are told before anything is read

        def answer(classifier: Classifier, picture: Picture) -> Classification | ImageError:
            try:
                return classifier.look(classifier.prepare(picture), rules)[0]
            except ImageError as error:
                return error

        return self.each(pictures, answer, workers)

    def each(self, things: Iterable[T], work: Callable[[Classifier, T], R], workers: int | None = None) -> Iterator[R]:
        """What work makes of each thing, in their order, by several threads with a classifier each.

        Args:
            things: taken one by one, only a few ahead of the results.
            work: called with a classifier of this model that no other thread uses, and a thing.
            workers: as of ``classify_many``.
        """
        from runtime.many import in_order

        @contextmanager
        def worker() -> Iterator[Callable[[T], R]]:
            with self.for_one_thread() as classifier:
                yield lambda thing: work(classifier, thing)

        return in_order(things, worker, workers or self.workers)

    @contextmanager
    def for_one_thread(self) -> Iterator[Classifier]:
        """A classifier of the same model that no other thread uses in the block.

        Raises:
            ModelError: the file is another one by now.
        """
        with self._twins.for_one_thread(self) as classifier:
            yield classifier

    def make_twins(self) -> None:
        """Make what ``for_one_thread`` gives for all processors now, from a file that will not be there later.

        Raises:
            ModelError: the file is another one by now.
        """
        self._twins.make(self)

    @property
    def workers(self) -> int:
        """How many threads keep all processors busy, each with a classifier of its own."""
        return self._twins.workers(self)

    def prepare(
        self,
        picture: Picture,
        channel_order: ChannelOrder = "RGB",
        decode_ms: float = 0.0,
        name: object = "picture",
    ) -> Prepared:
        """The first half of ``classify``: what needs no model, and may run while another picture is in it.

        Args:
            picture: as ``classify`` takes it.
            channel_order: of an array's last axis.
            decode_ms: what decoding has taken before, milliseconds.
            name: what to call encoded bytes in an error.

        Raises:
            ImageError: the picture cannot be used.
        """
        started = time.perf_counter()
        image = decode_picture(picture, name)
        decoded = time.perf_counter()
        tensor = self.tensor(resize(image, self.contract.preprocessing, channel_order))
        ended = time.perf_counter()
        return Prepared(tensor, decode_ms + (decoded - started) * 1000, (ended - decoded) * 1000)

    def prepare_frame(self, frame: Frame) -> Prepared:
        """``prepare`` for a frame of a source.

        Raises:
            ImageError: the frame cannot be used.
        """
        return self.prepare(frame.picture, frame.channel_order, frame.decode_ms, frame.source)

    def look(self, prepared: Prepared, rules: AnswerRules) -> tuple[Classification, NDArray[np.float32]]:
        """The second half of ``classify``: the answer, and all scores, float32 (classes,), 0..1.

        Raises:
            ModelError: the model fails.
            UsageError: the rules name a label that the model does not have.
        """
        scores, invoke_ms = self.run(prepared)
        started = time.perf_counter()
        predictions, labels = self.judge(scores, rules)
        postprocess_ms = (time.perf_counter() - started) * 1000
        stages = Stages(prepared.decode_ms, prepared.preprocess_ms, invoke_ms, postprocess_ms)
        return Classification(predictions, labels, stages), scores

    def run(self, prepared: Prepared) -> tuple[NDArray[np.float32], float]:
        """Scores, float32 (classes,), 0..1, and the milliseconds that the forward pass took.

        Raises:
            ModelError: the model fails.
        """
        with self._running:
            started = time.perf_counter()
            output = self.model.run(prepared.tensor)
            ended = time.perf_counter()
        return self._real_scores(output), (ended - started) * 1000

    def scores(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Scores of a picture that is resized already.

        Args:
            pixels: (height, width, 3), 0..255, as ``preprocess.resize`` gives them.

        Returns:
            float32 (classes,), 0..1.
        """
        return self.run(Prepared(self.tensor(pixels), 0.0, 0.0))[0]

    def judge(self, scores: NDArray[np.float32], rules: AnswerRules) -> tuple[tuple[Prediction, ...], tuple[str, ...]]:
        """The best classes, best first, and the labels that hold; see ``Classification``.

        Args:
            scores: float32 (classes,), as ``scores`` gives them.
            rules: which answers are wanted.

        Raises:
            UsageError: the rules name a label that the model does not have.
        """
        contract = self.contract
        classes = self._classes(rules)
        holding = answered_labels(scores, contract.labels, self._least, contract.task, classes)
        return rank_scores(scores, contract.labels, rules, holding, classes), holding

    def _classes(self, rules: AnswerRules) -> NDArray[np.bool_] | None:
        """Which classes may be answered; a loop asks with the same rules for every frame."""
        if not rules.allow and not rules.deny:
            return None
        chosen = self._chosen
        if chosen is None or chosen[0] is not rules:
            self._chosen = chosen = (rules, rules.classes(self.contract.labels))
        return chosen[1]

    def tensor(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Resized pixels, 0..255, as the model's input (1, height, width, 3) in its own dtype."""
        quantization = self.model.input
        if self._byte_shift is None:
            return quantization.quantize(normalize(pixels, self.contract.preprocessing))[None]
        whole = np.rint(pixels) if pixels.dtype != np.uint8 else pixels
        if self._byte_shift == 0:
            return whole.astype(np.uint8, copy=False)[None]
        return (whole.astype(np.int16) - self._byte_shift).astype(np.int8)[None]

    def _real_scores(self, output: NDArray[Any]) -> NDArray[np.float32]:
        """Dequantised, and made probabilities where the model ends in logits."""
        real = self.model.output.dequantize(output)
        if len(real) != len(self.contract.labels):
            name, said = shown(self.contract.file.path), len(self.contract.labels)
            raise ModelError(
                f"{name} is damaged: it says that it gives {said} scores, and gives {len(real)}; "
                "copy or download it again"
            )
        if not np.isfinite(real).all():
            raise ModelError(f"{shown(self.contract.file.path)}: the model gives scores that are no numbers")
        known = self.contract.gives_probabilities
        if known is None:  # a model whose last step we cannot name: judge by the numbers
            known = bool(real.min() >= 0 and real.max() <= 1.001)
        if not known:
            exponentials = np.exp(real - real.max())
            real = exponentials / exponentials.sum()
        return np.clip(real, 0.0, 1.0)
