"""The competitions' error measures, over all series and steps of a group."""

import numpy as np


def mape(y, forecast) -> float:
    """Return 100 mean |y - f| / |y| over the points with y != 0."""
    y, forecast = np.asarray(y), np.asarray(forecast)
    known = y != 0
    return float(100 * np.mean(np.abs(y - forecast)[known] / np.abs(y[known])))


def smape(y, forecast) -> float:
    """Return 200 mean |y - f| / (|y| + |f|)."""
    return float(200 * np.mean(np.abs(y - forecast) / (np.abs(y) + np.abs(forecast))))


def seasonal_naive(train, horizon: int, season: int) -> np.ndarray:
    """Return the last season repeated, for each series of a sorted long frame, in one array."""
    groups = train.groupby("unique_id", sort=True)["y"]
    return np.concatenate([np.resize(y.to_numpy()[-season:], horizon) for _, y in groups])
