"""How near forecasts at irregular times come to the best there is: exact posteriors under the laws that made the data.

ou: double Ornstein-Uhlenbeck series, first coordinate, about 12 observations each at random times in (0, 10), every series with a
    mean of its own; the next observation after time 4, given those before it and the known start y(0) = 0.
oscillator: stochastic damped oscillators (a quasi-periodic Gaussian process), 50 to 70 noisy observations in (0, 20); all
    observations within 4.5 after the last one before time 15, given those before.

The oracle is a Gaussian process of the law's own moments. Training and test series are independent draws; the settings were
chosen on draws of another seed. Errors are of one network (ou: mean squared error and negative log likelihood; oscillator: CRPS).

python benchmarks/physical_limit.py           # about two minutes on two cores
python benchmarks/physical_limit.py --quick   # a tenth of the training, for a look
"""

import argparse
import json
import platform
import time

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from scipy.stats import norm

import nbeats_basis as nb

PERIOD, LENGTHSCALE, NOISE = 3.0, 10.0, 0.1


def ou_panel(num_series: int, seed: int) -> pd.DataFrame:
    """Return series of the first coordinate, their known start included."""
    df = nb.synthetic.double_ornstein_uhlenbeck(num_series, coordinate=1, seed=seed)[["unique_id", "ds", "y"]]
    start = pd.DataFrame({"unique_id": df.unique_id.unique(), "ds": 0.0, "y": 0.0})
    df = pd.concat([start, df[df.ds > 0]])
    return df.sort_values(["unique_id", "ds"], ignore_index=True)


def oscillators(num_series: int, seed: int) -> pd.DataFrame:
    """Return noisy oscillators."""
    return nb.synthetic.quasi_periodic(
        num_series, (50, 70), span=20.0, period=PERIOD, lengthscale=LENGTHSCALE, noise=NOISE, seed=seed
    )[["unique_id", "ds", "y"]]


def split(
    df: pd.DataFrame, time_: float, horizon: float, first_only: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what lies before a time, and what is to be forecast after it."""
    past, future = df[df.ds < time_], df[df.ds >= time_]
    last = past.groupby("unique_id").ds.max()
    future = future[future.unique_id.isin(last.index)]
    if first_only:
        future = future.groupby("unique_id").head(1)
    else:
        future = future[future.ds - last[future.unique_id].to_numpy() <= horizon]
    return past[past.unique_id.isin(future.unique_id)], future


def posterior(past: pd.DataFrame, future: pd.DataFrame, moments) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each observation to come, under the true law."""
    histories = dict(list(past.groupby("unique_id")))
    means, variances = [], []
    for name, asked in future.groupby("unique_id", sort=False):
        history = histories[name]
        history = history[history.ds > 0]  # the start is part of the law
        times = np.concatenate([history.ds, asked.ds])
        mean, covariance = moments(times)
        n = len(history)
        gain = np.linalg.solve(covariance[:n, :n] + 1e-12 * np.eye(n), covariance[:n, n:])
        means.append(mean[n:] + gain.T @ (history.y.to_numpy() - mean[:n]))
        variances.append(np.diag(covariance)[n:] - (covariance[:n, n:] * gain).sum(axis=0))
    return np.concatenate(means), np.sqrt(np.concatenate(variances))


def ou_moments(times):
    """Return the moments of observations of the first coordinate."""
    return nb.synthetic.DOUBLE_OU.moments(times, np.zeros(len(times), int))


def oscillator_moments(times):
    """Return the moments of noisy oscillators."""
    gap = np.abs(times[:, None] - times)
    covariance = np.exp(-gap / LENGTHSCALE) * np.cos(2 * np.pi * gap / PERIOD)
    return np.zeros(len(times)), covariance + NOISE**2 * np.eye(len(times))


def crps(mean, spread, y) -> float:
    """Return the mean CRPS of normal distributions."""
    z = (y - mean) / spread
    return float(np.mean(spread * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))))


def forecast(train, past, future, horizon, lookback, steps, stacks, seed):
    """Return mean and standard deviation of a fitted network's forecasts, and the seconds of fit and predict."""
    begin = time.perf_counter()
    training = nb.Training(steps=steps, batch_size=256)
    forecaster = nb.Forecaster(
        horizon,
        lookback,
        freq=None,
        stacks=stacks,
        head=nb.heads.Normal(),
        members=1,
        training=training,
        scaling="panel",
        seed=seed,
    ).fit(train, verbose=0)
    table = forecaster.predict(past, at=future, quantiles=[0.5, norm.cdf(1)])
    mean = table.NBeatsBasis.to_numpy()
    return mean, table.iloc[:, -1].to_numpy() - mean, round(time.perf_counter() - begin, 1)


def run_ou(quick: bool, seed: int) -> dict:
    """Return the errors at the next observation after time 4."""
    past, future = split(ou_panel(400 if quick else 4000, seed + 1000), 4.0, np.inf, first_only=True)
    y = future.y.to_numpy()
    train = ou_panel(2000 if quick else 20000, seed)
    stacks = [nb.Generic(units=128)]
    mean, spread, seconds = forecast(train, past, future, 4.0, 10.0, 300 if quick else 3000, stacks, seed)
    exact, width = posterior(past, future, ou_moments)
    last = past.groupby("unique_id").y.last().reindex(future.unique_id).to_numpy()
    prior, _ = ou_moments(future.ds.to_numpy())
    mse = {
        "oracle": np.mean((exact - y) ** 2),
        "ours": np.mean((mean - y) ** 2),
        "last value": np.mean((last - y) ** 2),
        "prior mean": np.mean((prior - y) ** 2),
    }
    nll = {"oracle": -norm.logpdf(y, exact, width).mean(), "ours": -norm.logpdf(y, mean, spread).mean()}
    return {
        "task": "ou",
        "series": len(y),
        "mse": {k: round(float(v), 5) for k, v in mse.items()},
        "mse_ratio": round(float(mse["ours"] / mse["oracle"]), 4),
        "nll": {k: round(float(v), 4) for k, v in nll.items()},
        "nll_ratio_of_gain": round(float(nll["oracle"] / nll["ours"]), 4),
        "seconds": seconds,
    }


def run_oscillator(quick: bool, seed: int) -> dict:
    """Return the CRPS of several observations after time 15."""
    past, future = split(oscillators(300 if quick else 2000, seed + 1000), 15.0, 4.5, first_only=False)
    y = future.y.to_numpy()
    train = oscillators(1000 if quick else 5000, seed)
    stacks = [nb.Expansion(nb.bases.Fourier([PERIOD], 1), component="wave", units=128), nb.Generic(units=128)]
    mean, spread, seconds = forecast(train, past, future, 4.5, 10.0, 200 if quick else 2000, stacks, seed)
    exact, width = posterior(past, future, oscillator_moments)
    scores = {
        "oracle": crps(exact, width, y),
        "ours": crps(mean, spread, y),
        "prior": crps(np.zeros_like(y), np.full_like(y, np.sqrt(1 + NOISE**2)), y),
    }
    return {
        "task": "oscillator",
        "series": past.unique_id.nunique(),
        "observations": len(y),
        "crps": {k: round(v, 4) for k, v in scores.items()},
        "crps_ratio": round(scores["ours"] / scores["oracle"], 4),
        "seconds": seconds,
    }


def main() -> None:
    """Print one JSON line a task, the versions first."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    versions = {m.__name__: m.__version__ for m in (nb, keras, tf, np)}
    print(json.dumps({**versions, "python": platform.python_version(), "seed": options.seed}))
    for run in (run_ou, run_oscillator):
        print(json.dumps(run(options.quick, options.seed)), flush=True)


if __name__ == "__main__":
    main()
