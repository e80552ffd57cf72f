"""Shared fixtures."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import numpy as np
import pytest

import nbeats_basis as nb

QUICK = nb.Training(steps=20, batch_size=32, epochs=2, steps_per_execution=5)


def quick_forecaster(**kwargs) -> nb.Forecaster:
    """Return a small forecaster that trains in a second or two."""
    settings = {
        "horizon": 6,
        "lookback": [12, 18],
        "stacks": [nb.Trend(units=16), nb.Seasonality([12], units=16)],
        "members": 2,
        "training": QUICK,
    }
    return nb.Forecaster(**{**settings, **kwargs})


@pytest.fixture(scope="session")
def panel():
    """Six seasonal series of integer times with a tenth of the rows missing."""
    return nb.synthetic.seasonal_panel(6, 60, missing=0.1, seed=3)[["unique_id", "ds", "y"]]


@pytest.fixture(scope="session")
def fitted(panel):
    """A forecaster fitted on `panel`."""
    return quick_forecaster().fit(panel, verbose=0)


@pytest.fixture
def rng():
    """A random generator."""
    return np.random.default_rng(0)
