"""Forecasts without training: frames in and out, exactness on oscillations, intervals, and what is refused."""

import numpy as np
import pandas as pd
import pytest

import nbeats_basis as nb
from nbeats_basis import PursuitForecaster


def wave(times, phase=0.0):
    """Return a level and two oscillations."""
    times = np.asarray(times, "float64")
    return (
        5
        + np.cos(2 * np.pi * times / 12 + phase)
        + 2 * np.exp(-0.02 * times) * np.cos(2 * np.pi * times / 7.3)
    )


def frame(times, ids=("a", "b"), start=None):
    """Return a long frame of one wave a series."""
    ds = times if start is None else pd.Timestamp(start) + pd.to_timedelta(times, "D")
    return pd.concat(
        [pd.DataFrame({"unique_id": i, "ds": ds, "y": wave(times, k)}) for k, i in enumerate(ids)]
    )


@pytest.mark.parametrize("freq", ["MS", "D", "h"])
def test_oscillations_on_a_calendar_are_extrapolated(freq):
    ds = pd.date_range("2001-01-01", periods=90, freq=freq)
    whole = pd.concat([frame(np.arange(90)).assign(ds=[*ds, *ds])])
    history = whole.groupby("unique_id").head(72).sample(frac=0.9, random_state=0)
    history = pd.concat(
        [history, whole.groupby("unique_id").head(72).groupby("unique_id").tail(1)]
    ).drop_duplicates()
    table = PursuitForecaster(horizon=18).fit(history).predict(level=[80])
    later = whole.groupby("unique_id").tail(18).sort_values(["unique_id", "ds"])
    assert list(table.columns) == ["unique_id", "ds", "Pursuit", "Pursuit-lo-80", "Pursuit-hi-80"]
    assert list(table.unique_id) == list(later.unique_id) and list(table.ds) == list(later.ds)
    np.testing.assert_allclose(table.Pursuit, later.y, atol=1e-6)


@pytest.mark.parametrize("start", [None, "2020-03-01"])
def test_irregular_times_and_rows_asked_in_any_order(rng, start):
    times = np.sort(rng.uniform(0, 80, 70))
    history = frame(times, start=start)
    forecaster = PursuitForecaster(horizon=20.0 if start is None else "20D", freq=None).fit(history)
    at = frame(rng.uniform(81, 95, 9), ids=("b", "a"), start=start).sample(frac=1, random_state=1)
    since = at.ds if start is None else (at.ds - pd.Timestamp(start)) / pd.Timedelta("1D")
    expected = wave(since, np.where(at.unique_id == "a", 0, 1))
    table = forecaster.predict(at=at.drop(columns="y"), quantiles=[0.1, 0.5])
    assert list(table.unique_id) == list(at.unique_id) and list(table.ds) == list(at.ds)
    np.testing.assert_allclose(table.Pursuit, expected, atol=1e-5)
    np.testing.assert_array_equal(table["Pursuit-q0.5"], table.Pursuit)
    grid = forecaster.predict(spacing=5.0)
    assert len(grid) == 8 and list(grid.unique_id) == ["a"] * 4 + ["b"] * 4
    assert len(forecaster.pursuits_) == 2 and len(forecaster.pursuits_["a"].frequencies_) >= 2


def test_units_gaps_and_new_history(rng):
    history = frame(np.arange(60)).reset_index(drop=True)
    history["y"] += 0.2 * rng.normal(size=120)
    forecaster = PursuitForecaster(horizon=6, num_atoms=4).fit(history)
    plain = forecaster.predict(level=[90])
    pd.testing.assert_frame_equal(
        plain, forecaster.predict(history.sample(frac=1, random_state=0), level=[90])
    )
    changed = forecaster.predict(history.assign(y=1e3 * history.y - 7), level=[90])
    for column in plain.columns[2:]:
        np.testing.assert_allclose(changed[column], 1e3 * plain[column] - 7, rtol=1e-5)
    gone = rng.uniform(size=120) < 0.2
    gone[[59, 119]] = False
    as_nan = forecaster.predict(history.assign(y=history.y.where(~gone)))
    pd.testing.assert_frame_equal(as_nan, forecaster.predict(history[~gone]))
    other = forecaster.predict(history[history.unique_id == "b"].assign(unique_id="new"))
    np.testing.assert_array_equal(other.Pursuit, plain.Pursuit[6:])


def test_intervals_hold_what_they_say():
    rng = np.random.default_rng(0)
    series = [f"s{i:02d}" for i in range(40)]
    whole = frame(np.arange(96), ids=series)
    whole["y"] += 0.3 * rng.normal(size=len(whole))
    table = PursuitForecaster(horizon=12, num_atoms=4).fit(whole[whole.ds < 84]).predict(level=[80])
    later = whole[whole.ds >= 84].y.to_numpy()
    inside = (table["Pursuit-lo-80"].to_numpy() <= later) & (later <= table["Pursuit-hi-80"].to_numpy())
    assert 0.72 < inside.mean() < 0.88, inside.mean()


def test_air_passengers_are_forecast_better_than_by_last_year():
    df, errors, others = nb.datasets.load("air_passengers"), [], []
    for origin in range(72, 133, 12):
        history, later = df[:origin], df.y[origin : origin + 12].to_numpy()
        table = PursuitForecaster(horizon=12).fit(history).predict()
        errors.append(np.abs(table.Pursuit.to_numpy() - later).mean())
        others.append(np.abs(history.y[-12:].to_numpy() - later).mean())
    assert np.mean(errors) < 0.8 * np.mean(others), (errors, others)


def test_short_and_constant_series_are_forecast_by_their_mean(capsys):
    short = pd.DataFrame(
        {"unique_id": ["a"] * 5 + ["b"], "ds": [1, 2, 3, 4, 5, 1], "y": [1.0, 2, 3, 4, 5, 9]}
    )
    constant = pd.DataFrame({"unique_id": "c", "ds": range(40), "y": 2.0})
    forecaster = PursuitForecaster(horizon=2, freq=1).fit(pd.concat([short, constant]), verbose=1)
    assert "3/3" in capsys.readouterr().out
    table = forecaster.predict(level=[80])
    np.testing.assert_allclose(table.Pursuit, [3, 3, 9, 9, 2, 2])
    single = table.unique_id == "b"  # nothing tells how it varies
    assert np.isfinite(table[~single].iloc[:, 2:]).all(axis=None) and table[single].iloc[:, 3:].isna().all(
        axis=None
    )
    assert (table["Pursuit-hi-80"] - table["Pursuit-lo-80"])[0] > 3


@pytest.mark.parametrize("start", [None, "2020-03-01"])
@pytest.mark.parametrize("trend", [False, True])
def test_saved_and_loaded_it_forecasts_the_same(tmp_path, rng, start, trend):
    times = np.sort(rng.uniform(0, 80, 70))
    history = frame(times, start=start).rename(columns={"y": "size"})
    history["size"] += 0.1 * rng.normal(size=140)
    horizon = 20.0 if start is None else "20D"
    forecaster = PursuitForecaster(horizon, 3, freq=None, trend=trend).fit(history, target_col="size")
    forecaster.save(tmp_path / "folder")
    assert sorted(p.name for p in (tmp_path / "folder").iterdir()) == ["forecaster.json", "history.npz"]
    loaded = PursuitForecaster.load(tmp_path / "folder")
    pd.testing.assert_frame_equal(
        loaded.predict(level=[80]), forecaster.predict(level=[80]), rtol=1e-9, check_exact=False
    )
    assert loaded.horizon == horizon and loaded.num_atoms == 3
    other = history[history.unique_id == "b"].assign(unique_id="new")
    pd.testing.assert_frame_equal(loaded.predict(other), forecaster.predict(other))
    with pytest.raises(nb.NotFittedError):
        PursuitForecaster(4).save(tmp_path / "none")


def test_a_line_under_oscillations_is_extrapolated(rng):
    """Exactly without noise; in noise far better than where slow oscillations stand for it, and with intervals that hold."""
    whole = frame(np.arange(110), ids=[f"s{i:02d}" for i in range(20)]).reset_index(drop=True)
    whole["y"] += 0.3 * whole.ds
    exact = PursuitForecaster(20, trend=True).fit(whole[whole.ds < 90]).predict()
    later = whole[whole.ds >= 90].y.to_numpy()
    np.testing.assert_allclose(exact.Pursuit, later, atol=1e-5)
    slopes = [p.slope_ for p in PursuitForecaster(20, 4, trend=True).fit(whole[:90]).pursuits_.values()]
    np.testing.assert_allclose(slopes, 0.3, atol=1e-6)
    noisy = whole.assign(y=whole.y + 0.3 * rng.normal(size=len(whole)))
    errors = {}
    for trend in (False, True):
        table = PursuitForecaster(20, 4, trend=trend).fit(noisy[noisy.ds < 90]).predict(level=[80])
        errors[trend] = np.abs(table.Pursuit.to_numpy() - later).mean()
    assert errors[True] < 0.5 * errors[False], errors
    held = noisy[noisy.ds >= 90].y.to_numpy()
    inside = (table["Pursuit-lo-80"].to_numpy() <= held) & (held <= table["Pursuit-hi-80"].to_numpy())
    assert 0.72 < inside.mean() < 0.88, inside.mean()


def test_short_series_with_a_line(rng):
    """From 4 observations on the line of least squares, below them the mean."""
    y = rng.normal(size=5)
    short = pd.DataFrame(
        {"unique_id": ["a"] * 5 + ["b"] * 3, "ds": [1, 2, 3, 4, 5, 1, 2, 3], "y": [*y, 1.0, 2, 6]}
    )
    table = PursuitForecaster(2, freq=1, trend=True).fit(short).predict()
    expected = np.polyval(np.polyfit(np.arange(5), y, 1), [5, 6])
    np.testing.assert_allclose(table.Pursuit, [*expected, 3, 3])


def test_errors_name_what_is_wrong():
    history = frame(np.arange(40)).reset_index(drop=True)
    forecaster = PursuitForecaster(horizon=4)
    with pytest.raises(nb.NotFittedError, match="not fitted"):
        forecaster.predict()
    with pytest.raises(nb.DataError, match="`y` of series 'a' is not a number at row 3"):
        forecaster.fit(history.assign(y=history.y.astype(object).where(history.index != 3, "x")))
    with pytest.raises(nb.DataError, match="is there twice"):
        forecaster.fit(pd.concat([history, history[:1]]))
    forecaster.fit(history)
    with pytest.raises(nb.DataError, match=r"series 'z' \(row 1\)"):
        forecaster.predict(at=pd.DataFrame({"unique_id": ["a", "z"], "ds": [41, 41]}))
    with pytest.raises(nb.DataError, match="before the last observation"):
        forecaster.predict(at=pd.DataFrame({"unique_id": ["a"], "ds": [3]}))
    with pytest.raises(ValueError, match="leave out `spacing`"):
        forecaster.predict(at=history, spacing=1)
    with pytest.raises(ValueError, match="for irregular times"):
        forecaster.predict(spacing=1)
    for wrong in ({"num_atoms": -1}, {"freq": "fortnight"}, {"time_unit": "month"}):
        with pytest.raises(ValueError):
            PursuitForecaster(horizon=4, **wrong)
    with pytest.raises(ValueError, match="horizon"):
        PursuitForecaster(horizon=0).fit(history)
