"""Frozen graphs built step by step as retrain.py and its relatives built them, around small networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.tensorflow import import_tensorflow

LABELS = ("daisy", "roses", "tulips")
SIZE = 48
_FEATURES = 16


def hub_retrain(path: Path, *, module: str = "batch norm", decoder: str = "beside") -> Path:
    """TF Hub's retrain.py: create_module_graph, add_final_retrain_ops, add_jpeg_decoding, save_graph_to_file.

    Args:
        path: of the file to write.
        module: ``batch norm``, or ``8 bits`` for one that is trained for 8 bits.
        decoder: ``beside`` the network as retrain.py has it, kept in the file; ``before`` it, feeding it.
    """
    tf = import_tensorflow()
    v1, graph = tf.compat.v1, tf.Graph()
    with graph.as_default():
        jpeg, decoded = _jpeg_decoding(tf)
        if decoder == "before":
            image = v1.placeholder_with_default(decoded, [None, SIZE, SIZE, 3], name="Placeholder")
        else:
            image = v1.placeholder(tf.float32, [None, SIZE, SIZE, 3], name="Placeholder")
        with tf.name_scope("module_apply_default"):
            with tf.name_scope("hub_input"):
                x = tf.subtract(tf.multiply(image, 2.0, name="Mul"), 1.0, name="Sub")
            x = _conv_bn(tf, x, 8, "MobilenetV2/Conv", strides=2)
            x = _depthwise(tf, x, "MobilenetV2/expanded_conv")
            x = _conv_bn(tf, x, _FEATURES, "MobilenetV2/Conv_1", strides=2)
            if module == "8 bits":
                x = tf.quantization.fake_quant_with_min_max_args(x, 0.0, 6.0, name="act_quant")
            x = tf.nn.avg_pool2d(x, x.shape[1], 1, "VALID", name="Logits/AvgPool")
            features = tf.squeeze(x, [1, 2], name="hub_output/feature_vector/SpatialSqueeze")
        _final_retrain_ops(tf, features, 0.15)
        names = ["final_result", *([] if decoder == "before" else [decoded.op.name])]
        return _freeze(tf, graph, names, path)


def poets_mobilenet(path: Path, batch: int | None = None) -> Path:
    """TF for Poets with MobileNet: ``input``, the 1001-way bottleneck with a default, ``final_result``."""
    tf = import_tensorflow()
    v1, graph = tf.compat.v1, tf.Graph()
    with graph.as_default():
        image = v1.placeholder(tf.float32, [batch, SIZE, SIZE, 3], name="input")
        x = _conv_bn(tf, image, 8, "MobilenetV1/Conv2d_0", strides=2)
        x = _depthwise(tf, x, "MobilenetV1/Conv2d_1_depthwise")
        x = _conv_bn(tf, x, _FEATURES, "MobilenetV1/Conv2d_1_pointwise", strides=2)
        x = tf.nn.avg_pool2d(x, x.shape[1], 1, "VALID", name="MobilenetV1/Logits/AvgPool_1a/AvgPool")
        x = tf.squeeze(x, [1, 2], name="MobilenetV1/Logits/SpatialSqueeze")
        scores = tf.reshape(tf.nn.softmax(x), [-1, _FEATURES], name="MobilenetV1/Predictions/Reshape")
        _final_retrain_ops(tf, scores)
        return _freeze(tf, graph, ["final_result"], path)


def poets_inception(path: Path) -> Path:
    """TF for Poets with the Inception of 2015: JPEG bytes in, old operations, one picture at a time."""
    tf = import_tensorflow()
    v1, graph = tf.compat.v1, tf.Graph()
    rng = np.random.default_rng(4)
    with graph.as_default():
        contents = v1.placeholder(tf.string, name="DecodeJpeg/contents")
        decoded = tf.image.decode_jpeg(contents, channels=3, name="DecodeJpeg")
        image = tf.expand_dims(tf.cast(decoded, tf.float32, name="Cast"), 0, name="ExpandDims")
        image = v1.image.resize_bilinear(image, [SIZE, SIZE], name="ResizeBilinear")
        image = tf.multiply(tf.subtract(image, 128.0, name="Sub"), 1 / 128, name="Mul")
        left, right = (_old_conv(tf, rng, image, name) for name in ("conv", "conv_1"))
        x = tf.raw_ops.Concat(concat_dim=3, values=[left, right], name="mixed/join")
        x = tf.nn.avg_pool2d(x, x.shape[1], 1, "VALID", name="pool_3")
        features = tf.reshape(x, [1, _FEATURES], name="pool_3/_reshape")
        _final_retrain_ops(tf, features)
        definition = _frozen(tf, graph, ["final_result"])
    for node in definition.node:
        if node.op == "FusedBatchNormV3":
            _back_to_2015(node)
    definition.versions.producer = 8  # the last with BatchNormWithGlobalNormalization
    path.write_bytes(definition.SerializeToString())
    return path


def keras_of_2018(path: Path) -> Path:
    """Keras on TensorFlow 1, frozen: ``keras_learning_phase`` and a Switch and Merge at each dropout."""
    tf = import_tensorflow()
    v1, graph = tf.compat.v1, tf.Graph()
    with graph.as_default():
        v1.disable_control_flow_v2()
        try:
            image = v1.placeholder(tf.float32, [None, SIZE, SIZE, 3], name="input_1")
            phase = v1.placeholder_with_default(False, [], name="keras_learning_phase")
            x = _conv_bn(tf, image, 8, "conv1", strides=2)
            x = v1.cond(phase, lambda: tf.nn.dropout(x, 0.9), lambda: tf.identity(x), name="dropout_1/cond")
            x = tf.reduce_mean(x, [1, 2])
            y = v1.cond(tf.logical_not(phase), lambda: x * 2.0, lambda: x * 100.0, name="dropout_2/cond")
        finally:
            v1.enable_control_flow_v2()
        _final_retrain_ops(tf, y, 0.3)
        return _freeze(tf, graph, ["final_result"], path)


def run(path: Path, tensor: str, value: Any, *, output: str = "final_result:0") -> NDArray[np.float32]:
    """What TensorFlow gives for the whole file, nothing cut off or rewritten."""
    tf = import_tensorflow()
    v1 = tf.compat.v1
    definition = v1.GraphDef.FromString(path.read_bytes())
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(definition, name="")
        with v1.Session(graph=graph) as session:
            return np.asarray(session.run(output, {tensor: value}))


def _jpeg_decoding(tf: Any) -> tuple[Any, Any]:
    jpeg = tf.compat.v1.placeholder(tf.string, name="DecodeJPGInput")
    decoded = tf.image.convert_image_dtype(tf.image.decode_jpeg(jpeg, channels=3), tf.float32)
    shape = tf.cast(tf.stack([SIZE, SIZE]), dtype=tf.int32)
    return jpeg, tf.compat.v1.image.resize_bilinear(tf.expand_dims(decoded, 0), shape)


def _final_retrain_ops(tf: Any, bottleneck: Any, spread: float = 2.0) -> None:
    v1 = tf.compat.v1
    with tf.name_scope("input"):
        size = int(bottleneck.shape[1])
        bottleneck = v1.placeholder_with_default(bottleneck, [None, size], name="BottleneckInputPlaceholder")
        v1.placeholder(tf.int64, [None], name="GroundTruthInput")
    with tf.name_scope("final_retrain_ops"):
        start = np.random.default_rng(9).normal(0, spread, (size, len(LABELS))).astype(np.float32)
        weights = v1.Variable(start, name="weights/final_weights")
        biases = v1.Variable(tf.zeros([len(LABELS)]), name="biases/final_biases")
        v1.summary.histogram("weights", weights)
        logits = tf.matmul(bottleneck, weights) + biases
    v1.summary.histogram("activations", tf.nn.softmax(logits, name="final_result"))


def _conv_bn(tf: Any, x: Any, filters: int, scope: str, strides: int = 1) -> Any:
    rng = np.random.default_rng(filters)
    kernel = rng.normal(0, 0.4, (3, 3, int(x.shape[3]), filters)).astype(np.float32)
    x = tf.nn.conv2d(x, tf.compat.v1.Variable(kernel, name=f"{scope}/weights"), strides, "SAME", name=f"{scope}/Conv2D")
    return tf.nn.relu6(_batch_norm(tf, rng, x, f"{scope}/BatchNorm"), name=f"{scope}/Relu6")


def _depthwise(tf: Any, x: Any, scope: str) -> Any:
    rng = np.random.default_rng(3)
    kernel = rng.normal(0, 0.4, (3, 3, int(x.shape[3]), 1)).astype(np.float32)
    variable = tf.compat.v1.Variable(kernel, name=f"{scope}/depthwise_weights")
    x = tf.nn.depthwise_conv2d(x, variable, [1, 1, 1, 1], "SAME", name=f"{scope}/depthwise")
    return tf.nn.relu6(_batch_norm(tf, rng, x, f"{scope}/BatchNorm"))


def _batch_norm(tf: Any, rng: np.random.Generator, x: Any, scope: str) -> Any:
    channels = int(x.shape[3])
    values = {"gamma": rng.uniform(0.5, 1.5, channels), "beta": rng.uniform(0, 1, channels)}
    values |= {"moving_mean": rng.normal(0, 0.2, channels), "moving_variance": rng.uniform(0.5, 1.5, channels)}
    variables = [tf.compat.v1.Variable(v.astype(np.float32), name=f"{scope}/{name}") for name, v in values.items()]
    normal, *_ = tf.compat.v1.nn.fused_batch_norm(x, *variables, epsilon=1e-3, is_training=False, name=scope)
    return normal


def _old_conv(tf: Any, rng: np.random.Generator, x: Any, scope: str) -> Any:
    kernel = rng.normal(0, 0.4, (3, 3, 3, _FEATURES // 2)).astype(np.float32)
    x = tf.nn.conv2d(x, tf.constant(kernel, name=f"{scope}/conv2d_params"), 2, "VALID", name=f"{scope}/Conv2D")
    x = _batch_norm(tf, rng, x, f"{scope}/batchnorm")
    checked = tf.debugging.check_numerics(x, "", name=f"{scope}/CheckNumerics")
    with tf.control_dependencies([checked]):
        x = tf.identity(x, name=f"{scope}/control_dependency")
    return tf.nn.relu(x, name=scope)


def _back_to_2015(node: Any) -> None:
    source, gamma, beta, mean, variance = node.input
    epsilon = node.attr["epsilon"].f
    node.op = "BatchNormWithGlobalNormalization"
    node.input[:] = [source, mean, variance, beta, gamma]
    node.attr.clear()
    node.attr["T"].type = 1
    node.attr["variance_epsilon"].f = epsilon
    # One with a scale, one without.
    node.attr["scale_after_normalization"].b = node.name.startswith("conv_1/")


def _freeze(tf: Any, graph: Any, names: list[str], path: Path) -> Path:
    path.write_bytes(_frozen(tf, graph, names).SerializeToString())
    return path


def _frozen(tf: Any, graph: Any, names: list[str]) -> Any:
    v1 = tf.compat.v1
    with v1.Session(graph=graph) as session:
        session.run(v1.global_variables_initializer())
        return v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), names)
