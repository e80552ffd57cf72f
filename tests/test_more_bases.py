"""Damped, wavelet, radial, random, implicit and Laguerre bases against SciPy, PyWavelets, exact kernels and known poles."""

import keras
import numpy as np
import pytest
import pywt
from scipy.integrate import quad_vec
from scipy.optimize import least_squares
from scipy.signal import lombscargle
from scipy.special import eval_laguerre

from nbeats_basis.bases import (
    DampedSinusoid,
    Implicit,
    Laguerre,
    Polynomial,
    RadialBasis,
    RandomFourier,
    Wavelet,
)
from nbeats_basis.bases.poles import fit_poles, spectrum

BASES = {
    "damped": lambda: DampedSinusoid(2, [0.3, 0.11], [0.05, 0.0], span=(-10, 5)),
    "damped_fixed": lambda: DampedSinusoid(3, span=(-10, 5), decays=[0.1, 0.2, 0.3], learnable=False),
    "mexican_hat": lambda: Wavelet("mexican_hat", [1.0, 2.5], span=(-10, 5)),
    "morlet": lambda: Wavelet("morlet", [2.0, 4.0], span=(-10, 5), spacing=0.7),
    "haar": lambda: Wavelet("haar", [2.0], span=(-10, 5)),
    "db4": lambda: Wavelet("db4", [3.0], span=(-10, 5)),
    "morlet_learnable": lambda: Wavelet("morlet", [2.0, 4.0], span=(-10, 5), learnable=True),
    "radial": lambda: RadialBasis([-8, -2, 1], width=[3.0, 2.0, 1.5]),
    "radial_learnable": lambda: RadialBasis([-8, -2, 1], width=2.0, learnable=True),
    "random": lambda: RandomFourier(10, scales=[2.0, 5.0], seed=4),
    "implicit": lambda: Implicit(4, units=8, num_layers=2, span=(-100, 100)),
    "laguerre": lambda: Laguerre(5, decay=0.4),
    "laguerre_learnable": lambda: Laguerre(3, decay=0.4, learnable=True),
    "sum": lambda: (
        Laguerre(2, decay=0.4) + Implicit(2, units=8, span=(-100, 100)) + DampedSinusoid(1, span=(-10, 5))
    ),
}
TIMES = np.linspace(-9.73, 4.91, 57)


@pytest.fixture(params=BASES)
def basis(request):
    """Every basis in turn."""
    return BASES[request.param]()


def test_any_leading_shape(basis):
    flat = basis(TIMES).numpy()
    assert flat.shape == (57, basis.num_terms) and flat.dtype == "float64"
    grid = basis(TIMES[:56].reshape(2, 4, 7)).numpy()
    np.testing.assert_allclose(grid.reshape(56, -1), flat[:56], rtol=1e-9, atol=1e-12)
    single = basis(TIMES.astype("float32"))
    assert single.dtype == "float32"
    np.testing.assert_allclose(single, flat, atol=2e-3 * np.abs(flat).max())
    assert np.isfinite(basis(np.array([-1e6, 1e6], "float32"))).all()


@pytest.mark.parametrize("order", [1, 2, 3])
def test_derivatives_match_finite_differences(basis, order):
    rough = isinstance(basis, Wavelet) and basis.kind in ("haar", "db4")
    if rough and order > 1:
        pytest.skip("not so smooth")
    step = 1e-4 if order < 3 else 1e-3
    below, above = (basis.derivative(TIMES + s, order - 1).numpy() for s in (-step, step))
    exact = basis.derivative(TIMES, order).numpy()
    scale = np.abs(exact).max() + 1e-3
    np.testing.assert_allclose(
        exact / scale, (above - below) / (2 * step * scale), atol=2e-3 if rough else 1e-4
    )


def test_config_round_trip_keeps_the_functions(basis):
    values = basis(TIMES).numpy()
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(basis))
    copy(TIMES)
    copy.set_weights(basis.get_weights())
    np.testing.assert_array_equal(copy(TIMES).numpy(), values)


def test_members_are_single_bases(basis):
    basis.assign_members([3, 4], "scope")
    times = TIMES.reshape(1, 3, 19)
    joint = basis(times).numpy()
    assert joint.shape == (2 if basis.weights else 1, 3, 19, basis.num_terms)
    assert basis(np.repeat(times, 2, axis=0)).shape == (2, 3, 19, basis.num_terms)
    for k in range(2 if basis.weights else 0):
        single = basis.copy()
        single.assign_members([3 + k], "scope")
        np.testing.assert_allclose(single(times)[0], joint[k], atol=1e-9)
    assert basis.derivative(times, 2).shape == joint.shape


def test_damped_sinusoids_decay_from_the_start_and_stay_bounded():
    basis = DampedSinusoid(1, [0.3], [0.2], span=(-10, 5), learnable=False)
    since = TIMES + 10
    expected = np.exp(-0.2 * since)[:, None] * np.stack(
        [np.cos(0.6 * np.pi * since), np.sin(0.6 * np.pi * since)], axis=1
    )
    np.testing.assert_allclose(basis(TIMES), expected, atol=1e-12)
    long_ago = basis(np.linspace(-1e4, -10, 999)).numpy()
    np.testing.assert_allclose((long_ago**2).sum(axis=1), 1, atol=1e-9)


@pytest.fixture
def window(rng):
    """64 random times in (-60, 0) and a grid that goes on half as far after them."""
    return np.sort(rng.uniform(-60, 0, 64)), np.linspace(0, 30, 200)


def extrapolate(basis, times, values, query):
    """Return the least-squares fit at the query times."""
    coefficients = np.linalg.lstsq(basis(times).numpy(), values, rcond=None)[0]
    return basis(query).numpy() @ coefficients


def test_a_damped_oscillation_is_extrapolated_exactly(window):
    times, query = window

    def truth(t):
        return 3 * np.exp(-0.03 * (t + 60)) * np.cos(2 * np.pi * 0.137 * t + 0.4)

    poles = fit_poles([(times, truth(times))], 1, -60.0, Polynomial(0))
    np.testing.assert_allclose(poles, [[0.137], [0.03]], rtol=1e-6)
    basis = DampedSinusoid.from_data([(times, truth(times))], 1, span=(-60, 30), learnable=False)
    error = (
        np.abs(extrapolate(basis, times, truth(times), query) - truth(query)).max()
        / np.abs(truth(query)).max()
    )
    assert error < 1e-6


def test_two_tones_and_a_trend_are_extrapolated_exactly(window):
    times, query = window

    def truth(t):
        return 2 + 0.05 * t + np.cos(2 * np.pi * 0.11 * t) + 0.6 * np.sin(2 * np.pi * 0.163 * t + 1)

    trend = Polynomial(1, span=(-60, 30))
    tones = DampedSinusoid.from_data([(times, truth(times))], 2, (-60, 30), trend, learnable=False)
    np.testing.assert_allclose(np.sort(tones.frequencies), [0.11, 0.163], rtol=1e-6)
    error = np.abs(extrapolate(trend + tones, times, truth(times), query) - truth(query)).max()
    assert error / np.abs(truth(query)).max() < 1e-6


def test_the_spectrum_is_lomb_and_scargles(rng):
    times = np.sort(rng.uniform(0, 50, 40))
    values = np.sin(2 * np.pi * 0.2 * times) + 0.3 * rng.normal(size=40) + 7
    frequencies = np.linspace(0.02, 0.5, 97)
    oracle = []
    for f in frequencies:  # the floating-mean spectrum by plain least squares
        wave = np.stack([np.ones(40), np.cos(2 * np.pi * f * times), np.sin(2 * np.pi * f * times)], axis=1)
        left = values - wave @ np.linalg.lstsq(wave, values, rcond=None)[0]
        oracle.append(1 - (left**2).sum() / ((values - values.mean()) ** 2).sum())
    ours = spectrum(times, values, frequencies)
    np.testing.assert_allclose(ours, oracle, atol=1e-10)
    scipy = lombscargle(times, values - values.mean(), 2 * np.pi * frequencies, normalize=True)
    assert frequencies[ours.argmax()] == frequencies[scipy.argmax()]


def test_noisy_poles_are_those_of_least_squares(rng):
    """Three series with amplitudes of their own, a tenth missing: SciPy's optimiser, started at the truth, ends there too."""
    series = []
    for _ in range(3):
        times = np.sort(rng.uniform(0, 40, 80))
        values = rng.normal() * np.exp(-0.05 * times) * np.cos(2 * np.pi * 0.21 * times + rng.uniform(0, 6))
        values = (
            values + rng.normal(0, 0.6, 1) * np.cos(2 * np.pi * 0.08 * times) + 0.05 * rng.normal(size=80)
        )
        series.append((times, np.where(rng.uniform(size=80) < 0.1, np.nan, values)))
    frequencies, decays = fit_poles(series, 2, 0.0)

    def residuals(poles, noise):
        basis = DampedSinusoid(2, np.abs(poles[:2]), np.abs(poles[2:]), span=(0, 40), learnable=False)
        parts = []
        for (times, values), scale in zip(series, noise, strict=True):
            keep = np.isfinite(values)
            design = np.column_stack([np.ones(keep.sum()), basis(times[keep])])
            target = values[keep] / scale
            parts.append(target - design @ np.linalg.lstsq(design, target, rcond=None)[0])
        return parts

    def solve(noise):
        start = [0.21, 0.08, 0.05, 0.001]
        return least_squares(
            lambda poles: np.concatenate(residuals(poles, noise)), start, xtol=1e-14, ftol=1e-14
        )

    equal = [np.nanstd(values) for _, values in series]
    noise = [s * np.std(r) for s, r in zip(equal, residuals(solve(equal).x, equal), strict=True)]
    best = solve(noise)
    ours = np.concatenate(residuals(np.concatenate([frequencies, decays]), noise))
    assert ours @ ours <= 2 * best.cost * (1 + 1e-6)
    np.testing.assert_allclose(np.sort(frequencies), [0.08, 0.21], atol=0.003)


def test_poles_are_not_above_half_the_rate_of_observation(rng):
    """A series that alternates: its noise would pull the frequency to one that its times cannot tell from a lower one."""
    times = np.arange(24.0)
    for _ in range(20):
        values = np.cos(np.pi * times) + 0.3 * rng.normal(size=24)
        frequencies, _ = fit_poles([(times, values)], 2, 0.0)
        assert frequencies.max() <= 0.5


def test_poles_need_neither_order_nor_single_times(rng):
    """Observations at tied times in any order, some without a time; the spectrum in parts is the spectrum at once."""
    times = np.repeat(np.arange(40.0), 3)
    values = np.cos(2 * np.pi * 0.13 * times)
    shuffled = rng.permutation(np.append(times, np.nan))
    poles = fit_poles([(shuffled, np.cos(2 * np.pi * 0.13 * shuffled))], 1, 0.0)
    np.testing.assert_allclose(poles, [[0.13], [0.0]], atol=1e-9)
    frequencies = np.linspace(0.01, 0.5, 40_000)  # more than two parts
    some = spectrum(times, values, frequencies[::97], decay=0.1)
    np.testing.assert_allclose(spectrum(times, values, frequencies, decay=0.1)[::97], some, rtol=1e-9)


def test_learned_poles_move_towards_the_data(window):
    """A basis started beside the truth is drawn there by gradients through the regression."""
    times, _ = window
    values = np.cos(2 * np.pi * 0.137 * times)
    basis = DampedSinusoid(1, [0.135], [0.002], span=(-60, 0))
    basis(times)
    optimizer = keras.optimizers.Adam(0.02)
    optimizer.build(basis.trainable_variables)
    import tensorflow as tf

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            design = basis(times)
            theta = tf.linalg.lstsq(design, values[:, None], l2_regularizer=1e-6)
            loss = tf.reduce_mean((values[:, None] - design @ theta) ** 2)
        optimizer.apply(tape.gradient(loss, [basis.rates.value]), [basis.rates])
        return loss

    first = step().numpy()
    for _ in range(200):
        last = step().numpy()
    assert last < 1e-3 * first
    assert basis._poles("float64")[0].numpy() == pytest.approx(0.137, abs=2e-4)


@pytest.mark.parametrize(
    ("kind", "name"), [("mexican_hat", "mexh"), ("morlet", "morl"), ("db4", "db4"), ("haar", "haar")]
)
def test_wavelets_match_pywavelets(kind, name):
    discrete = name in pywt.wavelist(kind="discrete")
    *_, psi, x = (
        pywt.Wavelet(name).wavefun(level=10) if discrete else pywt.ContinuousWavelet(name).wavefun(level=10)
    )
    basis = Wavelet(kind, [2.0], span=(-1, 1), spacing=3.0)
    for k in range(basis.num_terms):
        values = basis(2.0 * x + basis._shift[k]).numpy()[:, k] * np.sqrt(2)
        inside = np.ones(len(x), bool) if kind != "haar" else (np.abs(x - np.round(2 * x) / 2) > 2e-3)
        np.testing.assert_allclose(values[inside], psi[inside], atol=1e-6 if kind != "db4" else 1e-4)


def test_wavelets_of_one_scale_are_orthonormal():
    for kind in ("haar", "db4"):
        basis = Wavelet(kind, [1.0, 2.0], span=(0, 4))
        grid = np.linspace(-20, 20, 40 * 256 + 1)
        gram = (lambda v: v.T @ v)(basis(grid).numpy()) / 256
        np.testing.assert_allclose(gram, np.eye(basis.num_terms), atol=1e-2)


@pytest.mark.parametrize("name", ["mexican_hat", "morlet", "radial", "radial_learnable", "laguerre"])
@pytest.mark.parametrize("order", [0, 3, 6])
def test_nothing_overflows_far_away(name, order):
    values = BASES[name]().derivative(np.array([-1e30, -1e8, 1e8, 1e30], "float32"), order).numpy()
    assert np.isfinite(values).all() and (name == "laguerre" or not values.any())


def test_random_waves_approach_their_kernel():
    times = np.linspace(-3, 3, 41)
    exact = np.mean([np.exp(-((times[:, None] - times) ** 2) / (2 * s**2)) for s in (0.7, 2.0)], axis=0)
    errors = []
    for terms in (64, 6400):
        seeds = range(8)
        draws = [RandomFourier(terms, [0.7, 2.0], seed=s)(times).numpy() for s in seeds]
        errors.append(np.sqrt(np.mean([(d @ d.T - exact) ** 2 for d in draws])))
    assert errors[1] < 0.02 and 5 < errors[0] / errors[1] < 20  # 1 / sqrt(K): a tenth


def test_bells():
    x = (TIMES[:, None] - np.array([-8, -2, 1])) / np.array([3.0, 2.0, 1.5])
    np.testing.assert_allclose(BASES["radial"]()(TIMES), np.exp(-(x**2) / 2), atol=1e-12)


def test_implicit_functions_start_as_the_source_says():
    basis = Implicit(64, units=256, num_layers=3, span=(-1, 1))
    hidden = (np.linspace(-1, 1, 2001))[:, None]
    for i, (kernel, bias) in enumerate(basis.layers if basis(TIMES / 10) is not None else ()):
        hidden = hidden @ kernel.numpy() + bias.numpy()
        if 0 < i < 3:
            assert 0.7 < hidden.std() < 1.3  # inputs of the sines: variance 1
        hidden = np.sin(hidden) if i < 3 else hidden
    np.testing.assert_allclose(basis(np.linspace(-1, 1, 2001)), hidden, atol=1e-9)


@pytest.mark.parametrize(("dtype", "terms", "tolerance"), [("float64", 120, 1e-11), ("float32", 32, 2e-5)])
def test_many_laguerre_functions(dtype, terms, tolerance):
    """The last of them reach back to an age of about 2 K / p."""
    age = np.linspace(0, 3 * terms, 2001)
    k = np.arange(terms)
    with np.errstate(all="ignore"):
        expected = np.sqrt(2) * np.exp(-age)[:, None] * eval_laguerre(k, 2 * age[:, None])
    np.testing.assert_allclose(Laguerre(terms, decay=1.0)((-age).astype(dtype)), expected, atol=tolerance)


def test_laguerre_functions_match_scipy_and_are_orthonormal():
    basis = Laguerre(6, decay=0.4)
    age = -TIMES[TIMES <= 0]
    expected = [np.sqrt(0.8) * np.exp(-0.4 * age) * eval_laguerre(k, 0.8 * age) for k in range(6)]
    np.testing.assert_allclose(basis(-age), np.stack(expected, axis=1), atol=1e-12)
    gram = quad_vec(
        lambda s: (lambda v: np.outer(v, v))(basis(np.array([-s])).numpy()[0]), 0, 150, epsabs=1e-6
    )[0]
    np.testing.assert_allclose(gram, np.eye(6), atol=1e-4)
    future = np.array([1e-9, 2.0, 7.0])
    at_origin, slope = basis(np.zeros(1)).numpy(), basis.derivative(np.zeros(1)).numpy()
    np.testing.assert_allclose(basis(future), at_origin + slope * future[:, None], atol=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DampedSinusoid(0), "num_atoms=0"),
        (lambda: DampedSinusoid(2, frequencies=[1.0]), r"frequencies=\[1.0\]"),
        (lambda: DampedSinusoid(1, decays=[-1.0]), r"decays=\[-1.0\]"),
        (lambda: DampedSinusoid(1, span=(1, 1)), "span"),
        (lambda: fit_poles([([0, 1, 2], [1.0, 2.0, 1.0])], 1, 0.0), "not enough|enough observations"),
        (lambda: Wavelet("daisy", [1.0]), "kind='daisy'"),
        (lambda: Wavelet("haar", [0.0]), "scales=0.0"),
        (lambda: Wavelet("haar", []), r"scales=\[\]"),
        (lambda: Wavelet("haar", [1.0], span=(0, np.inf)), "inf"),
        (lambda: Wavelet("haar", [1.0], spacing=-1.0), "spacing=-1.0"),
        (lambda: Wavelet("haar", [1.0], learnable=True), "learnable=True"),
        (lambda: RadialBasis([], 1.0), r"centers=\[\]"),
        (lambda: RadialBasis([np.nan], 1.0), r"centers=\[nan\]"),
        (lambda: RadialBasis([0, 1], [1.0]), r"width=\[1.0\]"),
        (lambda: RandomFourier(3, [1.0]), "num_terms=3"),
        (lambda: RandomFourier(4, []), r"scales=\[\]"),
        (lambda: Implicit(2, units=0), "units=0"),
        (lambda: Implicit(2, span=(0, np.inf)), "inf"),
        (lambda: Laguerre(2, decay=0.0), "decay=0.0"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
