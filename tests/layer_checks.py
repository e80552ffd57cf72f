"""What every layer must pass: one call checks the whole Keras contract."""

import atexit
import json
import subprocess
import sys
from functools import cache

import keras
import numpy as np
import tensorflow as tf


def run_layer_checks(layer: keras.layers.Layer, inputs: list, tmp_path) -> None:
    """Check config and JSON round trip, eager = graph = XLA, one training step, reload in a fresh process.

    Args:
        layer: an unbuilt layer.
        inputs: its positional inputs, NumPy arrays.
        tmp_path: a folder.
    """
    config = layer.get_config()
    assert type(layer).from_config(config).get_config() == config
    eager = _flat(layer(*inputs))
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    copy(*inputs)
    copy.set_weights(layer.get_weights())
    for jit in (False, True):
        compiled = tf.function(lambda *x: layer(*x), jit_compile=jit)(*map(tf.constant, inputs))
        for a, b, c in zip(_flat(compiled), eager, _flat(copy(*inputs)), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-5, rtol=2e-5)
            np.testing.assert_allclose(c, b, atol=1e-6, rtol=1e-6)
    _reload_in_a_fresh_process(layer, inputs, eager, tmp_path)
    _take_one_step(layer, inputs)


def _take_one_step(layer, inputs) -> None:
    if not layer.trainable_variables:
        return
    before = [v.numpy() for v in layer.trainable_variables]
    with tf.GradientTape() as tape:
        loss = tf.add_n([tf.reduce_mean(tf.cast(o, "float32") ** 2) for o in tf.nest.flatten(layer(*inputs))])
    variables = [v.value for v in layer.trainable_variables]
    gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
    assert all(np.isfinite(g).all() for g in gradients)
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(layer.trainable_variables)
    optimizer.apply(gradients, layer.trainable_variables)
    assert any(
        np.abs(v.numpy() - b).max() > 0 for v, b in zip(layer.trainable_variables, before, strict=True)
    )


RELOADER = """
import json, sys, traceback
import keras, numpy as np, tensorflow as tf, nbeats_basis

def reload(folder):
    layer = keras.saving.deserialize_keras_object(json.load(open(folder + "/layer.json")))
    inputs = list(np.load(folder + "/inputs.npz").values())
    layer(*inputs)
    layer.set_weights(list(np.load(folder + "/weights.npz").values()))
    for a, b in zip(tf.nest.flatten(layer(*inputs)), np.load(folder + "/outputs.npz").values(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6, rtol=1e-6)

for line in sys.stdin:
    try:
        reload(json.loads(line))
        answer = ""
    except Exception:
        answer = traceback.format_exc()
    print(json.dumps(answer), flush=True)
"""


@cache
def _fresh_process() -> subprocess.Popen:
    """Return a process that has seen none of the layers and reloads those of the folders it is sent."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, "-c", RELOADER], text=True, **pipes)
    atexit.register(process.kill)
    return process


def _reload_in_a_fresh_process(layer, inputs, outputs, folder) -> None:
    (folder / "layer.json").write_text(json.dumps(keras.saving.serialize_keras_object(layer)))
    np.savez(folder / "inputs.npz", *inputs)
    np.savez(folder / "weights.npz", *layer.get_weights())
    np.savez(folder / "outputs.npz", *outputs)
    process = _fresh_process()
    print(json.dumps(str(folder)), file=process.stdin, flush=True)
    answer = json.loads(process.stdout.readline())
    assert not answer, answer[-2000:]


def _flat(outputs) -> list:
    return [np.asarray(o) for o in tf.nest.flatten(outputs)]
