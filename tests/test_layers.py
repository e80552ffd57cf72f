"""Every layer passes the layer checks."""

import numpy as np
import pytest
from layer_checks import run_layer_checks

import nbeats_basis as nb
from nbeats_basis.bases import DampedSinusoid, Fourier, Implicit, Learned, Polynomial
from nbeats_basis.members import MemberNetwork

TIMES = np.linspace(-8, 5, 21).astype("float32")
WINDOW = [
    np.arange(-9.0, 1, dtype="float32")[None, None],
    np.random.default_rng(0).normal(size=(2, 3, 10)).astype("float32"),
    np.ones((2, 3, 10), "float32"),
    np.arange(1.0, 6, dtype="float32")[None, None],
]
LAYERS = {
    "network": (lambda: MemberNetwork(8, num_layers=2, outputs=3), [WINDOW[1]]),
    "polynomial": (lambda: Polynomial(3, kind="chebyshev", span=(-8, 5)), [TIMES]),
    "fourier": (lambda: Fourier([5, 7.5], harmonics=2, learnable=True), [TIMES]),
    "learned": (lambda: Learned(3, nodes=range(-8, 6)), [TIMES]),
    "concatenate": (lambda: Polynomial(1) + Learned(2, nodes=range(5)), [TIMES]),
    "damped": (lambda: DampedSinusoid(2, span=(-8, 5)), [TIMES]),
    "implicit": (lambda: Implicit(3, units=8, span=(-8, 5)), [TIMES]),
    "block": (
        lambda: nb.BasisBlock(Polynomial(2, span=(-10, 5)), units=8, coefficients="combined", num_params=3),
        WINDOW,
    ),
    "learnable_block": (lambda: nb.BasisBlock(Fourier([5], 2, learnable=True), units=8), WINDOW),
    "trend": (lambda: nb.Trend(units=8), WINDOW),
    "seasonality": (lambda: nb.Seasonality([5], units=8, coefficients="regression"), WINDOW),
    "sparse_block": (
        lambda: nb.SparseBlock(Fourier([30], 8), nb.sparse.LISTACPSS(3), units=8, num_params=2),
        WINDOW,
    ),
    "sparse": (lambda: nb.Sparse(atoms=16, units=8), WINDOW),
    "smoothing": (lambda: nb.Smoothing([5], multiplicative=True, units=8), WINDOW),
    "smoothing_block": (
        lambda: nb.SmoothingBlock([5], [2], lookback=10, horizon=5, units=8, num_params=2),
        WINDOW,
    ),
    "generic": (lambda: nb.Generic(3, units=8), WINDOW),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name, tmp_path):
    make, inputs = LAYERS[name]
    run_layer_checks(make(), inputs, tmp_path)
