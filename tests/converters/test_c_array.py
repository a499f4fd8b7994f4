"""The C++ source: compiled, read back, and run by the interpreter that it is for."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from converters.flatbuffer_model import unpack_model
from converters.formats import arena, c_array
from converters.formats.arena import estimate_arena, measure_arena
from converters.formats.c_text import byte_lines, identifier, string_literal
from converters.formats.dense_per_tensor import per_channel_dense_layers, per_tensor_dense
from converters.formats.lean_model import lean_model
from converters.formats.micro_operators import code_name
from converters.metadata import add_metadata
from runtime.errors import DataError, ModelError
from runtime.preprocess import normalize
from runtime.quantization import Quantization
from runtime.spec import LabelList, ModelSpec
from tests.converters import small_nets
from tests.converters.small_nets import Net
from tests.environments import make_environment

HERE = Path(__file__).parent
# Each would break out of a literal, a comment or a line that takes it as it is.
LABELS = ('quote " and \\', "??/\n*/ int x;", "Gänseblümchen 向日葵 🌷", "\udcff0 after a byte", "nul\0behind")
COMPILER = shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler is here")


def spec_of(net: Net, **changes: Any) -> ModelSpec:
    labels = LabelList(LABELS)
    return replace(ModelSpec('Blü"men */', "small", "single-label", net.preprocessing, labels), **changes)


@pytest.fixture(scope="module", params=["residual", "concat", "hard_swish"])
def net(request: pytest.FixtureRequest) -> Net:
    pytest.importorskip("tensorflow")
    return small_nets.make(request.param)


@pytest.fixture(scope="module")
def residual() -> Net:
    pytest.importorskip("tensorflow")
    return small_nets.make("residual", 127.0, 128.0)


@pytest.fixture(scope="module")
def micro_python() -> Path:
    """Python of an environment with TensorFlow Lite Micro's interpreter."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        pytest.skip("tflite-micro has wheels for x86-64 Linux only")
    return make_environment("micro", dependencies=["tflite-micro", "numpy", "pillow"])


def compiled(header: Path, scratch: Path, standard: str = "c++11") -> tuple[dict[str, list[str]], bytes]:
    """What the program printed, by the first word of each line, and the model that it wrote."""
    program, out = scratch / "program", scratch / "read-back.tflite"
    words = [f'-DMODEL_HEADER="{header.name}"', f"-DMODEL_NAMESPACE={header.stem}", f"-I{header.parent}"]
    sources = [str(HERE / "c_program.cc"), str(header.with_suffix(".cc"))]
    strict = [f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    subprocess.run([str(COMPILER), *strict, *words, *sources, "-o", str(program)], check=True)
    done = subprocess.run([str(program), str(out)], check=True, capture_output=True, text=True)
    lines: dict[str, list[str]] = defaultdict(list)
    for line in done.stdout.splitlines():
        key, _, rest = line.partition(" ")
        lines[key].append(rest.strip())
    return lines, out.read_bytes()


def outputs(model: bytes, tensors: NDArray[Any]) -> NDArray[Any]:
    """Of LiteRT, in the model's own dtype."""
    loaded = small_nets.interpreter(model)
    source, target = loaded.get_input_details()[0]["index"], loaded.get_output_details()[0]["index"]
    answers = []
    for tensor in tensors:
        loaded.set_tensor(source, tensor[None])
        loaded.invoke()
        answers.append(loaded.get_tensor(target)[0])
    return np.stack(answers)


@needs_compiler
@pytest.mark.parametrize("standard", ["c++11", "c++20"])
def test_a_program_reads_it_back(residual: Net, tmp_path: Path, standard: str) -> None:
    spec = spec_of(residual, unknown_below=0.25, thresholds={LABELS[1]: 0.75}, task="multi-label")
    header, source = c_array.write(
        add_metadata(residual.int8, spec_of(residual, labels=plain())), spec, tmp_path, "int8"
    )
    assert (header.name, source.name) == ("bl_men_int8_model.h", "bl_men_int8_model.cc")
    said, model = compiled(header, tmp_path, standard)
    assert said["aligned"] == ["1"]
    assert bytes.fromhex(said["name"][0]).decode() == spec.name
    texts = [bytes.fromhex(text).decode("utf-8", "surrogateescape") for text in said["label"]]
    assert texts == [*LABELS[:4], "nul\\x00behind"]
    assert [float(text) for text in said["least"]] == [0.25, 0.75, 0.25, 0.25, 0.25]
    assert said["shape"] == ["24 24 3 5"]
    assert (said["several"], said["crop"]) == (["1"], ["0"])
    called = ["AddAdd", "AddConv2D", "AddDepthwiseConv2D", "AddFullyConnected", "AddMean", "AddQuantize", "AddSoftmax"]
    assert said["operators"] == [f"1 {len(called)} {' '.join(called)}"]
    assert int(said["size"][0]) == len(model)
    assert (outputs(model, residual.pictures) == outputs(residual.int8, residual.pictures)).all()


def plain() -> LabelList:
    return LabelList(("a", "b", "c", "d", "e"))


@needs_compiler
@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_the_constants_are_the_models_own(residual: Net, tmp_path: Path, kind: str) -> None:
    """What the header's functions give is what the runtime puts into the file and reads out of it."""
    content = residual.float32 if kind == "float32" else residual.int8
    header, _ = c_array.write(content, spec_of(residual), tmp_path, kind)
    said, _ = compiled(header, tmp_path)
    loaded = small_nets.interpreter(content)
    for key, details in (("input", loaded.get_input_details()[0]), ("output", loaded.get_output_details()[0])):
        scale, zero_point = details["quantization"]
        assert said[key] == [f"{np.float32(scale):.9g} {zero_point} {np.dtype(details['dtype']).itemsize}"]
    ramp = np.zeros((24, 24, 3), np.float32)
    ramp.reshape(-1, 3)[:256] = np.arange(256, dtype=np.float32)[:, None]
    expected = ramp if kind == "int8" else normalize(ramp, residual.preprocessing)
    for channel in range(3):
        mean, std, *values = map(float, said["pixels"][channel].split())
        assert (mean, std) == (127.0, 128.0)
        np.testing.assert_allclose(values, expected.reshape(-1, 3)[:256, channel], atol=1e-6)
    assert float(said["score"][0]) == (100.0 if kind == "float32" else 100 / 256)


@needs_compiler
def test_a_normalisation_that_the_input_does_not_hold(residual: Net, tmp_path: Path) -> None:
    """Each channel has its own mean: bytes cannot go in as they are, and are computed."""
    pixels = replace(residual.preprocessing, mean=(120.0, 110.0, 100.0), resize="center-crop", crop_fraction=0.875)
    header, _ = c_array.write(residual.int8, spec_of(residual, preprocessing=pixels), tmp_path, "int8")
    said, _ = compiled(header, tmp_path)
    assert said["crop"] == ["0.875"]
    source = small_nets.interpreter(residual.int8).get_input_details()[0]
    taken = Quantization(np.dtype(np.uint8), *source["quantization"])
    ramp = np.zeros((24, 24, 3), np.float32)
    ramp.reshape(-1, 3)[:256] = np.arange(256, dtype=np.float32)[:, None]
    expected = taken.quantize(normalize(ramp, pixels)).reshape(-1, 3)[:256]
    given = np.array([line.split()[2:] for line in said["pixels"]], np.float64).T
    assert np.abs(given - expected).max() <= 1, "halves may be rounded to either side"


def test_micro_gives_what_litert_gives(net: Net, tmp_path: Path, micro_python: Path) -> None:
    """Exactly in the arena that the header names, and no float score differs by more than 1e-5."""
    for kind in ("float32", "int8"):
        content = net.float32 if kind == "float32" else net.int8
        lean = lean_model(content)
        found = measure_arena(lean, str(micro_python))
        assert found is not None
        tensors = net.pictures[:20] if kind == "int8" else normalize(net.pictures[:20], net.preprocessing)
        (tmp_path / "model.tflite").write_bytes(lean)
        np.save(tmp_path / "in.npy", tensors)
        script = [str(micro_python), str(HERE / "micro_run.py")]
        words = [str(tmp_path / name) for name in ("model.tflite", "in.npy", "out.npy")]
        subprocess.run([*script, *words, str(found[0])], check=True, capture_output=True)
        given = np.load(tmp_path / "out.npy").astype(np.float64)
        expected = outputs(content, tensors).astype(np.float64)
        assert np.ptp(expected, axis=0).max() > (3 if kind == "int8" else 1e-2), "one answer would prove nothing"
        assert np.abs(given - expected).max() <= (1 if kind == "int8" else 1e-5)
        # What is set aside without tflite-micro is enough, and not much too much.
        estimate = estimate_arena(unpack_model(lean))
        assert found[0] <= estimate * 1.1 <= found[0] * 1.3 + 4096


def test_the_arena_is_measured_where_it_can_be(residual: Net, tmp_path: Path, micro_python: Path) -> None:
    header, _ = c_array.write(residual.int8, spec_of(residual), tmp_path, "int8", str(micro_python))
    text = header.read_text()
    size, version = measure_arena(lean_model(residual.int8), str(micro_python)) or (0, "")
    assert f"kArenaSize = {size};" in text
    assert f"measured with tflite-micro {version} and 64-bit" in text
    c_array.write(residual.int8, spec_of(residual), tmp_path, "int8")
    assert "estimated from tensor lifetimes, not measured" in header.read_text()


def test_a_model_that_micro_does_not_take(residual: Net, tmp_path: Path, micro_python: Path) -> None:
    from converters.flatbuffer_model import pack_model

    model = unpack_model(residual.int8)
    graph = model.subgraphs[0]
    (logits,) = (op.inputs[0] for op in graph.operators if code_name(model.operatorCodes[op.opcodeIndex]) == "SOFTMAX")
    # As of random weights; the kernel ends the process.
    graph.tensors[logits].quantization.scale = np.array([1e-9], np.float32)
    for broken in (pack_model(model), b"\0" * 64):
        with pytest.raises(ModelError, match="^tflite-micro (ends with SIG|refuses the model)"):
            measure_arena(broken, str(micro_python))
    with pytest.raises(ModelError, match="^tflite-micro "):
        c_array.write(pack_model(model), spec_of(residual), tmp_path, "int8", str(micro_python))
    assert list(tmp_path.iterdir()) == []


def test_lifetimes_are_planned_as_micro_plans_them() -> None:
    # (bytes, first, last): the two large ones live together; the small one fits over the first after its end.
    assert arena._planned([(100, 0, 1), (80, 1, 2), (60, 2, 3)]) == 180
    assert arena._planned([(16, 0, 0), (32, 1, 1)]) == 32
    assert arena._planned([]) == 0
    # The beginning of mobilenet_0.25_128 in int8: two of one size in another order would need 98304.
    begin = [(49152, 0, 0), (49152, 0, 1), (32768, 1, 2), (32768, 2, 3), (65536, 3, 4)]
    assert arena._planned(begin) == 131072


def test_what_a_microcontroller_has_no_use_for_is_left_out(residual: Net) -> None:
    content = add_metadata(residual.int8, spec_of(residual, labels=plain()))
    lean = lean_model(content)
    assert len(lean) < len(residual.int8) < len(content)
    model = unpack_model(lean)
    assert not model.metadata
    assert not any(tensor.name for tensor in model.subgraphs[0].tensors)
    assert lean_model(lean) == lean
    assert b"spec.json" not in lean


def test_dense_layers_get_one_scale(net: Net) -> None:
    changed = per_tensor_dense(net.int8)
    assert per_channel_dense_layers(unpack_model(net.int8)), "the converter's newest habit"
    assert not per_channel_dense_layers(unpack_model(changed))
    assert per_tensor_dense(changed) == changed
    given = small_nets.scores(changed, net.pictures, net.preprocessing)
    before = small_nets.scores(net.int8, net.pictures, net.preprocessing)
    assert np.abs(given - before).max() <= 0.03
    error, former = (np.abs(scores - net.real_scores()).mean() for scores in (given, before))
    assert error < former + 0.005


def test_the_header_warns_of_dense_layers_with_many_scales(residual: Net, tmp_path: Path) -> None:
    header, _ = c_array.write(residual.int8, spec_of(residual), tmp_path, "int8")
    assert "one scale for each output" in header.read_text()
    c_array.write(per_tensor_dense(residual.int8), spec_of(residual), tmp_path, "int8")
    assert "one scale for each output" not in header.read_text()


def test_kinds_without_kernels_are_refused(residual: Net, tmp_path: Path) -> None:
    import tensorflow as tf

    for types, words in (((), "dynamic range"), ((tf.float16,), "float16 weights")):
        converter = tf.lite.TFLiteConverter.from_keras_model(residual.keras)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = list(types)
        model = bytes(converter.convert()) if types else hybrid(residual.int8, residual.float32)
        with pytest.raises(ModelError, match=words):
            c_array.write(model, spec_of(residual), tmp_path, "other")
    assert list(tmp_path.iterdir()) == []


def hybrid(int8: bytes, float32: bytes) -> bytes:
    """The float model with int8 weights: layers of so few weights stay float when TensorFlow converts them."""
    from ai_edge_litert.schema_py_generated import TensorType

    from converters.flatbuffer_model import pack_model

    model = unpack_model(float32)
    graph = model.subgraphs[0]
    weights = graph.tensors[graph.operators[0].inputs[1]]
    weights.type = TensorType.INT8
    model.buffers[weights.buffer].data = np.zeros(int(np.prod(weights.shape)), np.uint8)
    return pack_model(model)


def test_operators_without_kernels_are_refused(tmp_path: Path) -> None:
    import keras

    from converters.formats.tflite import convert_float32

    source = keras.Input((24, 24, 3))
    scores = keras.layers.Dense(5, activation="softmax")(keras.layers.GlobalAveragePooling2D()(source))
    model = keras.Model([source], keras.layers.Activation("gelu")(scores))
    spec = ModelSpec("x", "small", "single-label", small_nets.pixels(127.5, 127.5), plain())
    with pytest.raises(ModelError, match="TensorFlow Lite Micro has no operator GELU"):
        c_array.write(convert_float32(model), spec, tmp_path, "float32")


def test_a_spec_of_another_model_is_refused(residual: Net, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="gives 5 scores; its specification says .* 2 labels"):
        c_array.write(residual.int8, spec_of(residual, labels=LabelList(("a", "b"))), tmp_path, "int8")
    with pytest.raises(ModelError, match="is no Unicode text"):
        c_array.write(residual.int8, spec_of(residual, labels=LabelList(("\ud800", *"abcd"))), tmp_path, "int8")
    with pytest.raises(ModelError, match="not a TensorFlow Lite model"):
        c_array.write(b"\0" * 100, spec_of(residual), tmp_path, "int8")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot write"):
        c_array.write(residual.int8, spec_of(residual), tmp_path / "file", "int8")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_same_bytes_each_time(residual: Net, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in c_array.write(residual.int8, spec_of(residual), tmp_path, "int8")]
    assert [path.read_bytes() for path in c_array.write(residual.int8, spec_of(residual), tmp_path, "int8")] == first
    assert all(len(line) <= 120 for text in first for line in text.decode("ascii").splitlines())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("flowers", "flowers_int8_model"),
        ("My Flowers 2!", "my_flowers_2_int8_model"),
        ("int", "int_int8_model"),
        ("2nd", "model_2nd_int8_model"),
        ("花", "model_int8_model"),
        ("../__x__", "x_int8_model"),
        ("a" * 300, f"{'a' * 40}_int8_model"),
    ],
)
def test_names(name: str, expected: str) -> None:
    assert identifier(name, "int8_model") == expected


def test_texts() -> None:
    assert string_literal('a"\\?\n') == '"a\\042\\134\\077\\012"'
    assert string_literal("ä1") == '"\\303\\2441"'
    for data in (bytes(range(37)), bytes(range(256)) * 4100):
        text = b"".join(byte_lines(data))
        assert [int(word, 16) for word in text.decode().replace("\n", "").strip(",").split(",")] == list(data)
        assert {len(line) for line in text.splitlines()[:-1]} == {80}
    assert list(byte_lines(b"")) == []
