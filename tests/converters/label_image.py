"""Runs a frozen graph as TensorFlow's old ``label_image.py`` does: GRAPH INPUT_LAYER OUTPUT_LAYER IN.npy OUT.npy."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

graph_file, input_layer, output_layer, source, target = sys.argv[1:]
graph, graph_def = tf.Graph(), tf.compat.v1.GraphDef()
graph_def.ParseFromString(Path(graph_file).read_bytes())
with graph.as_default():
    tf.import_graph_def(graph_def)
input_operation = graph.get_operation_by_name("import/" + input_layer)
output_operation = graph.get_operation_by_name("import/" + output_layer)
with tf.compat.v1.Session(graph=graph) as session:
    # One picture at a time, as in the old script.
    results = [
        np.squeeze(session.run(output_operation.outputs[0], {input_operation.outputs[0]: image[None]}))
        for image in np.load(source)
    ]
np.save(target, np.stack(results))
