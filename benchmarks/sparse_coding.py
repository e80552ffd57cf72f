"""Sparse coding on the standard problem, and speed beside scikit-learn.

A 250 x 500 Gaussian dictionary of unit columns, each code nonzero with probability 0.1 and then standard normal, 16 layers,
1,000 fresh test signals; NMSE in decibels. `--train` lists the layers trained (stage by stage, fresh signals in each step, stopped
by signals of their own); the strengths of ISTA and FISTA and the three scalars of HyperLISTA are chosen on those too.

python benchmarks/sparse_coding.py                        # no training: ISTA, FISTA, HyperLISTA, speed
python benchmarks/sparse_coding.py --train ALISTA LISTACPSS
python benchmarks/sparse_coding.py --quick                # small, for a look
"""

import argparse
import json
import platform
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
    """Return the codes of `LAYERS` iterations."""
    step = 1 / sparse.solvers.largest_eigenvalue(tf.matmul(design, design, transpose_a=True))
    codes = before = tf.zeros((values.shape[0], design.shape[1]))
    point, momentum = codes, 1.0
    for _ in range(LAYERS):
        residual = values - tf.matmul(point, design, transpose_b=True)
        before, codes = codes, soft_threshold(point + step * tf.matmul(residual, design), step * penalty)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        point = codes + (momentum - 1) / following * (codes - before) if solver == "fista" else codes
        momentum = following
    return codes


def tune_hyperlista(rng, design, values, codes, tries: int):
    """Return HyperLISTA with the best of random scalars, refined around the best so far."""

    def make(c):
        return sparse.HyperLISTA(LAYERS, *map(float, c))

    kept, least = np.array([0.07, 0.02, 60.0]), np.inf
    for k in range(tries):
        spread = 0.8 if k < tries // 2 else 0.2
        trial = kept * np.exp(spread * rng.normal(size=3)) if k else kept
        error = float(sparse.decibels(tf.function(make(trial))(values, design), codes))
        if error < least:
            kept, least = trial, error
    return make(kept)


def accuracy(rows: int, noise_db, condition, train, steps: int, tries: int) -> list[dict]:
    """Return one row a method."""
    rng = np.random.default_rng(1)
    design = dictionary(rng, rows, condition)
    (values, codes), (test, truth) = (
        make_signals(design, 1000, tf.constant([s, s]), noise_db) for s in (10, 20)
    )
    problem, table = {"rows": rows, "noise_db": noise_db, "condition": condition}, []

    def report(method, code, started, **more):
        error = round(float(sparse.decibels(code(test), truth)), 1)
        seconds = round(time.perf_counter() - started, 1)
        table.append({**problem, "method": method, "nmse_db": error, "seconds": seconds, **more})
        print(json.dumps(table[-1]), flush=True)

    for solver in ("ista", "fista"):
        started = time.perf_counter()
        strength = min(
            np.logspace(-3, 0.5, 30),
            key=lambda p, solver=solver: float(sparse.decibels(truncated(design, values, p, solver), codes)),
        )
        report(solver, lambda y, p=strength, s=solver: truncated(design, y, p, s), started, penalty=strength)
    started = time.perf_counter()
    layer = tune_hyperlista(rng, design, values, codes, tries)
    scalars = [layer.thresholding, layer.momentum, layer.selection]
    report("HyperLISTA", lambda y: layer(y, design), started, scalars=scalars)
    for name in train:
        started, pursuit = time.perf_counter(), getattr(sparse, name)(num_layers=LAYERS)
        history = sparse.train_stagewise(
            pursuit,
            lambda step: _batch(design, step, noise_db),
            (values, design, codes),
            steps=steps,
            patience=max(100, steps // 4),
        )
        curve = [(round(row["seconds"]), round(row["validation"], 1)) for row in history]
        report(name, lambda y, pursuit=pursuit: pursuit(y, design), started, curve=curve)
    return table


def _batch(design, step, noise_db):
    values, codes = make_signals(design, 64, tf.stack([step, tf.constant(30, "int64")]), noise_db)
    return values, design, codes


def speed(problems: int) -> dict:
    """Return the seconds of lassos of 72 x 128 to a gap of 1e-6 here and in scikit-learn's loop."""
    rng = np.random.default_rng(2)
    design = rng.normal(size=(problems, 72, 128))
    design /= np.linalg.norm(design, axis=1, keepdims=True)
    codes = rng.normal(size=(problems, 128)) * (rng.random((problems, 128)) < 0.1)
    values = np.einsum("nlk,nk->nl", design, codes) + 0.05 * rng.normal(size=(problems, 72))
    strength = 0.1 * np.abs(np.einsum("nlk,nl->nk", design, values)).max(axis=1)
    ours = tf.function(lambda d, y, s: sparse.solve(d, y, sparse.L1(s[:, None])).codes)
    arguments = [tf.constant(a) for a in (design, values, strength)]
    ours(*arguments)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        found = ours(*arguments).numpy()
        seconds.append(time.perf_counter() - start)
    start = time.perf_counter()
    theirs = np.stack(
        [
            Lasso(alpha=s / 72, fit_intercept=False, tol=1e-6, max_iter=10_000).fit(d, y).coef_
            for d, y, s in zip(design, values, strength, strict=True)
        ]
    )
    peer = time.perf_counter() - start
    difference = float(np.abs(found - theirs).max())
    return {"lassos": problems, "ours_s": min(seconds), "sklearn_s": peer, "largest_difference": difference}


def main() -> None:
    """Print one JSON line a result, the versions first."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--train", nargs="*", default=[])
    parser.add_argument("--noise", type=float, default=None, help="signal to noise, decibels")
    parser.add_argument("--condition", type=float, default=None)
    parser.add_argument("--steps", type=int, default=4000, help="most of a phase of training")
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    versions = {m.__name__: m.__version__ for m in (nb, keras, tf, np, sklearn)}
    print(json.dumps({**versions, "python": platform.python_version(), "machine": platform.processor()}))
    rows, steps, tries = (60, 100, 20) if options.quick else (250, options.steps, 160)
    accuracy(rows, options.noise, options.condition, options.train, steps, tries)
    print(json.dumps(speed(64 if options.quick else 1024)))


if __name__ == "__main__":
    main()
