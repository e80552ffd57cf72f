"""What a regression costs: a block's training step beside that of a classical block of the same width on a grid.

Batch 1024, windows of 72 points, 18 times asked, 16 functions, 8 members; forward, backward and Adam, compiled, in turn; the fastest runs,
and medians of the ratios within a turn:

- classical: coefficients proposed by the network from the 72 values of a shared grid;
- grid: the same grid; network and regression of each window together;
- gaps: the same, a tenth of the values missing, others in every window;
- combined: other times in every window; the encoder and the block's own regression are part of the step;
- regression: the same times, no network.

Then 8192 systems of 16 equations, values and gradients, by the package and by TensorFlow's gradient of Cholesky: "solve" for one
right-hand side, "block" for what a block with an encoder needs, two of them, one after the other, and the inverse's diagonal.

python benchmarks/regression_speed.py --widths 128 256 512
"""

import argparse
import json
import platform
import time

import keras
import numpy as np
import tensorflow as tf

import nbeats_basis as nb
from nbeats_basis.encoders import RegressionEncoder
from nbeats_basis.regression import inverse, inverse_diagonal, solve

MEMBERS, BATCH, POINTS, ASKED = 8, 1024, 72, 18


def make_step(kind: str, width: int):
    """Return a compiled training step of one block."""
    rng = np.random.default_rng(0)
    shape = (MEMBERS, BATCH, POINTS)
    values = tf.constant(rng.normal(size=shape), "float32")
    observed = tf.cast(rng.uniform(size=shape) < (0.9 if kind == "gaps" else 1), "float32")
    values *= observed
    target = tf.constant(rng.normal(size=(MEMBERS, BATCH, ASKED)), "float32")
    basis = nb.bases.Polynomial(1, span=(-POINTS, ASKED)) + nb.bases.Fourier([POINTS / 2, 12.0], [4, 3])
    encoder = None
    if kind in ("classical", "grid", "gaps"):
        times, query = tf.range(1.0 - POINTS, 1)[None, None], tf.range(1.0, ASKED + 1)[None, None]
    else:
        encoder = RegressionEncoder(float(POINTS), 1.0) if kind == "combined" else None
        times = tf.constant(-np.sort(rng.uniform(0, POINTS, shape))[..., ::-1], "float32")
        query = tf.constant(rng.uniform(0, ASKED, target.shape), "float32")
    coefficients = {"classical": "proposed", "grid": "combined", "gaps": "combined"}.get(kind, kind)
    block = nb.BasisBlock(basis, units=width, coefficients=coefficients)
    context = encoder and encoder(times, observed)
    block(times, values, observed, query, context=context)
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(block.trainable_variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            context = encoder and encoder(times, observed)
            backcast, forecast, _ = block(times, values, observed, query, context=context)
            loss = tf.reduce_mean((forecast[..., 0] - target) ** 2) + tf.reduce_mean(
                (values - backcast * observed) ** 2
            )
        weights = [v.value for v in block.trainable_variables]
        optimizer.apply(tape.gradient(loss, weights, unconnected_gradients="zero"), block.trainable_variables)
        return loss

    return step


def make_solve(kind: str, ours: bool):
    """Return a compiled function that solves systems and differentiates in the diagonal and the right-hand sides."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(MEMBERS, BATCH, POINTS, 16))
    gram = tf.Variable(np.einsum("mbtk,mbtl->mbkl", rows, rows), dtype="float32")
    diagonal, right = (tf.Variable(rng.uniform(1, 2, rows[..., 0, :].shape), dtype="float32") for _ in "ab")

    def own():
        regression = inverse(gram, diagonal, tf.constant(False)), gram, diagonal.value()
        if kind == "solve":
            return solve(*regression, right)
        return solve(*regression, solve(*regression, right) * inverse_diagonal(*regression))

    def automatic():
        factor = tf.linalg.cholesky(gram + tf.linalg.diag(diagonal))
        if kind == "solve":
            return tf.linalg.cholesky_solve(factor, right[..., None])[..., 0]
        inverted = tf.linalg.cholesky_solve(factor, tf.eye(16, batch_shape=(MEMBERS, BATCH)))
        first = tf.linalg.matvec(inverted, right)
        return tf.linalg.matvec(inverted, first * tf.linalg.diag_part(inverted))

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((own() if ours else automatic()) ** 2)
        return tf.add_n([tf.reduce_sum(each) for each in tape.gradient(loss, [diagonal, right])])

    return step


def measure(steps: dict, repeats: int, reference: str) -> dict:
    """Return the least milliseconds of functions called in turn, and the median over turns of their ratios to `reference`."""
    times = {kind: [] for kind in steps}
    for repeat in range(repeats + 2):
        for kind, step in steps.items():
            begin = time.perf_counter()
            step().numpy()
            if repeat > 1:  # the first trace
                times[kind].append(time.perf_counter() - begin)
    ratios = {
        f"{kind}_ratio": round(float(np.median(np.divide(each, times[reference]))), 2)
        for kind, each in times.items()
        if kind != reference
    }
    return {f"{kind}_ms": round(1e3 * min(each), 1) for kind, each in times.items()} | ratios


def main() -> None:
    """Print one JSON line a width, the versions first and the systems last."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--widths", nargs="*", type=int, default=[128, 256, 512])
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    versions = {m.__name__: m.__version__ for m in (nb, keras, tf, np)}
    print(json.dumps({**versions, "python": platform.python_version()}))
    for width in options.widths:
        steps = {
            kind: make_step(kind, width) for kind in ("classical", "grid", "gaps", "combined", "regression")
        }
        print(json.dumps({"width": width} | measure(steps, options.repeats, "classical")), flush=True)
    for kind in ("solve", "block"):
        solves = {"ours": make_solve(kind, True), "automatic": make_solve(kind, False)}
        print(json.dumps({"systems": kind} | measure(solves, 4 * options.repeats, "ours")), flush=True)


if __name__ == "__main__":
    main()
