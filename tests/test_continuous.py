"""Continuous matching pursuit and the matrix pencil on known modes."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from nbeats_basis.bases.poles import cells, collect, half_rate, spectrum
from nbeats_basis.sparse import ContinuousOMP, matrix_pencil

DECAYS, FREQUENCIES = np.array([0.02, 0.05, 0.0]), np.array([0.11, 0.13, 0.31])
SIZES, PHASES = np.array([1.0, 0.8, 0.5]), np.array([0.3, -1.0, 2.0])


def truth(times):
    waves = np.exp(-np.outer(DECAYS, times)) * np.cos(
        2 * np.pi * np.outer(FREQUENCIES, times) + PHASES[:, None]
    )
    return SIZES @ waves


def extrapolation_error(pursuit, times, values):
    later = np.linspace(63, 90, 100)
    found = pursuit.fit(times, values).predict(later)
    return np.linalg.norm(found - truth(later)) / np.linalg.norm(truth(later))


def irregular(seed):
    return np.sort(np.random.default_rng(seed).uniform(0, 63, 64))


def test_three_modes_at_irregular_times_extrapolate_and_the_grid_alone_does_not():
    times = irregular(0)
    pursuit = ContinuousOMP(3)
    assert extrapolation_error(pursuit, times, truth(times)) < 1e-8
    order = np.argsort(pursuit.frequencies_)
    np.testing.assert_allclose(pursuit.frequencies_[order], FREQUENCIES, atol=1e-9)
    np.testing.assert_allclose(pursuit.decays_[order], DECAYS, atol=1e-9)
    assert extrapolation_error(ContinuousOMP(3, refined=False), times, truth(times)) > 0.1


def test_in_noise_of_20_decibels_it_is_as_good_as_least_squares_from_the_truth():
    errors, limits = [], []
    for seed in range(40):
        times, rng = irregular(seed), np.random.default_rng(100 + seed)
        values = truth(times)
        values = values + values.std() / 10 * rng.normal(size=64)
        errors.append(extrapolation_error(ContinuousOMP(3), times, values))
        limits.append(least_squares_error(times, values))
    assert np.median(errors) <= 0.12 and np.median(errors) <= 1.05 * np.median(limits), (errors, limits)


def least_squares_error(times, values):
    """Return the error of SciPy's least squares in all parameters, started at the true ones."""

    def model(p, times):
        waves = np.exp(-np.outer(np.abs(p[:3]), times)) * np.cos(
            2 * np.pi * np.outer(p[3:6], times) + p[6:9, None]
        )
        return p[9:12] @ waves + p[12]

    start = np.concatenate([DECAYS + 1e-4, FREQUENCIES, PHASES, SIZES, [0.0]])
    found = least_squares(lambda p: model(p, times) - values, start).x
    later = np.linspace(63, 90, 100)
    return np.linalg.norm(model(found, later) - truth(later)) / np.linalg.norm(truth(later))


def test_the_number_of_modes_is_found_and_noise_stops(rng):
    times = np.sort(rng.uniform(0, 63, 200))
    values = truth(times) + 0.05 * rng.normal(size=200)
    assert len(ContinuousOMP(6).fit(times, values).frequencies_) == 3
    pursuit = ContinuousOMP(6, noise=0.06).fit(times, values)
    assert len(pursuit.frequencies_) == 3 and 0.04 < pursuit.noise_ < 0.06


def test_the_pencil_is_exact_on_a_grid_and_good_in_noise(rng):
    times = np.arange(64.0)
    frequencies, decays = matrix_pencil(5 + truth(times), 3)
    order = np.argsort(frequencies)
    np.testing.assert_allclose(frequencies[order], FREQUENCIES, atol=1e-9)
    np.testing.assert_allclose(decays[order], DECAYS, atol=1e-8)
    half = matrix_pencil(truth(times), 3, step=0.5)
    np.testing.assert_allclose(np.sort(half[0]), 2 * FREQUENCIES, atol=1e-9)
    assert extrapolation_error(ContinuousOMP(3), times, truth(times)) < 1e-8


def test_order_masks_and_shifts_do_not_matter(rng):
    times, values = irregular(3), truth(irregular(3))
    plain = ContinuousOMP(3).fit(times, values)
    mixed = rng.permutation(80)
    more = np.concatenate([times, rng.uniform(0, 63, 16)])[mixed]
    spoiled = np.concatenate([values, np.full(16, 1e6)])[mixed]
    mask = np.concatenate([np.ones(64), np.zeros(16)])[mixed]
    later = np.linspace(0, 80, 7)
    np.testing.assert_allclose(
        ContinuousOMP(3).fit(more, spoiled, mask).predict(later), plain.predict(later), atol=1e-8
    )
    moved = ContinuousOMP(3).fit(times + 1e6, values)
    np.testing.assert_allclose(moved.predict(later + 1e6), plain.predict(later), atol=1e-6)
    np.testing.assert_allclose(plain.level_ + plain.components(later).sum(axis=0), plain.predict(later))
    with pytest.raises(ValueError, match="enough observations"):
        ContinuousOMP(3).fit(times[:7], values[:7])


@pytest.mark.parametrize("offset", [0.3, -0.2j, 0.2 - 0.3j])
def test_a_cell_points_to_the_pole_inside_it(rng, offset):
    times = np.sort(rng.uniform(0, 60, 80))
    length = np.ptp(times)
    pole = 2j * np.pi * 6 / length - 1.5 / length  # of the grid
    true = pole + 2 * offset / length  # |true - pole| T / 2 < 0.39
    values = 2 + (np.exp(true * times) * np.exp(0.7j)).real
    data, _ = collect([(times, values), (times, 3 * values - 1)], 1, 0.0)
    power, found = cells(data, np.zeros((0, 2)), np.array([6 / length]), 1.5 / length, length)
    error = abs(2j * np.pi * found[0, 0] - found[0, 1] - 2 * offset / length)
    assert error < 0.05 * 2 * 0.39 / length  # of half a cell's width
    assert power[0] > 0.999 * len(data) * len(times)  # of all squares, values being scaled to variance 1


def test_unrefined_choices_lie_between_the_points_of_the_grid():
    distances = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        times = np.sort(rng.uniform(0, 63, 64))
        frequency, decay = rng.uniform(0.05, 0.4), rng.uniform(0, 0.05)
        values = np.exp(-decay * times) * np.cos(2 * np.pi * frequency * times + rng.uniform(0, 6))
        values += values.std() / 10 * rng.normal(size=64)
        pursuit = ContinuousOMP(1, noise=1e-9, refined=False).fit(times, values)
        distances.append(abs(pursuit.frequencies_[0] - frequency) * np.ptp(times))  # the grid's step is 1
    assert np.median(distances) < 0.05 and np.max(distances) < 0.25, distances


def test_noise_is_a_constant_and_a_constant_is_one(rng):
    noise = [len(ContinuousOMP(4).fit(np.arange(60.0), rng.normal(size=60)).frequencies_) for _ in range(20)]
    assert np.mean(np.array(noise) == 0) >= 0.9
    pursuit = ContinuousOMP(4).fit([0, 1, 2], [5.0, 5.0, 5.0])
    np.testing.assert_array_equal(pursuit.predict([7.0, 8.0]), [5.0, 5.0])
    mean = ContinuousOMP(0).fit(np.arange(10.0), np.arange(10.0))
    assert mean.predict([20.0]) == pytest.approx(4.5)
    assert mean.deviation(3.0) == pytest.approx(np.std(np.arange(10), ddof=1) * np.sqrt(1.1))
    with pytest.raises(ValueError, match="No value is observed"):
        ContinuousOMP().fit([1.0, 2.0], [np.nan, np.nan])


def test_many_series_are_each_fitted_as_one(rng, capsys):
    times = np.stack([irregular(seed) for seed in range(4)])
    values = np.stack([truth(t) for t in times]) + 0.05 * rng.normal(size=(4, 64))
    mask = rng.uniform(size=(4, 64)) < 0.9
    many = ContinuousOMP(3).fit_many(times, values, mask)
    ragged = ContinuousOMP(3).fit_many(
        [t[m] for t, m in zip(times, mask, strict=True)], [v[m] for v, m in zip(values, mask, strict=True)]
    )
    shared = ContinuousOMP(2).fit_many(times[0], values[:1].repeat(2, axis=0))
    for i, pursuit in enumerate(many):
        alone = ContinuousOMP(3).fit(times[i], values[i], mask[i])
        np.testing.assert_array_equal(pursuit.predict(np.arange(90.0)), alone.predict(np.arange(90.0)))
        np.testing.assert_array_equal(ragged[i].frequencies_, pursuit.frequencies_)
    np.testing.assert_array_equal(shared[0].frequencies_, shared[1].frequencies_)
    assert capsys.readouterr().out == ""
    ContinuousOMP(1).fit_many(times, values, verbose=1)
    assert "4/4" in capsys.readouterr().out
    with pytest.raises(ValueError, match="Series 1: No"):
        ContinuousOMP(3).fit_many(times[:2], np.stack([values[0], np.full(64, np.nan)]))
    with pytest.raises(ValueError, match="as many series"):
        ContinuousOMP(3).fit_many(times[:2], values)


def test_deviations_are_those_of_the_errors_made():
    later = np.linspace(0, 80, 41)
    errors, deviations = [], []
    for seed in range(60):
        times, rng = irregular(seed), np.random.default_rng(seed)
        pursuit = ContinuousOMP(3, noise=0.12).fit(times, truth(times) + 0.1 * rng.normal(size=64))
        errors.append(pursuit.predict(later) - truth(later) + 0.1 * rng.normal(size=41))
        deviations.append(pursuit.deviation(later))
    ratio = np.abs(errors) / np.array(deviations)
    assert 0.75 < np.mean(ratio < 1.2816) < 0.87, np.mean(ratio < 1.2816)  # 80 %
    size = np.sqrt(np.median(np.square(errors), axis=0)) / 0.6745
    np.testing.assert_allclose(np.median(deviations, axis=0).mean(), size.mean(), rtol=0.15)


def test_a_pursuit_starts_a_basis():
    times = irregular(0)
    pursuit = ContinuousOMP(3).fit(times, truth(times))
    basis = pursuit.to_basis(63.0)
    inside, later = basis(times).numpy(), np.linspace(63, 90, 50)
    codes = np.linalg.lstsq(inside, truth(times), rcond=None)[0]
    np.testing.assert_allclose(basis(later).numpy() @ codes, truth(later), atol=1e-5)  # weights are float32
    assert basis.span == (pursuit.start_, 63.0) and len(basis.trainable_variables) == 1


@pytest.mark.parametrize("spread", [0.0, 0.4])
def test_no_frequency_is_above_the_highest(rng, spread):
    """A faster wave is not found, nor its alias: not by the grid, not by the pencil, not by refining."""
    times = np.arange(100.0) + rng.uniform(-spread, spread, 100)
    values = (
        0.5 * np.cos(2 * np.pi * 0.35 * times) + np.cos(2 * np.pi * 0.19 * times) + 0.1 * rng.normal(size=100)
    )
    found = ContinuousOMP(3, max_frequency=0.2).fit(times, values).frequencies_
    assert len(found) and (found <= 0.2).all()
    assert np.abs(found - 0.19).min() < 0.005
    free = ContinuousOMP(3).fit(times, values).frequencies_
    assert np.abs(free - 0.35).min() < 0.005


def test_what_alternates_is_at_half_the_rate_with_the_amplitude_it_has(rng):
    times = np.arange(60.0)
    pursuit = ContinuousOMP().fit(times, 5 + (-1) ** times + 0.01 * rng.normal(size=60))
    assert pursuit.frequencies_[0] == 0.5
    assert pursuit.amplitudes_.max() == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(pursuit.predict([60.0, 61.0]), [6, 4], atol=0.05)
    assert (pursuit.deviation([60.0, 60.5, 61.0]) < 0.1).all()


def test_bursts_do_not_ask_for_more_cells_than_observations_pay_for(rng):
    """Five readings within 40 s, once a day: their gap would be a rate of a grid of 168,000 frequencies."""
    times = (np.arange(40)[:, None] + np.arange(5) * 10 / 86400).ravel()
    data, length = collect([(times, rng.normal(size=200))], 1, 0.0)
    assert half_rate(data) * length == pytest.approx(4 * 200)
    regular, _ = collect([(np.arange(50.0), rng.normal(size=50))], 1, 0.0)
    assert half_rate(regular) == 0.5


def test_the_pencil_of_a_long_series_is_exact_in_windows(rng):
    times = np.arange(4000.0)
    values = np.cos(0.7 * times) * np.exp(-1e-3 * times) + 0.5 * np.cos(0.705 * times + 1)
    frequencies, decays = matrix_pencil(values, 2)
    np.testing.assert_allclose(np.sort(frequencies) * 2 * np.pi, [0.7, 0.705], atol=1e-7)
    np.testing.assert_allclose(np.sort(decays), [0, 1e-3], atol=1e-7)


def test_a_constant_has_no_spectrum_and_no_basis():
    np.testing.assert_array_equal(spectrum(np.arange(9.0), np.full(9, 3.0), [0.1, 0.2]), [0, 0])
    with pytest.raises(ValueError, match="no oscillation was found"):
        ContinuousOMP().fit(np.arange(9.0), np.full(9, 3.0)).to_basis(9.0)
