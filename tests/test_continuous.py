"""Continuous matching pursuit and the matrix pencil on known modes."""

import numpy as np
import pytest
from scipy.optimize import least_squares

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
