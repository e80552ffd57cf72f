"""Blocks: the regression against least squares, and its two limits."""

import numpy as np
import pytest
import tensorflow as tf
from reference import ridge

from nbeats_basis.bases import Fourier, Polynomial
from nbeats_basis.blocks import BasisBlock, expand, normal_equations, solve_spd

TIMES = np.arange(-11.0, 1, dtype="float32")[None, None]
QUERY = np.arange(1.0, 5, dtype="float32")[None, None]


def make_basis():
    """Return a basis of six functions."""
    return Polynomial(1, span=(-12, 4)) + Fourier([6], harmonics=2)


def make_block(**kwargs):
    """Return a built block of two members."""
    block = BasisBlock(make_basis(), units=8, num_layers=2, **kwargs)
    block(TIMES, tf.zeros((2, 5, 12)), tf.zeros((2, 5, 12)), QUERY)
    return block


@pytest.fixture
def window(rng):
    """Values and mask of two members and five windows."""
    observed = (rng.uniform(size=(2, 5, 12)) < 0.7).astype("float32")
    return (rng.normal(size=(2, 5, 12)) * observed).astype("float32"), observed


@pytest.mark.parametrize("coefficients", ["combined", "regression"])
def test_regression_matches_least_squares(window, rng, coefficients):
    values, observed = window
    block = make_block(coefficients=coefficients)
    block.log_precision.assign(rng.uniform(-3, 1, (2, 6)))
    backcast, forecast = block(TIMES, values, observed, QUERY)
    design, query = block.basis(TIMES[0, 0]).numpy(), block.basis(QUERY[0, 0]).numpy()
    for m in range(2):
        for b in range(5):
            prior = np.zeros(6)
            if coefficients == "combined":
                hidden = values[m : m + 1]
                for dense in block.trunk:
                    kernel, bias = dense.get_weights()
                    hidden = np.maximum(hidden[0] @ kernel[m] + bias[m], 0)[None]
                kernel, bias = block.proposal.get_weights()
                prior = (hidden[0] @ kernel[m] + bias[m])[b]
            precision = np.exp(block.log_precision.numpy()[m])
            theta = ridge(design, values[m, b], observed[m, b], precision, prior)
            np.testing.assert_allclose(backcast[m, b], design @ theta, atol=1e-4)
            np.testing.assert_allclose(forecast[m, b, :, 0], query @ theta, atol=1e-4)


def test_infinite_precision_is_the_classical_block(window):
    values, observed = window
    combined, classical = make_block(coefficients="combined"), make_block()
    combined.log_precision.assign(np.full((2, 6), 25.0))
    for ours, theirs in zip(combined.trunk, classical.trunk, strict=True):
        theirs.set_weights(ours.get_weights())
    kernel, bias = combined.proposal.get_weights()
    classical.proposal.set_weights(
        [np.tile(kernel, 2), np.tile(bias, 2)]
    )  # one theta for backcast and forecast
    for ours, theirs in zip(
        combined(TIMES, values, observed, QUERY), classical(TIMES, values, observed, QUERY), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_silent_proposal_is_pure_regression(window):
    values, observed = window
    combined, regression = make_block(coefficients="combined"), make_block(coefficients="regression")
    combined.proposal.set_weights([np.zeros_like(w) for w in combined.proposal.get_weights()])
    for ours, theirs in zip(
        combined(TIMES, values, observed, QUERY), regression(TIMES, values, observed, QUERY), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_design_per_window_gives_what_a_shared_one_gives(window):
    values, observed = window
    design = make_basis()(TIMES)
    each = tf.repeat(design, 5, axis=1)
    for shared, own in zip(
        normal_equations(design, values, observed), normal_equations(each, values, observed), strict=True
    ):
        np.testing.assert_allclose(shared, own, atol=1e-5)
    theta = tf.random.stateless_normal((2, 5, 6), [1, 2])
    np.testing.assert_allclose(expand(design, theta), expand(each, theta), atol=1e-5)


def test_gradient_of_the_solve_matches_finite_differences(rng):
    root = rng.normal(size=(3, 4, 4))
    matrix, vector = root @ root.transpose(0, 2, 1) + np.eye(4), rng.normal(size=(3, 4))
    theory, numeric = tf.test.compute_gradient(
        lambda a, b: solve_spd((a + tf.linalg.matrix_transpose(a)) / 2, b),
        [tf.constant(matrix), tf.constant(vector)],
    )
    for t, n in zip(theory, numeric, strict=True):
        np.testing.assert_allclose(t, n, atol=1e-6)


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="coefficients='guess'"):
        BasisBlock(make_basis(), coefficients="guess")
    with pytest.raises(ValueError, match="backcast_basis"):
        BasisBlock(make_basis(), make_basis(), coefficients="regression")
