"""The competitions' error measures and reference forecasts, on long frames sorted by series and time."""

import numpy as np
import pandas as pd

CRITICAL = 1.645  # of the normal distribution, 90 %


def mape(y, forecast) -> float:
    """Return 100 mean |y - f| / |y| over the points with y != 0."""
    y, forecast = np.asarray(y), np.asarray(forecast)
    known = y != 0
    return float(100 * np.mean(np.abs(y - forecast)[known] / np.abs(y[known])))


def smape(y, forecast) -> float:
    """Return 200 mean |y - f| / (|y| + |f|), a point with y = f = 0 counting 0."""
    y, forecast = np.asarray(y), np.asarray(forecast)
    size = np.abs(y) + np.abs(forecast)
    return float(200 * np.mean(np.abs(y - forecast) / np.where(size > 0, size, 1)))


def mase(train: pd.DataFrame, test: pd.DataFrame, forecast, season: int) -> float:
    """Return the mean over the series of mean |y - f| / mean |x_t - x_(t - season)|, x being the training part.

    Series without a change in the training part, or shorter than a season, have no scale and do not count.
    """
    change = (train.y - train.groupby("unique_id").y.shift(season)).abs()
    scale = change.groupby(train.unique_id).mean()
    error = np.abs(test.y - np.asarray(forecast)).groupby(test.unique_id).mean()
    return float((error / scale.reindex(error.index).where(scale > 0)).mean())


def owa(errors: dict, reference: dict) -> float:
    """Return the mean of the sMAPE and the MASE, each relative to that of Naive2 (the M4 competition's measure)."""
    return (errors["smape"] / reference["smape"] + errors["mase"] / reference["mase"]) / 2


def measures(train: pd.DataFrame, test: pd.DataFrame, forecast, season: int) -> dict:
    """Return sMAPE, MAPE and MASE of forecasts in the order of the test frame's rows."""
    forecast = np.asarray(forecast)
    return {
        "smape": smape(test.y, forecast),
        "mape": mape(test.y, forecast),
        "mase": mase(train, test, forecast, season),
    }


def average(errors: list[dict], points: list[int]) -> dict:
    """Return the measures of several groups, weighted by their numbers of test points.

    Source: Oreshkin et al. 2020, appendix C.2 and C.3.
    """
    return {name: float(np.average([e[name] for e in errors], weights=points)) for name in errors[0]}


def seasonal_naive(train: pd.DataFrame, horizon: int, season: int) -> np.ndarray:
    """Return the last season repeated, for each series in one array."""
    groups = train.groupby("unique_id", sort=True)["y"]
    return np.concatenate([np.resize(y.to_numpy()[-season:], horizon) for _, y in groups])


def naive2(train: pd.DataFrame, horizon: int, season: int) -> np.ndarray:
    """Return the last value, seasonally adjusted where the series is seasonal, for each series in one array.

    Source: Naive 2 of the M4 competition (Makridakis, Spiliotis and Assimakopoulos 2020, appendix A).
    """
    forecasts = []
    for _, y in train.groupby("unique_id", sort=True)["y"]:
        y = y.to_numpy()
        indices = seasonal_indices(y, season) if is_seasonal(y, season) else np.ones(season)
        steps = len(y) + np.arange(horizon)
        forecasts.append(y[-1] / indices[(len(y) - 1) % season] * indices[steps % season])
    return np.concatenate(forecasts)


def is_seasonal(y: np.ndarray, season: int) -> bool:
    """Return whether the autocorrelation at the season is beyond Bartlett's 90 % limit; False before three seasons."""
    if season == 1 or len(y) < 3 * season or np.ptp(y) == 0:
        return False
    centred = y - y.mean()
    products = [centred[lag:] @ centred[:-lag] for lag in range(1, season + 1)]
    correlation = np.array(products) / (centred @ centred)
    limit = CRITICAL * np.sqrt((1 + 2 * np.sum(correlation[:-1] ** 2)) / len(y))
    return bool(abs(correlation[-1]) > limit)


def seasonal_indices(y: np.ndarray, season: int) -> np.ndarray:
    """Return the multiplicative indices of classical decomposition, of mean 1, the first that of y[0].

    A series with an index that is not positive is left as it is: its indices are 1.
    """
    weights = np.ones(season) if season % 2 else np.array([0.5, *np.ones(season - 1), 0.5])
    half = len(weights) // 2
    trend = np.full(len(y), np.nan)
    trend[half : len(y) - half] = np.convolve(y, weights / season, "valid")
    ratio = y / np.where(trend == 0, np.nan, trend)
    indices = np.array([np.nanmean(ratio[phase::season]) for phase in range(season)])
    return indices / indices.mean() if (indices > 0).all() else np.ones(season)
