"""Bases against NumPy, SciPy and finite differences."""

import keras
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from nbeats_basis.bases import Fourier, Learned, Polynomial

BASES = {
    "legendre": lambda: Polynomial(5, span=(-20, 12)),
    "chebyshev": lambda: Polynomial(5, kind="chebyshev", span=(-20, 12)),
    "monomial": lambda: Polynomial(3, kind="monomial", span=(1, -20)),
    "fourier": lambda: Fourier([12, 5.5], harmonics=[3, 2], origin=1.0),
    "fourier_learnable": lambda: Fourier([12, 5.5], harmonics=2, learnable=True),
    "learned": lambda: Learned(4, nodes=range(-11, 7)),
    "identity": lambda: Learned(None, nodes=range(-3, 4)),
    "sum": lambda: Polynomial(2, span=(-20, 12)) + Fourier([12], harmonics=2) + Learned(2, nodes=[0, 2, 4]),
}
TIMES = np.linspace(-9.7, 4.9, 57)


@pytest.fixture(params=BASES)
def basis(request):
    """Every basis in turn."""
    return BASES[request.param]()


def test_any_leading_shape(basis):
    flat = basis(TIMES).numpy()
    assert flat.shape == (57, basis.num_terms)
    grid = basis(TIMES[:56].reshape(2, 4, 7)).numpy()
    assert grid.shape == (2, 4, 7, basis.num_terms)
    np.testing.assert_allclose(grid.reshape(56, -1), flat[:56], rtol=1e-12)
    assert basis(TIMES.astype("float32")).dtype == "float32"


@pytest.mark.parametrize("order", [1, 2, 3])
def test_derivatives_match_finite_differences(basis, order):
    step = 1e-4
    below = basis.derivative(TIMES - step, order - 1).numpy()
    above = basis.derivative(TIMES + step, order - 1).numpy()
    exact = basis.derivative(TIMES, order).numpy()
    np.testing.assert_allclose(exact, (above - below) / (2 * step), rtol=1e-5, atol=1e-5)


def test_config_round_trip_keeps_the_functions(basis):
    values = basis(TIMES).numpy()
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(basis))
    copy(TIMES)
    copy.set_weights(basis.get_weights())
    np.testing.assert_array_equal(copy(TIMES).numpy(), values)


def test_polynomials_match_numpy():
    u = (2 * TIMES + 8) / 32
    legendre = np.polynomial.legendre.legvander(u, 5) * np.sqrt(2 * np.arange(6) + 1)
    np.testing.assert_allclose(BASES["legendre"]()(TIMES), legendre, atol=1e-12)
    np.testing.assert_allclose(
        BASES["chebyshev"]()(TIMES), np.polynomial.chebyshev.chebvander(u, 5), atol=1e-12
    )
    np.testing.assert_allclose(
        BASES["monomial"]()(TIMES), np.vander((1 - TIMES) / 21, 4, increasing=True), atol=1e-12
    )


@pytest.mark.parametrize(("kind", "condition"), [("monomial", 6.8e5), ("legendre", 2.3), ("chebyshev", 5.4)])
def test_conditioning_of_degree_eight(kind, condition):
    design = Polynomial(8, kind=kind, span=(0, 48))(np.arange(48.0)).numpy()
    assert np.linalg.cond(design) == pytest.approx(condition, rel=0.05)


def test_fourier_matches_its_formula():
    values = Fourier([12, 5.5], harmonics=[3, 1], origin=1.0)(TIMES).numpy()
    phase = 2 * np.pi * (TIMES[:, None] - 1)
    expected = [
        f(phase * k / p) for p, n in ((12, 3), (5.5, 1)) for f in (np.cos, np.sin) for k in range(1, n + 1)
    ]
    np.testing.assert_allclose(values, np.concatenate(expected, axis=1), atol=1e-12)


def test_learned_equals_its_table_on_the_grid_and_a_natural_spline_between():
    basis = Learned(4, nodes=range(-11, 7))
    nodes = np.arange(-11.0, 7)
    on_grid = basis(nodes).numpy()
    np.testing.assert_allclose(on_grid, basis.get_weights()[0], atol=1e-6)
    spline = CubicSpline(nodes, on_grid, bc_type="natural")
    np.testing.assert_allclose(basis(TIMES), spline(TIMES), atol=1e-6)
    np.testing.assert_allclose(basis.derivative(TIMES, 2), spline(TIMES, 2), atol=1e-5)
    np.testing.assert_array_equal(basis([7.5, 100.0]).numpy()[0], basis([6.0]).numpy()[0])


@pytest.mark.parametrize("count", [1, 2])
def test_learned_with_hardly_any_nodes(count):
    np.testing.assert_allclose(Learned(None, nodes=range(count))(np.arange(float(count))), np.eye(count))


def test_plus_concatenates():
    first, second = Polynomial(1), Fourier([3], harmonics=1)
    both = (first + second)(TIMES).numpy()
    np.testing.assert_array_equal(both, np.concatenate([first(TIMES), second(TIMES)], axis=-1))
    with pytest.raises(TypeError):
        first + 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Polynomial(-1), "degree=-1"),
        (lambda: Polynomial(2, kind="hermite"), "kind='hermite'"),
        (lambda: Polynomial(2, span=(3, 3)), "span"),
        (lambda: Fourier([0], 1), "periods=0"),
        (lambda: Fourier([1, 2], [1]), "harmonics"),
        (lambda: Learned(2, nodes=[0, 1, 3]), "equally spaced"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
