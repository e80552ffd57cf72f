"""Student's t: its distribution function and its slopes against SciPy, far into the tails."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from nbeats_basis.student import student

TAILS = np.concatenate([10.0 ** np.arange(-12, -1), np.linspace(0.02, 0.5, 25)])


@pytest.mark.parametrize("freedom", [2, 2.001, 2.7, 4, 9.3, 40])
def test_tails_are_those_of_scipy(freedom):
    t = stats.t.isf(TAILS, freedom)
    law = student(tf.constant(freedom, "float64"))
    np.testing.assert_allclose(law(tf.constant(-t))[0], stats.t.cdf(-t, freedom), rtol=1e-8)
    np.testing.assert_allclose(law(tf.constant(t))[0], stats.t.cdf(t, freedom), rtol=1e-9)


def test_of_many_degrees_of_freedom_it_is_normal():
    t = stats.norm.ppf(TAILS)
    probability, density, _ = student(tf.constant(1e8, "float64"))(tf.constant(t))
    np.testing.assert_allclose(probability, stats.norm.cdf(t), rtol=1e-5)
    np.testing.assert_allclose(density, stats.norm.pdf(t), rtol=1e-5)


@pytest.mark.parametrize("freedom", [2, 5.5, 60, 1e4])
def test_slopes_are_those_of_the_distribution_function(freedom):
    t = tf.constant(np.linspace(-9, 9, 37))
    law = student(tf.constant(freedom, "float64"))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(t)
        probability, density, derivative = law(t)
    np.testing.assert_allclose(density, stats.t.pdf(t, freedom), rtol=1e-9)
    np.testing.assert_allclose(tape.gradient(density, t), derivative, rtol=1e-9, atol=1e-15)
    inside = np.abs(t) > 0  # the tape has no slope of the root at 0
    slope = tape.gradient(probability, t).numpy()
    np.testing.assert_allclose(slope[inside], density.numpy()[inside], rtol=1e-6, atol=1e-9)


def test_what_is_infinitely_far_has_no_tail():
    probability, density, derivative = student(tf.constant(2.0, "float64"))(
        tf.constant([-1e150, 1e150], "float64")
    )
    np.testing.assert_allclose(probability, [0, 1], atol=1e-300)
    np.testing.assert_array_equal(density, [0, 0])
    np.testing.assert_array_equal(derivative, [0, 0])
