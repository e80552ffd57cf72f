"""Sparse coding on the standard problem, and speed beside scikit-learn.

A 250 x 500 Gaussian dictionary of unit columns, each code nonzero with probability 0.1 and then standard normal, 16 layers,
1,000 fresh test signals; NMSE in decibels. `--train` lists the layers trained (stage by stage, fresh signals in each step, stopped
by 4,000 signals of their own: the few that are hard to code decide); the strengths of ISTA and FISTA and the three scalars of
HyperLISTA are chosen on 1,000 others.

python benchmarks/sparse_coding.py                        # no training: ISTA, FISTA, HyperLISTA, speed
python benchmarks/sparse_coding.py --part --train ALISTA GatedALISTA --condition 50 --steps 700 --rate 2e-3
python benchmarks/sparse_coding.py --part --train LISTA --start analytic
python benchmarks/sparse_coding.py --quick                # small, for a look
"""

import argparse
import contextlib
import json
import os
import platform
import sys
import time

import keras
import numpy as np
import sklearn
import tensorflow as tf
from sklearn.linear_model import Lasso

import nbeats_basis as nb
from nbeats_basis import sparse
from nbeats_basis.sparse.proximal import soft_threshold

LAYERS = 16


def dictionary(rng, rows: int, condition: float | None):
    """Return a Gaussian dictionary of unit columns; with a condition, singular values are spread evenly in logarithm first."""
    atoms = rng.normal(size=(rows, 2 * rows))
    if condition:
        left, _, right = np.linalg.svd(atoms, full_matrices=False)
        atoms = left * np.logspace(0, -np.log10(condition), rows) @ right
    return tf.constant(atoms / np.linalg.norm(atoms, axis=0), "float32")


def make_signals(design, count: int, seeds, noise_db: float | None):
    """Return values and codes drawn from two seeds, in the graph."""
    size = (count, design.shape[1])
    keep = tf.random.stateless_uniform(size, seeds) < 0.1
    codes = tf.where(keep, tf.random.stateless_normal(size, seeds + 1), 0)
    values = tf.matmul(codes, design, transpose_b=True)
    if noise_db is not None:
        spread = tf.math.reduce_std(values, axis=-1, keepdims=True) * 10 ** (-noise_db / 20)
        values += spread * tf.random.stateless_normal(values.shape, seeds + 2)
    return values, codes


def truncated(design, values, penalty, solver: str):
    """Return the codes of each of `LAYERS` iterations, `(LAYERS, ...)`."""
    step = 1 / sparse.solvers.largest_eigenvalue(tf.matmul(design, design, transpose_a=True))
    codes = before = tf.zeros((values.shape[0], design.shape[1]))
    point, momentum, found = codes, 1.0, []
    for _ in range(LAYERS):
        residual = values - tf.matmul(point, design, transpose_b=True)
        before, codes = codes, soft_threshold(point + step * tf.matmul(residual, design), step * penalty)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        point = codes + (momentum - 1) / following * (codes - before) if solver == "fista" else codes
        momentum = following
        found.append(codes)
    return tf.stack(found)


def tune_hyperlista(rng, design, values, codes, tries: int, layers: int = LAYERS):
    """Return HyperLISTA with the best of random scalars, drawn around the best so far, in the second half four times nearer."""
    given = tf.function(sparse.HyperLISTA(layers).prepare)(design)

    @tf.function(jit_compile=True)  # compiled once: the scalars are its inputs
    def error(scalars):
        layer = sparse.HyperLISTA(layers)
        layer.thresholding, layer.momentum, layer.selection = tf.unstack(scalars)
        layer.build(values.shape, design.shape)
        return sparse.decibels(layer.pursue(values, given), codes)

    kept, least = np.array([0.07, 0.02, 60.0]), np.inf
    for k in range(tries):
        spread = np.array([0.4, 0.8, 1.6]) / (1 if k < tries // 2 else 4)
        trial = kept * np.exp(spread * rng.normal(size=3)) if k else kept
        found = float(error(tf.constant(trial, values.dtype)))
        if found < least:
            kept, least = trial, found
    return sparse.HyperLISTA(layers, *map(float, kept))


class Accuracy:
    """Errors of the codes on one dictionary: signals to choose by, and others to report."""

    def __init__(self, rows: int, noise_db, condition):
        self.rng = np.random.default_rng(1)
        self.design, self.noise_db = dictionary(self.rng, rows, condition), noise_db
        self.chosen_by, self.test = (
            make_signals(self.design, 1000, tf.constant([s, s]), noise_db) for s in (10, 20)
        )
        self.problem = {"rows": rows, "noise_db": noise_db, "condition": condition}

    def report(self, method, code, started, **more) -> None:
        """Print the errors after each layer; `started` are the clock and the processor's seconds before tuning or training."""
        wall, busy = (round(now - then, 1) for now, then in zip(clocks(), started, strict=True))
        values, truth = self.test
        errors = [round(float(sparse.decibels(codes, truth)), 1) for codes in code(values)]
        row = {"method": method, "nmse_db": errors[-1], "seconds": wall, "processor_seconds": busy}
        print(json.dumps({**self.problem, **row, **more, "by_layer": errors}), flush=True)

    def untrained(self, tries: int) -> None:
        """Report ISTA and FISTA of the best strength, and HyperLISTA of the best scalars."""
        design, (values, codes) = self.design, self.chosen_by
        for solver in ("ista", "fista"):
            started, strengths = clocks(), np.logspace(-3, 0.5, 30)
            found = [truncated(design, values, p, solver)[-1] for p in strengths]
            best = strengths[np.argmin([sparse.decibels(x, codes) for x in found])]
            self.report(solver, lambda y, p=best, s=solver: truncated(design, y, p, s), started, penalty=best)
        started = clocks()
        layer = tune_hyperlista(self.rng, design, values, codes, tries)
        scalars = [layer.thresholding, layer.momentum, layer.selection]
        self.report("HyperLISTA", lambda y: layer(y, design, return_layers=True), started, scalars=scalars)

    def trained(self, name: str, start: str | None, **training) -> None:
        """Report a layer trained stage by stage."""
        values, codes = make_signals(self.design, 4000, tf.constant([10, 10]), self.noise_db)  # to stop by
        options, started = {} if start is None else {"start": start}, clocks()
        pursuit = getattr(sparse, name)(num_layers=LAYERS, **options)
        with contextlib.redirect_stdout(sys.stderr):  # progress; results alone go to the output
            history = sparse.train_stagewise(
                pursuit,
                lambda step: _batch(self.design, step, self.noise_db),
                (values, self.design, codes),
                verbose=2,
                **training,
            )
        curve = [(round(row["seconds"]), round(row["validation"], 1)) for row in history]
        self.report(
            name,
            lambda y: pursuit(y, self.design, return_layers=True),
            started,
            **options,
            **training,
            curve=curve,
        )


def clocks() -> tuple[float, float]:
    """Return the time, and the seconds that the processor worked for this process, of all threads."""
    return time.perf_counter(), time.process_time()


def _batch(design, step, noise_db):
    values, codes = make_signals(design, 64, tf.stack([step, tf.constant(30, "int64")]), noise_db)
    return values, design, codes


def lassos(problems: int) -> tuple:
    """Return designs of unit columns `(N, 72, 128)`, values, a tenth of the largest correlations, and the codes behind."""
    rng = np.random.default_rng(2)
    design = rng.normal(size=(problems, 72, 128))
    design /= np.linalg.norm(design, axis=1, keepdims=True)
    codes = rng.normal(size=(problems, 128)) * (rng.random((problems, 128)) < 0.1)
    values = np.einsum("nlk,nk->nl", design, codes) + 0.05 * rng.normal(size=(problems, 72))
    return design, values, 0.1 * np.abs(np.einsum("nlk,nl->nk", design, values)).max(axis=1), codes


def relative_gap(design, values, strength, codes) -> float:
    """Return the largest duality gap over half the sum of squares, by definition."""
    residual = values - np.einsum("nlk,nk->nl", design, codes)
    correlation = np.abs(np.einsum("nlk,nl->nk", design, residual)).max(axis=1)
    dual = residual * np.minimum(1, strength / correlation)[:, None]
    primal = (residual**2).sum(axis=1) / 2 + strength * np.abs(codes).sum(axis=1)
    return float(
        (
            (primal - (values * dual).sum(axis=1) + (dual**2).sum(axis=1) / 2) / (values**2).sum(axis=1) * 2
        ).max()
    )


def seconds(call, *arguments) -> float:
    """Return how long the second of two calls takes: the first finds memory and cores as another's work left them."""
    for _ in range(2):
        start = time.perf_counter()
        keras.tree.map_structure(np.asarray, call(*arguments))
    return time.perf_counter() - start


def speed(problems: int, repeats: int = 7) -> dict:
    """Return the seconds of lassos of 72 x 128 to a gap of 1e-6 here and in scikit-learn's loop, the least of several in turn.

    scikit-learn stops where the gap is at most `tol` times the sum of squares: 5e-7 of it is 1e-6 of its half.
    """
    design, values, strength, _ = lassos(problems)

    def peer():
        return np.stack(
            [
                Lasso(alpha=s / 72, fit_intercept=False, tol=5e-7, max_iter=10_000).fit(d, y).coef_
                for d, y, s in zip(design, values, strength, strict=True)
            ]
        )

    solvers = {
        name: tf.function(lambda d, y, s, n=name: sparse.solve(d, y, sparse.L1(s[:, None]), solver=n).codes)
        for name in ("active_set", "fista")
    }
    arguments = [tf.constant(a) for a in (design, values, strength)]
    found = {name: solver(*arguments).numpy() for name, solver in solvers.items()} | {"sklearn": peer()}
    taken = {name: [] for name in found}
    for _ in range(repeats):
        for name, solver in solvers.items():
            taken[name].append(seconds(solver, *arguments))
        taken["sklearn"].append(seconds(peer))
    least = {name: min(times) for name, times in taken.items()}
    return {
        "lassos": problems,
        "seconds": {name: round(time, 4) for name, time in least.items()},
        "sklearn_over_active_set": round(least["sklearn"] / least["active_set"], 1),
        "median_ratio": round(float(np.median(np.divide(taken["sklearn"], taken["active_set"]))), 1),
        "gaps": {name: relative_gap(design, values, strength, codes) for name, codes in found.items()},
        "largest_difference": float(np.abs(found["active_set"] - found["sklearn"]).max()),
        "load": os.getloadavg()[0],
    }


@tf.function(jit_compile=True)
def fista(values, design, step, strength, iterations, codes):
    """Return the codes of the last iteration, and the squared error of the whole batch after each of at most 4,096."""
    shape = values.shape[0], design.shape[-1]

    def body(i, x, point, momentum, errors):
        residual = values - sparse.first_order.synthesise(design, point)
        after = soft_threshold(point + step * sparse.first_order.correlate(design, residual), step * strength)
        following = (1 + tf.sqrt(1 + 4 * momentum**2)) / 2
        point = after + (momentum - 1) / following * (after - x)
        if codes is not None:
            errors = tf.tensor_scatter_nd_update(errors, [[i]], [tf.reduce_sum((after - codes) ** 2)])
        return i + 1, after, point, following, errors

    state = 0, tf.zeros(shape), tf.zeros(shape), 1.0, tf.fill([4096], np.float32(np.inf))
    _, x, _, _, errors = tf.while_loop(lambda i, *_: i < iterations, body, state)
    return x, errors


def race(problems: int, tries: int, longest: int) -> None:
    """Print the seconds of 32 layers of HyperLISTA, weights included, and those of FISTA to its error on the same signals.

    The signals have no noise. The three scalars are chosen on other signals; FISTA has its best strength on these, its step ready
    beforehand. Both are compiled, but for HyperLISTA's weights: XLA has no fast factorisation.
    """
    designs, _, _, codes = (tf.constant(x, "float32") for x in lassos(problems))
    other = tf.constant(lassos(2 * problems)[3][problems:], "float32")
    for design in (designs, designs[0]):
        layer = tune_hyperlista(np.random.default_rng(1), design, _synthesis(design, other), other, tries, 32)
        values = _synthesis(design, codes)
        layer.build(values.shape, design.shape)
        prepare, pursue = tf.function(layer.prepare), tf.function(layer.pursue, jit_compile=True)

        def ours(values, design, prepare=prepare, pursue=pursue):
            return pursue(values, prepare(design))

        target = float(sparse.decibels(ours(values, design), codes))
        step = 1 / tf.reshape(tf.linalg.norm(design, 2, axis=(-2, -1)) ** 2, [-1, 1])
        total, reached, nearest = float(tf.reduce_sum(codes**2)), {}, np.inf
        for strength in np.float32(np.logspace(-5, -3, 5)):
            _, errors = fista(values, design, step, strength, longest, codes)
            decibels = 10 * np.log10(errors.numpy() / total)
            nearest = min(nearest, float(decibels.min()))
            if decibels.min() <= target:
                reached[strength] = int(np.argmax(decibels <= target)) + 1
        iterations = min(reached.values(), default=longest)
        strength = min(reached, key=reached.get, default=np.float32(1e-5))
        theirs = values, design, step, strength, iterations, None
        least = least_seconds({"hyperlista": (ours, values, design), "fista": (fista, *theirs)}, 3)
        row = {
            "design": "shared" if design.shape.rank == 2 else "one each",
            "scalars": [layer.thresholding, layer.momentum, layer.selection],
            "nmse_db": round(target, 1),
            "seconds": {name: round(taken, 4) for name, taken in least.items()},
            "fista_iterations": iterations,
            "fista_db": round(nearest, 1),
            "reached": bool(reached),
            "ratio": round(least["fista"] / least["hyperlista"], 1),
        }
        print(json.dumps(row), flush=True)


def least_seconds(calls: dict, repeats: int) -> dict:
    """Return the least seconds of each call, function and arguments, of several in turn."""
    taken = [[seconds(*call) for call in calls.values()] for _ in range(repeats)]
    return dict(zip(calls, np.min(taken, axis=0).tolist(), strict=True))


def _synthesis(design, codes):
    return sparse.first_order.synthesise(design, codes)


def main() -> None:
    """Print one JSON line a result, the versions first."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--part", nargs="*", default=["untrained", "speed", "race"])
    parser.add_argument("--train", nargs="*", default=[], help="layers to train")
    parser.add_argument("--start", default=None, help='their start, "gradient" or "analytic"')
    parser.add_argument("--noise", type=float, default=None, help="signal to noise, decibels")
    parser.add_argument("--condition", type=float, default=None)
    parser.add_argument("--steps", type=int, default=300, help="most of a phase of training")
    parser.add_argument("--rate", type=float, default=5e-4, help="of the first phase of training")
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    versions = {m.__name__: m.__version__ for m in (nb, keras, tf, np, sklearn)}
    print(json.dumps({**versions, "python": platform.python_version(), "machine": platform.processor()}))
    rows, steps, tries = (60, 20, 20) if options.quick else (250, options.steps, 160)
    accuracy = Accuracy(rows, options.noise, options.condition)
    if "untrained" in options.part:
        accuracy.untrained(tries)
    training = {"steps": steps, "patience": max(100, steps // 4), "learning_rate": options.rate}
    for name in options.train:
        accuracy.trained(name, options.start, **training)
    problems = 64 if options.quick else 1024
    if "speed" in options.part:
        print(json.dumps(speed(problems)), flush=True)
    if "race" in options.part:
        race(problems, tries, 200 if options.quick else 4000)


if __name__ == "__main__":
    main()
