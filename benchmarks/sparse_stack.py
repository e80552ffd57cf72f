"""Sparse stacks beside Fourier and seasonal stacks: damped oscillators at irregular times, and the competitions' months.

Oscillators: 120 series, each the sum of 2 of 6 decaying modes and noise, at 160 irregular times; the last quarter of a span of the
slowest mode is held out. Both stacks have 13 functions; poles come from a few training series, never from the part held out.

python benchmarks/sparse_stack.py --part oscillators
python benchmarks/sparse_stack.py --part poles --seeds 1 2 3 4 5 6 7 8
python benchmarks/sparse_stack.py --part months --validate   # the candidates on the last horizon of the training part
python benchmarks/sparse_stack.py --part months              # the one chosen, on the official test part
"""

import argparse
import json
import platform
import time

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from accuracy import split
from metrics import mape, seasonal_naive, smape

import nbeats_basis as nb
from nbeats_basis.bases import DampedSinusoid, Fourier, Polynomial

FREQUENCIES = np.array([0.031, 0.047, 0.083, 0.118, 0.152, 0.213])
DECAYS = np.array([0.0, 0.004, 0.008, 0.002, 0.006, 0.003])
LEVELS = np.arange(1, 100) / 100
SPAN, HORIZON, LOOKBACK, NOISE = 160.0, 20.0, 80.0, 0.1


def oscillators(seed: int, num_series: int = 120) -> tuple[pd.DataFrame, list]:
    """Return a long frame and each series' modes and complex amplitudes."""
    rng, parts, truth = np.random.default_rng(seed), [], []
    for i in range(num_series):
        times = np.sort(rng.uniform(0, SPAN, 160))
        modes = rng.choice(6, 2, replace=False)
        sizes = rng.uniform(0.5, 2, 2) * np.exp(2j * np.pi * rng.uniform(size=2))
        y = waves(times, modes, sizes).sum(axis=0).real
        y += NOISE * rng.normal(size=160)
        parts.append(pd.DataFrame({"unique_id": f"s{i:03}", "ds": times, "y": y}))
        truth.append((modes, sizes))
    return pd.concat(parts, ignore_index=True), truth


def waves(times, modes, sizes):
    """Return the complex modes, `(2, N)`."""
    poles = -DECAYS[modes] + 2j * np.pi * FREQUENCIES[modes]
    return sizes[:, None] * np.exp(poles[:, None] * times)


def pole_bound(past: pd.DataFrame, truth: list) -> np.ndarray:
    """Return the Cramer-Rao bounds of the standard deviations of the 6 frequencies and 6 decays.

    The Fisher information of all series, their levels and complex amplitudes eliminated one series at a time.
    """
    total = np.zeros((12, 12))
    for (_, frame), (modes, sizes) in zip(past.groupby("unique_id"), truth, strict=True):
        times = frame.ds.to_numpy()
        unit = waves(times, modes, np.ones(2))
        nuisance = np.concatenate([np.ones((1, len(times))), unit.real, -unit.imag]).T
        wave = waves(times, modes, sizes)
        slopes = np.zeros((len(times), 12))
        slopes[:, modes] = (2j * np.pi * times * wave).real.T
        slopes[:, 6 + modes] = (-times * wave).real.T
        basis = np.linalg.qr(nuisance)[0]
        slopes -= basis @ (basis.T @ slopes)
        total += slopes.T @ slopes / NOISE**2
    return np.sqrt(np.diag(np.linalg.inv(total)))


def crps(table: pd.DataFrame) -> float:
    """Return the mean of twice the pinball losses at 1 to 99 %, next to the CRPS."""
    quantiles = table[[f"NBeatsBasis-q{q:g}" for q in LEVELS]].to_numpy()
    error = table.y.to_numpy()[:, None] - quantiles
    return float(2 * np.maximum(LEVELS * error, (LEVELS - 1) * error).mean())


def find_poles(past: pd.DataFrame, truth: list) -> tuple[DampedSinusoid, np.ndarray, float]:
    """Return the modes found, their distances from the truth over the bounds, and the seconds it took."""
    series = [(part.ds.to_numpy(), part.y.to_numpy()) for _, part in past.groupby("unique_id")]
    start = time.perf_counter()
    found = DampedSinusoid.from_data(series, 6, (0.0, SPAN), learnable=False)
    seconds = time.perf_counter() - start
    order = np.argsort(found.frequencies)
    poles = np.concatenate([np.array(found.frequencies)[order], np.array(found.decays)[order]])
    distance = (poles - np.concatenate([FREQUENCIES, DECAYS])) / pole_bound(past, truth)
    free = np.concatenate(
        [np.ones(6, bool), DECAYS > 0]
    )  # a decay is never below 0, which the bound does not know
    return found, distance[free], seconds


def run_poles(seeds: list[int]) -> dict:
    """Return the root mean square of the poles' distances from the truth over their bounds, over panels of all seeds."""
    distances = []
    for seed in seeds:
        frame, truth = oscillators(seed)
        distances.append(find_poles(frame[frame.ds <= SPAN - HORIZON], truth)[1])
    rmse = float(np.sqrt(np.mean(np.square(distances))))
    return {"part": "poles", "seeds": seeds, "rmse_over_bound": round(rmse, 3)}


def run_oscillators(seed: int, steps: int) -> dict:
    """Return the CRPS of sparse stacks of the modes found and of Fourier stacks."""
    frame, truth = oscillators(seed)
    past, future = frame[frame.ds <= SPAN - HORIZON], frame[frame.ds > SPAN - HORIZON]
    found, _, seconds = find_poles(past, truth)
    span = (-LOOKBACK, HORIZON)
    modes = DampedSinusoid(6, found.frequencies, found.decays, span, learnable=False)
    pursuit = nb.sparse.SLISTA(8, threshold=0.1)
    stacks = {
        "sparse, decaying modes": nb.Sparse(Polynomial(0) + modes, pursuit, units=64),
        "sparse, Fourier": nb.Sparse(Polynomial(0) + Fourier([LOOKBACK + HORIZON], 6), pursuit, units=64),
        "combined, Fourier": nb.Expansion(Polynomial(0) + Fourier([LOOKBACK + HORIZON], 6), units=64),
        "sparse, Fourier of 64": nb.Sparse(
            Polynomial(0) + Fourier([2 * (LOOKBACK + HORIZON)], 42), pursuit, units=64
        ),
    }
    result = {"part": "oscillators", "seed": seed, "seconds_poles": round(seconds, 1)}
    for name, stack in stacks.items():
        forecaster = nb.Forecaster(
            horizon=HORIZON,
            lookback=LOOKBACK,
            freq=None,
            stacks=[stack],
            head=nb.heads.StudentT(),
            members=2,
            training=nb.Training(steps=steps, batch_size=64),
            seed=seed,
        ).fit(past, verbose=0)
        table = forecaster.predict(at=future[["unique_id", "ds"]], quantiles=list(LEVELS))
        result[f"crps, {name}"] = round(crps(table.assign(y=future.y.to_numpy())), 4)
        result[f"nonzero, {name}"] = round(forecaster.history_.get("nonzero", [1.0])[-1], 3)
    return result


def candidates() -> dict:
    """Return what stands beside the trend."""
    year = Polynomial(0) + Fourier([12.0], 6)
    years = Polynomial(0) + Fourier([12.0, 24.0, 18.0], [6, 1, 1])
    slista = {f"SLISTA {t}": nb.sparse.SLISTA(8, threshold=t) for t in (0.1, 0.3)}
    found = {"seasonality": nb.Seasonality([12], units=128)}
    for name, pursuit in slista.items():
        found[f"{name}, year"] = nb.Sparse(year, pursuit, units=128)
        found[f"{name}, year, 3 blocks"] = nb.Sparse(year, pursuit, units=128, num_blocks=3)
        found[f"{name}, years"] = nb.Sparse(years, pursuit, units=128)
    return found


def run_months(dataset: str, validate: bool, seed: int, names: list[str]) -> dict:
    """Return the errors of trend and each of the stacks named."""
    train, test, horizon = split(dataset, "monthly", validate)
    measure = {"tourism": mape}.get(dataset, smape)
    result = {
        "part": "months",
        "dataset": dataset,
        "split": "validation" if validate else "test",
        "seed": seed,
    }
    naive = seasonal_naive(train, horizon, 12)
    for name in names:
        stack = candidates()[name]
        start = time.perf_counter()
        predicted = (
            nb.Forecaster(horizon=horizon, freq=1, seed=seed, stacks=[nb.Trend(units=128), stack])
            .fit(train, verbose=0)
            .predict()
        )
        result[f"seconds, {name}"] = round(time.perf_counter() - start, 1)
        table = test.merge(predicted.assign(naive=naive), on=["unique_id", "ds"])
        result[f"{measure.__name__}, {name}"] = round(measure(table.y, table.NBeatsBasis), 3)
    return {**result, "naive": round(measure(table.y, table.naive), 3)}


def main() -> None:
    """Print one JSON line a run, the versions first."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=("oscillators", "poles", "months"), default="oscillators")
    parser.add_argument("--validate", action="store_true")
    parser.add_argument("--stacks", nargs="*", default=None, help="names of the stacks beside a trend")
    parser.add_argument("--datasets", nargs="*", default=["tourism", "m3"])
    parser.add_argument("--seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    versions = {m.__name__: m.__version__ for m in (nb, keras, tf, np)}
    print(json.dumps({**versions, "python": platform.python_version(), "machine": platform.processor()}))
    if options.part == "poles":
        print(json.dumps(run_poles(options.seeds)))
        return
    for seed in options.seeds:
        if options.part == "oscillators":
            print(json.dumps(run_oscillators(seed, options.steps)), flush=True)
            continue
        for dataset in options.datasets:
            names = options.stacks or list(candidates())
            print(json.dumps(run_months(dataset, options.validate, seed, names)), flush=True)


if __name__ == "__main__":
    main()
