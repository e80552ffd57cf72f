"""Training of unrolled pursuits layer by layer, as their papers do."""

import time
from collections.abc import Callable

import keras
import tensorflow as tf

from nbeats_basis.checks import check_int, check_positive
from nbeats_basis.sparse.unrolled import Unrolled

_ALONE, _TOGETHER = (1.0,), (0.2, 0.02)  # rates of a stage: of its own layer, then of all up to it
_FADE = 0.3  # of an earlier layer's gradient, for each layer between
_CHECK_EVERY = 50  # steps between looks at the validation error


def decibels(codes, truth):
    """Return 10 log10 of the sum of squared errors over the sum of squares: the NMSE.

    Args:
        codes: `(..., K)`.
        truth: `(..., K)`.
    """
    ratio = tf.reduce_sum((codes - truth) ** 2) / tf.reduce_sum(truth**2)
    return 10 * tf.math.log(ratio) / tf.math.log(tf.constant(10, ratio.dtype))


def train_stagewise(
    layer: Unrolled,
    draw: Callable,
    validation: tuple,
    steps: int = 300,
    patience: int = 300,
    learning_rate: float = 5e-4,
    end_to_end: bool = False,
    verbose: int = 0,
) -> list[dict]:
    """Train a pursuit to the codes that made the signals, and leave it with the weights of the least validation error.

    Stage t trains layer t alone, then all layers up to t at a fifth and at a fiftieth of the rate.

    Args:
        layer: the pursuit; built here if it is not.
        draw: `draw(step) -> (values, design, codes)` in the graph, new signals at each int64 step.
        validation: the same of signals to stop by.
        steps: most of a rate in a stage. Defaults to 300.
        patience: steps without improvement that end it, counted every 50. Defaults to 300.
        learning_rate: of Adam. Defaults to 0.0005.
        end_to_end: True for one stage of all layers. Defaults to False.
        verbose: 1 for a progress bar over stages. Defaults to 0.

    Raises:
        ValueError: a pursuit without weights.

    Returns:
        one dict a stage: "layers", "steps" and "seconds" until then, and "validation", the error in decibels.

    Source: Chen et al. 2018, section 4 and appendix; the released code's rates.
    """
    for name, number in (("steps", steps), ("patience", patience)):
        check_int(name, number)
    check_positive("learning_rate", learning_rate)
    values, design, _ = validation
    if not layer.built:
        layer(values, design)
    if not layer.trainable_variables:
        raise ValueError(f"{type(layer).__name__} has no weights of layers to train; train it whole.")
    start, taken, history = time.perf_counter(), 0, []
    depths = [layer.num_layers] if end_to_end else range(1, layer.num_layers + 1)
    bar = keras.utils.Progbar(len(depths), verbose=verbose, unit_name="stage")
    for stage, depth in enumerate(depths, 1):
        phases = [(False, _ALONE + _TOGETHER)] if end_to_end else [(True, _ALONE), (False, _TOGETHER)]
        for alone, rates in phases:
            weights = _variables(layer, depth, alone)
            if weights:
                scaled = [learning_rate * rate for rate in rates]
                taken, best = _run(layer, draw, validation, weights, depth, scaled, steps, patience, taken)
        seconds = time.perf_counter() - start
        history.append({"layers": depth, "steps": taken, "seconds": seconds, "validation": best})
        bar.update(stage, [("validation", best)])
    return history


def _variables(layer, depth, alone) -> list[tuple]:
    """Return the weights a phase trains, each with the factor of its gradient."""
    first = depth - 1 if alone or layer.tied else 0
    weights = [
        (weight, _FADE ** (depth - 1 - k)) for k in range(first, depth) for weight in layer.layers[k].values()
    ]
    return weights + [(weight, 1.0) for weight in layer.shared.values()]


def _run(layer, draw, validation, weights, depth, rates, steps, patience, taken):
    """Train at each rate until the validation error stops falling; return the steps taken in all and the least error."""
    variables, factors = [w for w, _ in weights], [f for _, f in weights]
    optimizer = keras.optimizers.Adam()
    optimizer.build(variables)

    @tf.function
    def train(first, count):
        for i in tf.range(count):
            values, design, truth = draw(first + tf.cast(i, "int64"))
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(
                    tf.reduce_sum((layer(values, design, depth=depth) - truth) ** 2, axis=-1)
                )
            gradients = tape.gradient(loss, [v.value for v in variables], unconnected_gradients="zero")
            optimizer.apply([g * f for g, f in zip(gradients, factors, strict=True)], variables)

    @tf.function
    def error():
        return decibels(layer(*validation[:2], depth=depth), validation[2])

    for rate in rates:
        for state in optimizer.variables:  # each rate has moments of its own
            state.assign(keras.ops.zeros_like(state))
        optimizer.learning_rate = rate
        best, kept, since, done = float(error()), [v.numpy() for v in variables], 0, 0
        while done < steps and since < patience:
            count = min(_CHECK_EVERY, steps - done)
            train(tf.constant(taken + done, "int64"), tf.constant(count))
            done, since = done + count, since + count
            now = float(error())
            if now < best:
                best, kept, since = now, [v.numpy() for v in variables], 0
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)
        taken += done
    return taken, best
