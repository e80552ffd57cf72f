"""Bases against NumPy, SciPy and finite differences."""

import keras
import numpy as np
import pytest
from scipy.interpolate import BSpline as SciPySpline
from scipy.interpolate import CubicSpline

from nbeats_basis.bases import BSpline, Fourier, Learned, Polynomial

BASES = {
    "legendre": lambda: Polynomial(5, span=(-20, 12)),
    "chebyshev": lambda: Polynomial(5, kind="chebyshev", span=(-20, 12)),
    "monomial": lambda: Polynomial(3, kind="monomial", span=(1, -20)),
    "fourier": lambda: Fourier([12, 5.5], harmonics=[3, 2], origin=1.0),
    "fourier_learnable": lambda: Fourier([12, 5.5], harmonics=2, learnable=True),
    "fourier_durations": lambda: Fourier(["12D", "132h"], harmonics=[3, 2], phase="calendar"),
    "bspline": lambda: BSpline(9, span=(-8, 3)),
    "bspline_learnable": lambda: BSpline(knots=[-8, -2, -1, 0, 3], learnable=True),
    "bspline_constant": lambda: BSpline(knots=[-8, -2, -1, 0, 3], degree=4, extrapolate="constant"),
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


def test_periods_without_harmonics_have_no_functions():
    empty = Fourier([12], harmonics=0)
    assert empty(TIMES).shape == (empty + Fourier([5.5], 0))(TIMES).shape == (*TIMES.shape, 0)
    np.testing.assert_array_equal((empty + Polynomial(2))(TIMES), Polynomial(2)(TIMES))


def test_fourier_matches_its_formula():
    values = Fourier([12, 5.5], harmonics=[3, 1], origin=1.0)(TIMES).numpy()
    phase = 2 * np.pi * (TIMES[:, None] - 1)
    expected = [
        f(phase * k / p) for p, n in ((12, 3), (5.5, 1)) for f in (np.cos, np.sin) for k in range(1, n + 1)
    ]
    np.testing.assert_allclose(values, np.concatenate(expected, axis=1), atol=1e-12)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_harmonics_may_be_listed(order):
    some, all_ = Fourier([12, 5.5], [[2, 5], 1], origin=1.0), Fourier([12, 5.5], [5, 1], origin=1.0)
    columns = [1, 4, 6, 9, 10, 11]
    assert some.num_terms == 6
    expected = all_.derivative(TIMES, order).numpy()[:, columns]
    np.testing.assert_allclose(some.derivative(TIMES, order), expected, rtol=1e-12)
    cosines, sines, rates, _ = some.oscillations()
    assert (cosines.tolist(), sines.tolist()) == ([0, 1, 4], [2, 3, 5])
    np.testing.assert_allclose(rates, [2 / 12, 5 / 12, 1 / 5.5], rtol=1e-6)
    assert Fourier.from_config(some.get_config()).harmonics == ([2, 5], 1)


def test_many_harmonics_are_as_exact_as_their_angle():
    """In float32: a rounding of the first harmonic's angle, in turns, grows with the harmonic and no faster."""
    times = TIMES.astype("float32")
    exact = Fourier([12], harmonics=100)(times.astype("float64")).numpy()
    errors = np.abs(Fourier([12], harmonics=100)(times).numpy() - exact).reshape(57, 2, 100)
    assert (errors < 5e-7 * np.arange(1, 101)).all()


def test_durations_are_counted_in_the_time_unit():
    np.testing.assert_allclose(
        Fourier(["1D", "12h"], 1, time_unit="h")(TIMES), Fourier([24, 12], 1)(TIMES), atol=1e-12
    )
    assert Fourier(["1D"], 1).copy("h").get_config()["time_unit"] == "h"


@pytest.mark.parametrize("learnable", [False, True])
def test_calendar_phase_adds_the_origin(learnable):
    basis = Fourier([7, 365.25], 3, phase="calendar", learnable=learnable)
    origin = np.array([[20123.0, 1.25]])
    times = np.broadcast_to(TIMES[None, None].astype("float32"), (1, 2, 57))
    values = basis(times, origin).numpy()
    expected = basis(origin[..., None] + TIMES).numpy()
    np.testing.assert_allclose(values, expected, atol=2e-5)
    np.testing.assert_allclose(
        basis.derivative(times, 1, origin), basis.derivative(origin[..., None] + TIMES), atol=1e-4
    )
    window = Fourier([7, 365.25], 3, learnable=learnable)
    np.testing.assert_array_equal(window(times, origin), window(times))
    both = (Polynomial(1) + basis)(times[:, :1], origin)
    assert both.shape == (1, 2, 57, 14)


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
def test_bsplines_match_scipy(degree):
    knots = [-8.0, -2.0, -1.0, 0.5, 3.0]
    basis = BSpline(knots=knots, degree=degree)
    padded = np.r_[[knots[0]] * degree, knots, [knots[-1]] * degree]
    inside = np.linspace(-8, 3 - 1e-9, 77)
    scipy = SciPySpline(padded, np.eye(basis.num_terms), degree)
    for order in range(degree + 1):
        scale = np.abs(scipy(inside, order)).max()
        np.testing.assert_allclose(
            basis.derivative(inside, order) / scale, scipy(inside, order) / scale, atol=1e-12
        )
    outside = np.array([-20.0, -8.5, 3.25, 11.0])
    end = np.clip(outside, -8, 3)
    tangent = scipy(end) + scipy(end, 1) * (outside - end)[:, None]
    np.testing.assert_allclose(basis(outside), tangent, atol=1e-12)
    held = BSpline(knots=knots, degree=degree, extrapolate="constant")
    np.testing.assert_allclose(held(outside), scipy(end), atol=1e-12)


@pytest.mark.parametrize("extrapolate", ["linear", "constant"])
def test_bsplines_sum_to_one_and_hold_straight_lines(extrapolate):
    basis = BSpline(knots=[-4, -2, -1, -0.5, 0, 2], extrapolate=extrapolate)
    np.testing.assert_allclose(basis(TIMES).numpy().sum(axis=-1), 1, atol=1e-12)
    line = TIMES if extrapolate == "linear" else np.clip(TIMES, -4, 2)
    np.testing.assert_allclose(basis(TIMES).numpy() @ basis.nodes, line, atol=1e-12)


def test_the_penalty_of_bsplines_is_zero_for_straight_lines_only():
    basis = BSpline(9, span=(0, 3))
    values, vectors = np.linalg.eigh(basis.penalty)
    assert (np.abs(values[:2]) < 1e-12).all() and values[2] > 1e-3
    lines = np.stack([np.ones(9), basis.nodes])
    np.testing.assert_allclose(lines @ basis.penalty, 0, atol=1e-12)
    linear = BSpline(9, degree=1)  # equal nodes: plain second differences
    difference = np.diff(np.eye(9), 2, axis=0)
    np.testing.assert_allclose(linear.penalty, difference.T @ difference, atol=1e-12)


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
        (lambda: Fourier([1], [[1, 3, 2]]), "must ascend"),
        (lambda: Fourier(["1M"], 1), "periods='1M'"),
        (lambda: Fourier([7], 1, phase="day"), "phase='day'"),
        (lambda: BSpline(), "num_terms=None"),
        (lambda: BSpline(9, knots=[0, 1]), "knots=\\[0, 1\\]"),
        (lambda: BSpline(3), "num_terms=3"),
        (lambda: BSpline(knots=[0, 1, 1]), "increase"),
        (lambda: Learned(2, nodes=[0, 1, 3]), "equally spaced"),
        (lambda: Learned(2, nodes=[0, 1e-9, 1.5e-9]), "equally spaced"),
        (lambda: Fourier(["7"], 1), "a duration of fixed length"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("extrapolate", ["linear", "constant"])
def test_learned_knots_are_those_of_fixed_splines(extrapolate):
    """At the start and after the knots have moved, at all orders, inside the span, at its ends and beyond."""
    times = np.concatenate([np.linspace(-6, 4, 101), [-4.0, -2.0, 2.0]])
    for shift in (np.zeros(5), np.array([0.3, -0.5, 0.2, 0.0, -0.1])):
        learned = BSpline(knots=[-4, -2, -1, -0.5, 0, 2], extrapolate=extrapolate, learnable=True)
        learned(times)
        learned.log_factor.assign(shift)
        gaps = np.diff([-4, -2, -1, -0.5, 0, 2]) * np.exp(shift)
        knots = -4 + 6 * np.concatenate([[0], np.cumsum(gaps)]) / gaps.sum()
        fixed = BSpline(knots=[-4, *knots[1:-1], 2], extrapolate=extrapolate)
        for order in range(5):
            expected = fixed.derivative(times, order).numpy()
            close = np.isclose(times[:, None], knots[1:-1]).any(axis=1) & (
                order > 0
            )  # one side's or the other's
            np.testing.assert_allclose(
                learned.derivative(times, order).numpy()[~close], expected[~close], atol=1e-5 * 10**order
            )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", [1, 2])
def test_spline_derivatives_at_the_knots_are_those_of_one_interval(rng, dtype, order):
    """Which of the two intervals at a knot counts must not depend on rounding; the last knot has the tangent."""
    for _ in range(40):
        size, end = rng.integers(4, 30), rng.uniform(0.5, 150)
        knots = np.linspace(0, end, size).astype(dtype).astype("float64")
        basis = BSpline(knots=knots)
        coefficients = rng.normal(size=basis.num_terms)
        spline = SciPySpline(np.r_[[0] * 3, knots, [knots[-1]] * 3], coefficients, 3)
        found = np.array(basis.derivative(knots[:-1].astype(dtype), order)) @ coefficients
        size = np.abs(spline(knots, order)).max()
        np.testing.assert_allclose(
            found, spline(knots[:-1], order), atol=size * (1e-4 if dtype == "float32" else 1e-9)
        )
        if order == 1:
            line = np.array(basis.derivative(knots.astype(dtype))) @ basis.nodes
            np.testing.assert_allclose(line, 1, atol=1e-3 if dtype == "float32" else 1e-9)
