"""Accuracy on real series at irregular times, beside Prophet and a Gaussian process with a fitted kernel.

co2: weekly CO2 at Mauna Loa with its missing weeks; from each New Year, the year to come; mean absolute error in ppm of ours and
    of Prophet. Settings were chosen on 1988, 1991 and 1994; the years 1996 to 2001 are the test.
theophylline: a drug's concentration in 12 subjects; given the other eleven and a subject's first four hours, the rest of the day;
    mean absolute error and CRPS in mg/l of ours and of a Gaussian process of the panel (a curve common to all + each
    subject's own, of the logarithm of time, all scales by maximum likelihood). Settings were chosen on subjects 1 to 4; 5 to
    12 are the test.

python benchmarks/real_series.py --validate
python benchmarks/real_series.py --peers benchmarks/peers/.venv/bin/python   # without it: no Prophet
"""

import argparse
import json
import platform
import time

import keras
import numpy as np
import pandas as pd
import sklearn
import tensorflow as tf
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from thinning import peer_forecast

import nbeats_basis as nb

YEAR = pd.Timedelta("365D")


def co2(validate: bool, peers: str | None, seed: int) -> dict:
    """Return the mean absolute errors one year ahead."""
    df = nb.datasets.load("co2").dropna()
    years = (1988, 1991, 1994) if validate else range(1996, 2002)
    errors, seconds = {"ours": [], **({"prophet": []} if peers else {})}, 0.0
    for year in years:
        origin = pd.Timestamp(f"{year}-01-01")
        train, test = df[df.ds < origin], df[(df.ds >= origin) & (df.ds < origin + YEAR)]
        basis = nb.bases.Polynomial(2, span=(-1500, 366)) + nb.bases.Fourier(["365.25D"], 4)
        begin = time.perf_counter()
        forecaster = nb.Forecaster(
            "370D",
            ["1100D", "1500D"],
            freq=None,
            stacks=[nb.Expansion(basis, units=64)],
            head=nb.heads.Point("mae"),
            members=2,
            training=nb.Training(steps=200),
            seed=seed,
        ).fit(train, verbose=0)
        ours = forecaster.predict(at=test).NBeatsBasis
        seconds += time.perf_counter() - begin
        errors["ours"].append((ours - test.y).abs().mean())
        if peers:
            forecast, _ = peer_forecast("prophet", peers, train, test[["unique_id", "ds"]])
            errors["prophet"].append(np.abs(forecast - test.y.to_numpy()).mean())
    result = {"task": "co2", "years": list(years), "seconds_ours": round(seconds)}
    result |= {name: round(float(np.mean(each)), 3) for name, each in errors.items()}
    return result | {f"{name}_by_year": np.round(each, 3).tolist() for name, each in errors.items()}


def population_process(train: pd.DataFrame, at: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of the fitted Gaussian process of the panel."""
    free, never, always = (1e-1, 1e1), (1e-3, 1e-3 * 1.0001), (1e6, 1e6 * 1.0001)
    common = ConstantKernel(20.0, (1e-1, 1e3)) * RBF([1.0, 1e6], [free, always])
    own = ConstantKernel(2.0, (1e-2, 1e2)) * RBF([1.0, 1e-3], [free, never])
    process = GaussianProcessRegressor(
        common + own + WhiteKernel(0.3, (1e-3, 1e1)), n_restarts_optimizer=3, random_state=0
    )
    codes = {name: i for i, name in enumerate(sorted(set(train.unique_id) | set(at.unique_id)))}

    def design(frame):
        return np.column_stack([np.log1p(frame.ds), frame.unique_id.map(codes)])

    process.fit(design(train), train.y)
    return process.predict(design(at), return_std=True)


def crps(mean, spread, y) -> float:
    """Return the mean CRPS of normal distributions."""
    z = (y - mean) / spread
    return float(np.mean(spread * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))))


def theophylline(validate: bool, steps: int, seed: int) -> dict:
    """Return mean absolute error and CRPS of the rest of the day."""
    df = nb.datasets.load("theophylline")[["unique_id", "ds", "y"]]
    subjects = sorted(df.unique_id.unique())
    parts = {"ours": [], "gaussian_process": []}
    truth, seconds = [], 0.0
    for subject in subjects[:4] if validate else subjects[4:]:
        early = df[(df.unique_id == subject) & (df.ds <= 4)]
        late = df[(df.unique_id == subject) & (df.ds > 4)]
        others = df[df.unique_id != subject]
        truth.append(late.y.to_numpy())
        begin = time.perf_counter()
        forecaster = nb.Forecaster(
            24.0,
            25.0,
            freq=None,
            stacks=[nb.Generic(units=64)],
            head=nb.heads.Normal(),
            members=8,
            scaling="panel",
            training=nb.Training(steps=steps),
            seed=seed,
        ).fit(others, verbose=0)
        table = forecaster.predict(early, at=late, quantiles=[norm.cdf(-1), norm.cdf(1)])
        seconds += time.perf_counter() - begin
        spread = (table.iloc[:, -1] - table.iloc[:, -2]) / 2
        parts["ours"].append((table.NBeatsBasis.to_numpy(), spread.to_numpy()))
        parts["gaussian_process"].append(population_process(pd.concat([others, early]), late))
    y, result = (
        np.concatenate(truth),
        {"task": "theophylline", "steps": steps, "seconds_ours": round(seconds)},
    )
    for name, pairs in parts.items():
        mean, spread = (np.concatenate(each) for each in zip(*pairs, strict=True))
        result[name] = {
            "mae": round(float(np.abs(mean - y).mean()), 3),
            "crps": round(crps(mean, spread, y), 3),
        }
    return result | {"subjects": len(truth), "observations": len(y)}


def main() -> None:
    """Print one JSON line a task, the versions first."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--validate", action="store_true")
    parser.add_argument("--peers", default=None, help="python of the peers' environment")
    parser.add_argument("--steps", type=int, default=100, help="of theophylline's training")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    versions = {m.__name__: m.__version__ for m in (nb, keras, tf, np, sklearn)}
    print(json.dumps({**versions, "python": platform.python_version(), "seed": options.seed}))
    print(json.dumps(theophylline(options.validate, options.steps, options.seed)), flush=True)
    print(json.dumps(co2(options.validate, options.peers, options.seed)), flush=True)


if __name__ == "__main__":
    main()
