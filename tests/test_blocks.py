"""Blocks: the regression against least squares, and its two limits."""

import numpy as np
import pytest
import tensorflow as tf
from reference import layers_of, ridge

import nbeats_basis as nb
from nbeats_basis.bases import Fourier, Polynomial
from nbeats_basis.blocks import BasisBlock
from nbeats_basis.encoders import RegressionEncoder
from nbeats_basis.regression import (
    alike,
    expand,
    floored,
    inverse,
    inverse_diagonal,
    moments,
    normal_matrix,
    solve,
)

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
    backcast, forecast, _ = block(TIMES, values, observed, QUERY)
    design, query = block.basis(TIMES[0, 0]).numpy(), block.basis(QUERY[0, 0]).numpy()
    for m in range(2):
        for b in range(5):
            prior = np.zeros(6)
            if coefficients == "combined":
                hidden = values[m : m + 1]
                *layers, (kernel, bias) = layers_of(block.network)
                for inner, shift in layers:
                    hidden = np.maximum(hidden[0] @ inner[m] + shift[m], 0)[None]
                prior = (hidden[0] @ kernel[m] + bias[m])[b]
            precision = np.exp(block.log_precision.numpy()[m])
            theta = ridge(design, values[m, b], observed[m, b], precision, prior)
            np.testing.assert_allclose(backcast[m, b], design @ theta, atol=1e-4)
            np.testing.assert_allclose(forecast[m, b, :, 0], query @ theta, atol=1e-4)


def test_infinite_precision_is_the_classical_block(window):
    values, observed = window
    combined, classical = make_block(coefficients="combined"), make_block()
    combined.log_precision.assign(np.full((2, 6), 25.0))
    *hidden, kernel, bias = combined.network.get_weights()
    classical.network.set_weights(  # one theta for backcast and forecast
        [*hidden, np.tile(kernel, 2), np.tile(bias, 2)]
    )
    for ours, theirs in zip(
        combined(TIMES, values, observed, QUERY), classical(TIMES, values, observed, QUERY), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_silent_proposal_is_pure_regression(window):
    values, observed = window
    combined, regression = make_block(coefficients="combined"), make_block(coefficients="regression")
    *hidden, kernel, bias = combined.network.get_weights()
    combined.network.set_weights([*hidden, np.zeros_like(kernel), np.zeros_like(bias)])
    combined.log_precision.assign(regression.log_precision)
    for ours, theirs in zip(
        combined(TIMES, values, observed, QUERY), regression(TIMES, values, observed, QUERY), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_design_per_window_gives_what_a_shared_one_gives(window):
    values, observed = window
    design = make_basis()(TIMES)
    each = tf.repeat(design, 5, axis=1)
    np.testing.assert_allclose(moments(design, values), moments(each, values), atol=1e-5)
    np.testing.assert_allclose(normal_matrix(design, observed), normal_matrix(each, observed), atol=1e-5)
    theta = tf.random.stateless_normal((2, 5, 6), [1, 2])
    np.testing.assert_allclose(expand(design, theta), expand(each, theta), atol=1e-5)


def test_windows_of_one_mask_share_an_inverse(rng):
    """And give what they give beside a window of another mask."""
    block = make_block(coefficients="regression")
    observed = np.broadcast_to(rng.uniform(size=(2, 1, 12)) < 0.7, (2, 5, 12)).astype("float32")
    values = (rng.normal(size=(2, 5, 12)) * observed).astype("float32")
    both = [np.concatenate([each, np.ones((2, 1, 12), "float32")], axis=1) for each in (values, observed)]
    design = make_basis()(TIMES)
    assert alike(design, observed) and not alike(design, both[1])
    assert not alike(tf.repeat(design, 5, axis=1), observed)
    for shared, apart in zip(block(TIMES, values, observed, QUERY), block(TIMES, *both, QUERY), strict=True):
        np.testing.assert_allclose(shared, apart[:, :5], atol=1e-5)


@pytest.mark.parametrize("compiled", [{}, {"jit_compile": True}])
def test_compiled_gradients_are_those_of_eager_mode(window, compiled):
    values, observed = (tf.constant(each) for each in window)
    block = make_block(coefficients="combined")

    def gradients():
        with tf.GradientTape() as tape:
            backcast, forecast, _ = block(TIMES, values, observed, QUERY)
            loss = tf.reduce_sum(backcast**2) + tf.reduce_sum(forecast**2)
        return tape.gradient(loss, [weight.value for weight in block.trainable_variables])

    for ours, theirs in zip(tf.function(gradients, **compiled)(), gradients(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_gradient_of_the_regression_matches_finite_differences(rng):
    """In the design, the values and the precision, of the coefficients and of the diagonal of the inverse."""
    design, values = rng.normal(size=(2, 3, 9, 4)), rng.normal(size=(2, 3, 9))
    observed = (rng.uniform(size=(2, 3, 9)) < 0.8).astype(float)

    def theta(design, values, precision):
        gram = normal_matrix(design, observed)
        precision = floored(gram, tf.exp(precision))
        regression = inverse(gram, precision, alike(design, observed)), gram, precision
        return tf.concat(
            [solve(*regression, moments(design, values * observed)), inverse_diagonal(*regression)], -1
        )

    theory, numeric = tf.test.compute_gradient(
        theta, [tf.constant(design), tf.constant(values), tf.constant(rng.normal(size=(2, 1, 4)))]
    )
    for t, n in zip(theory, numeric, strict=True):
        np.testing.assert_allclose(t, n, atol=1e-6)


@pytest.mark.parametrize("terms", [4, 16, 32])
def test_pure_regression_at_irregular_times_is_ridge_in_float64(rng, terms):
    """Up to 32 terms, in float32: from hardly any observations to all 64, precisions from 0.02 to 3."""
    times = np.sort(rng.uniform(-60, 0, (3, 20, 64)), axis=-1).astype("float32")
    observed = (rng.uniform(size=(3, 20, 64)) < rng.uniform(size=(3, 20, 1))).astype("float32")
    values = (np.cumsum(rng.normal(size=(3, 20, 64)), axis=-1) * observed / 4).astype("float32")
    query = rng.uniform(0, 15, (3, 20, 9)).astype("float32")
    basis = Polynomial(1, span=(-60, 15)) + Fourier([60, 7], harmonics=[terms // 4, terms // 4 - 1])
    block = BasisBlock(basis, coefficients="regression")
    block(times, values, observed, query)
    block.log_precision.assign(rng.uniform(-4, 1, (3, terms)))
    backcast, forecast, _ = block(times, values, observed, query)
    past, future = basis(times.astype("float64")).numpy(), basis(query.astype("float64")).numpy()
    precision = np.exp(block.log_precision.numpy().astype("float64"))
    for m in range(3):
        for b in range(20):
            theta = ridge(past[m, b], values[m, b], observed[m, b], precision[m], np.zeros(terms))
            scale = max(1.0, np.abs(values[m, b]).max())
            np.testing.assert_allclose(backcast[m, b], past[m, b] @ theta, atol=1e-4 * scale)
            np.testing.assert_allclose(forecast[m, b, :, 0], future[m, b] @ theta, atol=1e-4 * scale)


def test_a_regression_is_finite_where_data_and_prior_say_nothing():
    """All observations at one time, and precisions of nothing."""
    basis = Polynomial(1, span=(-60, 15)) + Fourier([60, 7], harmonics=[8, 7])
    block = BasisBlock(basis, coefficients="regression")
    times, ones = tf.fill((1, 3, 64), -7.0), tf.ones((1, 3, 64))
    query = tf.constant([[[1.0, 15.0]]])
    block(times, ones, ones, query)
    block.log_precision.assign(np.full((1, 32), -20.0))
    backcast, forecast, _ = block(times, ones, ones, query)
    np.testing.assert_allclose(backcast, 1.0, atol=0.02)
    assert np.isfinite(forecast).all()


@pytest.mark.parametrize(
    "stack",
    [
        nb.Generic(3, num_blocks=3, units=8, shared_weights=True),  # with its bias three times
        nb.Generic(3, num_blocks=3, units=8),
        nb.Trend(units=8, coefficients="combined"),
    ],
    ids=["shared", "apart", "combined"],
)
def test_a_stack_forecasts_what_its_blocks_do(stack, window, rng):
    """Block after block, each on what the one before left."""
    values, observed = window
    stack.bind(12, 4, 3, [1, 2], "stack")
    stack(TIMES, values, observed, QUERY)
    for weight in stack.trainable_weights:
        weight.assign_add(rng.normal(0, 0.1, weight.shape))
    left, forecast, backcast, coefficients = stack(TIMES, values, observed, QUERY)
    residual, total, thetas = values, 0.0, []
    for i in range(3):
        back, part, theta = stack.blocks[i % len(stack.blocks)](TIMES, residual, observed, QUERY)
        residual, total = (residual - back) * observed, total + part
        thetas.append(theta)
    np.testing.assert_allclose(forecast, total, atol=1e-5)
    np.testing.assert_allclose(left, residual, atol=1e-5)
    np.testing.assert_allclose((values - backcast) * observed, residual, atol=1e-5)
    np.testing.assert_allclose(coefficients, np.stack(thetas, axis=2), atol=1e-5)


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="coefficients='guess'"):
        BasisBlock(make_basis(), coefficients="guess")
    with pytest.raises(ValueError, match="backcast_basis"):
        BasisBlock(make_basis(), make_basis(), coefficients="regression")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nb.Expansion("spline"), "`basis` must be a basis"),
        (lambda: nb.Sparse(dictionary=5), "`dictionary` must be a basis"),
        (lambda: nb.Sparse(pursuit="lista"), "`pursuit` must be an unrolled pursuit"),
        (lambda: nb.Seasonality(12), "`periods` must be a list. Received: periods=12"),
        (lambda: nb.Smoothing("7D"), "`periods` must be a list. Received: periods='7D'"),
    ],
)
def test_arguments_of_another_type_are_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize("coefficients", ["proposed", "combined", "regression"])
def test_all_weights_learn_at_irregular_times(window, coefficients):
    values, observed = window
    context = RegressionEncoder(12.0, 1.0)(TIMES, observed)
    block = BasisBlock(make_basis(), units=8, num_layers=2, coefficients=coefficients)
    with tf.GradientTape() as tape:
        _, forecast, _ = block(TIMES, values, observed, QUERY, context=context)
        loss = tf.reduce_sum(forecast**2)
    names = [weight.path for weight in block.trainable_variables]
    assert any("log_precision" in name for name in names)
    gradients = tape.gradient(loss, [weight.value for weight in block.trainable_variables])
    for name, gradient in zip(names, gradients, strict=True):
        assert gradient is not None and np.abs(gradient).max() > 0, name
