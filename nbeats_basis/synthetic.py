"""Generators of panels whose truth is known."""

import numpy as np
import pandas as pd


def seasonal_panel(
    num_series: int = 10,
    length: int = 120,
    periods: tuple[float, ...] = (12.0,),
    noise: float = 0.1,
    missing: float = 0.0,
    seed: int = 0,
) -> pd.DataFrame:
    """Return series of a line, one sine for each period and white noise, on integer times.

    y = a + b t + sum_p A_p sin(2 pi t / p + phi_p) + noise; columns `trend` and `season` hold the parts.

    Args:
        num_series: number of series. Defaults to 10.
        length: steps of each. Defaults to 120.
        periods: periods in steps. Defaults to (12.0,).
        noise: standard deviation of the noise; amplitudes are in (0.5, 2). Defaults to 0.1.
        missing: share of rows left out at random, in [0, 1). Defaults to 0.0.
        seed: seed of the generator. Defaults to 0.

    Example:
        >>> import nbeats_basis as nb
        >>> list(nb.synthetic.seasonal_panel(2, 24).columns)
        ['unique_id', 'ds', 'y', 'trend', 'season']
    """
    rng = np.random.default_rng(seed)
    t = np.arange(length)
    trend = rng.normal(10, 3, (num_series, 1)) + rng.normal(0, 0.05, (num_series, 1)) * t
    season = np.zeros((num_series, length))
    for period in periods:
        phase = rng.uniform(0, 2 * np.pi, (num_series, 1))
        season += rng.uniform(0.5, 2, (num_series, 1)) * np.sin(2 * np.pi * t / period + phase)
    frame = _panel(trend + season + noise * rng.normal(size=season.shape), "S")
    frame["trend"], frame["season"] = trend.ravel(), season.ravel()
    return _thinned(frame, missing, rng)


def damped_oscillations(
    num_series: int = 10, length: int = 120, noise: float = 0.05, missing: float = 0.0, seed: int = 0
) -> pd.DataFrame:
    """Return series A e^(-d t) cos(2 pi f t + phi) + noise on integer times; columns hold `decay` d and `frequency` f.

    Args:
        num_series: number of series. Defaults to 10.
        length: steps of each. Defaults to 120.
        noise: standard deviation of the noise; amplitudes are in (0.5, 2). Defaults to 0.05.
        missing: share of rows left out at random, in [0, 1). Defaults to 0.0.
        seed: seed of the generator. Defaults to 0.
    """
    rng = np.random.default_rng(seed)
    t = np.arange(length)
    decay, frequency = rng.uniform(0, 2 / length, (num_series, 1)), rng.uniform(0.02, 0.2, (num_series, 1))
    amplitude, phase = rng.uniform(0.5, 2, (num_series, 1)), rng.uniform(0, 2 * np.pi, (num_series, 1))
    clean = amplitude * np.exp(-decay * t) * np.cos(2 * np.pi * frequency * t + phase)
    frame = _panel(clean + noise * rng.normal(size=clean.shape), "D")
    frame["decay"], frame["frequency"] = np.repeat(decay, length), np.repeat(frequency, length)
    return _thinned(frame, missing, rng)


def _panel(values: np.ndarray, prefix: str) -> pd.DataFrame:
    count, length = values.shape
    ids = [f"{prefix}{i:0{len(str(count))}d}" for i in range(count)]
    return pd.DataFrame(
        {"unique_id": np.repeat(ids, length), "ds": np.tile(np.arange(length), count), "y": values.ravel()}
    )


def _thinned(frame: pd.DataFrame, missing: float, rng) -> pd.DataFrame:
    if not 0 <= missing < 1:
        raise ValueError(f"`missing` must be in [0, 1). Received: missing={missing!r}")
    return frame[rng.uniform(size=len(frame)) >= missing].reset_index(drop=True) if missing else frame
