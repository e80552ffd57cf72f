"""What a regression costs: a block's training step beside that of a classical block of the same width on a grid.

Batch 1024, windows of 72 points, 18 times asked, 16 functions, 8 members; forward, backward and Adam, compiled, in turn, medians:

- classical: coefficients proposed by the network from the 72 values of a shared grid;
- grid: the same grid; network and regression of each window together;
- gaps: the same, a tenth of the values missing, others in every window;
- combined: other times in every window; the encoder and the block's own regression are part of the step;
- regression: the same times, no network.

Then 8192 systems of 16 equations, value and gradients in matrix and right-hand side: by the package's gradient, and by
TensorFlow's through Cholesky.

python benchmarks/regression_speed.py --widths 128 256 512
"""

import argparse
import json
import platform
import statistics
import time

import keras
import numpy as np
import tensorflow as tf

import nbeats_basis as nb
from nbeats_basis.encoders import RegressionEncoder
from nbeats_basis.regression import inverse, solve

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


def make_solve(kind: str):
    """Return a compiled function that solves systems and differentiates."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(MEMBERS, BATCH, POINTS, 16))
    gram = tf.Variable(np.einsum("mbtk,mbtl->mbkl", rows, rows), dtype="float32")
    precision, right = (tf.Variable(rng.uniform(1, 2, rows[..., 0, :].shape), dtype="float32") for _ in "ab")

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            if kind == "vectors":
                solution = solve(inverse(gram, precision, tf.constant(False)), gram, precision, right)
            else:
                factor = tf.linalg.cholesky(gram + tf.linalg.diag(precision))
                solution = tf.linalg.cholesky_solve(factor, right[..., None])[..., 0]
            loss = tf.reduce_sum(solution**2)
        return [tf.reduce_sum(each) for each in tape.gradient(loss, [gram, precision, right])]

    return lambda: step()[0]


def measure(steps: dict, repeats: int, reference: str) -> dict:
    """Return the medians in milliseconds of functions called in turn, and their ratios to that of `reference`."""
    times = {kind: [] for kind in steps}
    for repeat in range(repeats + 2):
        for kind, step in steps.items():
            begin = time.perf_counter()
            step().numpy()
            if repeat > 1:  # the first trace
                times[kind].append(time.perf_counter() - begin)
    medians = {kind: statistics.median(each) for kind, each in times.items()}
    ratios = {f"{kind}_ratio": round(m / medians[reference], 2) for kind, m in medians.items()}
    return {f"{kind}_ms": round(1e3 * m, 1) for kind, m in medians.items()} | ratios


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
    solves = {kind: make_solve(kind) for kind in ("vectors", "automatic")}
    print(json.dumps({"systems": MEMBERS * BATCH} | measure(solves, 4 * options.repeats, "vectors")))


if __name__ == "__main__":
    main()
