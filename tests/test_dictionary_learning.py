"""Dictionary learning: planted atoms, scikit-learn's objective, updates by NumPy, and poles learned by gradient."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import DictionaryLearning, MiniBatchDictionaryLearning

import nbeats_basis as nb
from nbeats_basis.sparse import L1, ElasticNet, fit_dictionary, lasso, learn_dictionary, solve
from nbeats_basis.sparse.learning import neural_step, objective, update_atoms


def planted(rng, signals, length, atoms, used, low, high, noise=0.0):
    """Return a dictionary of Gaussian atoms and signals of few of them."""
    dictionary = rng.normal(size=(length, atoms))
    dictionary /= np.linalg.norm(dictionary, axis=0)
    codes = np.zeros((signals, atoms))
    for code in codes:
        chosen = rng.choice(atoms, used, replace=False)
        code[chosen] = rng.uniform(low, high, used) * rng.choice([-1, 1], used)
    values = codes @ dictionary.T
    return dictionary, values + noise * rng.normal(size=values.shape)


def agreement(dictionary, found):
    """Return the correlation of each atom with the one that stands for it."""
    found = found / np.linalg.norm(found, axis=0)
    correlation = np.abs(dictionary.T @ found)
    return correlation[linear_sum_assignment(-correlation)]


def mean_objective(dictionary, values, strength, mask=None):
    """Return the objective at the best codes."""
    codes = solve(dictionary, values, L1(strength), mask).codes
    return objective(tf.constant(dictionary), values, codes, L1(strength), mask).numpy().mean()


def test_online_finds_planted_atoms_and_a_lower_objective_than_scikit_learn(rng):
    truth, values = planted(rng, 1500, 20, 30, 3, 0.5, 1.5, noise=0.02)
    found, history = learn_dictionary(values, 30, 0.1)
    matched = agreement(truth, found)
    assert np.mean(matched > 0.99) >= 0.9 and np.mean(matched > 0.95) >= 0.9, np.sort(matched)
    assert history.shape == (20,) and (np.diff(history) < 0.01 * history[:-1]).all()
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), 1, atol=1e-9)
    ours, settings = (
        mean_objective(found, values, 0.1),
        {"alpha": 0.1, "random_state": 0, "fit_algorithm": "cd"},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batch = DictionaryLearning(30, max_iter=20, **settings).fit(values)
        mini = MiniBatchDictionaryLearning(
            30, max_iter=20, batch_size=256, tol=0, max_no_improvement=None, **settings
        ).fit(values)
    for other in (batch, mini):
        theirs = mean_objective(other.components_.T.copy(), values, 0.1)
        assert ours <= 1.05 * theirs, (ours, theirs)


def test_online_is_no_worse_than_scikit_learn_on_real_series():
    series = [g.y.to_numpy() for _, g in nb.datasets.load("us_macro").groupby("unique_id")]
    windows = np.concatenate([np.lib.stride_tricks.sliding_window_view(y, 24)[::2] for y in series])
    windows = windows - windows.mean(axis=1, keepdims=True)
    windows /= windows.std(axis=1, keepdims=True)
    found, _ = learn_dictionary(windows, 20, 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = DictionaryLearning(20, alpha=0.5, max_iter=20, random_state=0, fit_algorithm="cd").fit(
            windows
        )
    theirs = mean_objective(other.components_.T.copy(), windows, 0.5)
    assert mean_objective(found, windows, 0.5) <= 1.05 * theirs


@pytest.mark.parametrize("masked", [False, True])
def test_one_online_update_by_numpy(rng, masked):
    codes, values = rng.normal(size=(50, 4)), rng.normal(size=(50, 6))
    mask = rng.uniform(size=(50, 6)) < 0.7 if masked else np.ones((50, 6))
    start = rng.normal(size=(6, 4)) / 3
    second = np.einsum("bl,bj,bk->ljk", mask, codes, codes)
    cross = (mask * values).T @ codes
    expected = start.copy()
    for j in range(4):
        curvature = max(second[i, j, j] for i in range(6))
        slope = [cross[i, j] - expected[i] @ second[i, :, j] for i in range(6)]
        atom = expected[:, j] + np.array(slope) / curvature
        expected[:, j] = atom / max(1, np.linalg.norm(atom))
    given = second if masked else second[:1]
    found = update_atoms(tf.constant(start), tf.constant(given), tf.constant(cross)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-12)

    def cost(dictionary):
        return (mask * (values - codes @ dictionary.T) ** 2).sum()

    assert cost(found) < cost(start)


def test_one_neural_update_by_numpy(rng):
    dictionary, values = planted(rng, 40, 12, 5, 2, 1, 2)
    codes, expected = values @ dictionary, dictionary.copy()
    codes[np.abs(codes) < 0.5] = 0
    left = values - codes @ dictionary.T
    for j in range(5):
        active = np.flatnonzero(codes[:, j])
        step = sum(left[i] * np.sign(codes[i, j]) for i in active) / np.abs(codes[:, j]).sum()
        expected[:, j] += 0.3 * step
        expected[:, j] /= np.linalg.norm(expected[:, j])
    found, got = neural_step(tf.constant(dictionary), tf.constant(values), np.float64(0.5), np.float64(0.3))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(got.numpy(), codes, atol=1e-12)


def test_neural_finds_incoherent_atoms_from_signals_and_nears_them_geometrically(rng):
    truth, values = planted(rng, 5000, 128, 128, 3, 1, 1.5)
    found, history = learn_dictionary(values, 128, 0.6, method="neural", epochs=30)
    assert agreement(truth, found).min() > 0.99
    assert history[-1] < 0.2 * history[0]
    atoms = tf.constant(truth + 0.6 * rng.normal(size=truth.shape) / np.sqrt(128))
    atoms, errors = atoms / tf.norm(atoms, axis=0), []
    for _ in range(4):
        errors.append(np.linalg.norm(atoms.numpy() - truth, axis=0).mean())
        atoms, _ = neural_step(atoms, tf.constant(values), np.float64(0.6), np.float64(0.5))
    ratio = np.array(errors[1:]) / errors[:-1]
    assert (ratio < 0.65).all() and errors[-1] < 0.1, errors  # to a floor of 0.05


def test_values_not_observed_are_not_read_and_atoms_are_found_all_the_same(rng):
    truth, values = planted(rng, 1500, 20, 24, 2, 0.5, 1.5)
    mask = rng.uniform(size=values.shape) < 0.75
    found, history = learn_dictionary(np.where(mask, values, np.nan), 24, 0.05, mask=mask, epochs=25)
    again, _ = learn_dictionary(np.where(mask, values, 1e6), 24, 0.05, mask=mask, epochs=25)
    np.testing.assert_array_equal(found, again)
    matched = agreement(truth, found)
    assert np.mean(matched > 0.99) >= 0.8 and np.mean(matched > 0.95) >= 0.8, np.sort(matched)
    filled, _ = learn_dictionary(np.where(mask, values, 0), 24, 0.05, epochs=25)
    assert mean_objective(found, values, 0.05) < 0.8 * mean_objective(filled, values, 0.05)
    plain = learn_dictionary(values, 24, epochs=2)[0]
    np.testing.assert_allclose(plain, learn_dictionary(values, 24, mask=values < 99, epochs=2)[0], atol=1e-9)


@pytest.mark.parametrize("method", ["online", "neural"])
def test_seeds_dead_atoms_and_types(rng, method, capsys):
    _, values = planted(rng, 300, 16, 12, 2, 0.8, 1.5)
    values[:, 8:] = 0
    start = np.eye(16)[:, 4:]  # the last eight atoms are orthogonal to all signals
    found, history = learn_dictionary(values, 12, 0.3, method, epochs=4, start=start, batch_size=64)
    assert (np.abs(values @ found).max(axis=0) > 0.3).all() and np.isfinite(history).all()
    again = learn_dictionary(values, 12, 0.3, method, epochs=4, start=start, batch_size=64)
    np.testing.assert_array_equal(found, again[0])
    other = learn_dictionary(values, 12, 0.3, method, epochs=4, start=start, batch_size=64, seed=1)
    assert np.abs(found - other[0]).max() > 1e-3
    assert capsys.readouterr().out == ""
    single, _ = learn_dictionary(values.astype("float32"), 12, 0.3, method, epochs=2, verbose=1)
    assert single.dtype == np.float32 and "2/2" in capsys.readouterr().out


def test_wrong_calls_say_so(rng):
    values = rng.normal(size=(30, 8))
    for error, wrong in {
        "method": {"method": "ksvd"},
        "at least `num_atoms`": {"num_atoms": 31},
        "strength": {"strength": 0},
        r"shape \(8, 3\)": {"start": np.ones((8, 3))},
        "finite where observed": {"values": np.where(values > 2, np.nan, values)},
        "for method=.online": {"method": "neural", "mask": values < 9},
        "`mask` must have the shape": {"mask": np.ones((30, 7))},
    }.items():
        with pytest.raises(ValueError, match=error):
            learn_dictionary(**{"values": values, "num_atoms": 6, **wrong})
    with pytest.raises(ValueError, match="weights to train"):
        fit_dictionary(nb.bases.Polynomial(2), np.arange(8.0), values, L1(0.1))
    with pytest.raises(ValueError, match=r"Received: shapes \(8,\) and \(8,\)"):
        fit_dictionary(far_basis(), np.arange(8.0), values[0], L1(0.1))


TRUE_FREQUENCIES, TRUE_DECAYS = np.array([0.11, 0.17, 0.31]), np.array([0.02, 0.05, 0.01])


def waves(rng, signals, points):
    """Return irregular times `(N, L)` of signals made of three poles, and their values."""
    times = np.sort(rng.uniform(0, 60, (signals, points)), axis=1)
    poles = (TRUE_FREQUENCIES, TRUE_DECAYS)
    exact = nb.bases.DampedSinusoid(3, *poles, span=(0, 60), learnable=False)
    codes = rng.uniform(0.5, 1.5, (signals, 6)) * rng.choice([-1, 1], (signals, 6))
    return times, np.einsum("nlk,nk->nl", exact(times).numpy(), codes)


def poles_of(basis):
    """Return frequencies and decays in order of frequency."""
    frequency, decay = np.asarray(basis.rates) / basis.length
    order = np.argsort(frequency)
    return np.abs(frequency[order]), decay[order]


def far_basis():
    return nb.bases.DampedSinusoid(
        3, TRUE_FREQUENCIES + [0.006, -0.006, 0.005], [0.03, 0.03, 0.03], span=(0, 60)
    )


def test_poles_are_learned_through_the_pursuit(rng):
    """Codes from some times, the loss at others: only the gradient through the codes knows how they change."""
    times, values = waves(rng, 24, 60)
    basis = far_basis()
    basis(times)
    seen, asked = slice(0, None, 2), slice(1, None, 2)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.02, 200))
    optimizer.build([basis.rates])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            design = basis(times)
            codes = lasso(design[:, seen], values[:, seen], L1(1e-3))
            left = values[:, asked] - tf.linalg.matvec(design[:, asked], codes)
            loss = tf.reduce_mean(left**2)
        optimizer.apply(tape.gradient(loss, [basis.rates.value]), [basis.rates])
        return loss

    losses = [float(step()) for _ in range(200)]
    assert losses[-1] < 1e-3 * losses[0], losses[::30]
    frequencies, decays = poles_of(basis)
    np.testing.assert_allclose(frequencies, TRUE_FREQUENCIES, atol=2e-4)
    np.testing.assert_allclose(decays, TRUE_DECAYS, atol=2e-3)


def test_a_basis_is_fitted_to_signals_at_irregular_times(rng, capsys):
    times, values = waves(rng, 24, 40)
    values = values + 0.05 * rng.normal(size=values.shape)
    mask = rng.uniform(size=values.shape) < 0.9
    spoiled = np.where(mask, values, 1e6)
    basis = far_basis()
    history = fit_dictionary(basis, times, spoiled, L1(0.02), mask, steps=200, learning_rate=0.02, verbose=1)
    assert history.shape == (200,) and history[-1] < 0.1 * history[0], history[::30]
    frequencies, decays = poles_of(basis)
    np.testing.assert_allclose(frequencies, TRUE_FREQUENCIES, atol=5e-4)
    np.testing.assert_allclose(decays, TRUE_DECAYS, atol=3e-3)
    assert "200/200" in capsys.readouterr().out


def test_the_gradient_for_codes_held_is_the_gradient_through_them(rng):
    times, values = waves(rng, 5, 30)
    basis, penalty = far_basis(), ElasticNet(0.1, 0.05)
    basis(times)
    gradients = []
    for code in (lasso, lambda *args: tf.stop_gradient(lasso(*args))):
        with tf.GradientTape() as tape:
            design = basis(times)
            codes = code(design, values, penalty, None, 1e-12)
            loss = tf.reduce_mean(objective(design, values, codes, penalty))
        gradients.append(tape.gradient(loss, basis.rates.value).numpy())
    np.testing.assert_allclose(*gradients, rtol=1e-4)


@pytest.mark.parametrize(
    "basis",
    [
        nb.bases.RadialBasis(np.linspace(0, 30, 8), 2.0, learnable=True),
        nb.bases.Fourier([11.0], harmonics=2, learnable=True) + nb.bases.Polynomial(0),
    ],
    ids=["radial", "fourier"],
)
def test_other_bases_are_fitted_too(rng, basis):
    times = np.linspace(0, 30, 40)
    bump = np.exp(-((times - np.linspace(0, 30, 8)[:, None]) ** 2) / 32)
    tone = np.stack([np.cos(2 * np.pi * times / 12), np.sin(2 * np.pi * times / 12)])
    atoms = bump if basis.num_terms == 8 else tone
    history = fit_dictionary(basis, times, rng.normal(size=(20, len(atoms))) @ atoms, L1(0.01), steps=100)
    assert history[-1] < 0.5 * history[0], history[::15]


@pytest.mark.parametrize("kind", ["wavelet", "spline"])
def test_scales_and_knots_are_learned(rng, kind):
    """Signals of moved wavelets, or of splines with moved knots: the dictionary goes there from the ones not moved."""

    def make(learnable):
        if kind == "wavelet":
            return nb.bases.Wavelet("mexican_hat", [3.0], span=(0, 60), spacing=4.0, learnable=learnable)
        return nb.bases.BSpline(knots=[0, 12, 24, 36, 48, 60], degree=3, learnable=learnable)

    times = np.sort(rng.uniform(0, 60, 120))
    true, start = make(True), make(True)
    true(times), start(times)
    weight = "changes" if kind == "wavelet" else "log_factor"
    moved = 0.25 * rng.normal(size=getattr(true, weight).shape)
    getattr(true, weight).assign(moved)
    atoms = true(times).numpy().T
    codes = rng.normal(size=(60, len(atoms))) * (rng.random((60, len(atoms))) < 0.6)
    history = fit_dictionary(start, times, codes @ atoms, L1(1e-3), steps=300, learning_rate=0.02)
    assert history[-1] < 0.3 * history[0]
    found = getattr(start, weight).numpy()
    if kind == "spline":  # factors on all distances have no common part
        found, moved = (x - x.mean() for x in (found, moved))
    assert np.abs(found - moved).mean() < 0.2 * np.abs(moved).mean()


def test_missing_values_without_a_mask_are_named(rng):
    values = rng.normal(size=(5, 8))
    values[2, 3] = np.nan
    with pytest.raises(ValueError, match="nan in signal 2 at point 3"):
        fit_dictionary(far_basis(), np.arange(8.0), values, L1(0.1))


def test_an_epoch_sees_every_signal(rng):
    """Only the last of 300 signals needs the last point; batches of 256 do not leave it out."""
    values = np.zeros((300, 6))
    values[:, :5] = rng.normal(size=(300, 5))
    values[-1] = [0, 0, 0, 0, 0, 9]
    dictionary, _ = learn_dictionary(values, 12, strength=0.5, epochs=3, seed=2, start=np.ones((6, 12)))
    assert np.abs(dictionary[5]).max() > 0.5
