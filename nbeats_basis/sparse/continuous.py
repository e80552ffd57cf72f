"""Continuous matching pursuit: decaying oscillations of any frequency and decay, at any times, without training."""

from collections.abc import Sequence
from copy import copy
from itertools import chain

import keras
import numpy as np

from nbeats_basis.bases.damped import DampedSinusoid
from nbeats_basis.bases.poles import (
    ROUGH,
    collect,
    half_rate,
    linearise,
    oscillations,
    pursue,
    refine,
    slopes,
)
from nbeats_basis.checks import check_int, check_positive

_ROUNDING = 1e-9  # of equally spaced times and their rate
_EXACT = 1e-12  # a residual below this share of the values is rounding error
_PATIENCE = (
    2  # oscillations in a row that do not improve the information criterion, after which there are no more
)
_LINE = 4  # different times below which there is no line
_RANK = 1e-10  # of parameters, beside the most certain: those less certain are left out
_NEAR = 0.25  # cycles over the series by which a frequency misses half the rate of observation
_PENCIL = 512  # most values of a window of the pencil, for which time and memory are linear in the series


class ContinuousOMP:
    r"""A series as a constant or line and few decaying oscillations, A e^{-d (t - t0)} cos(2 pi f (t - t0) + phi) from its first time t0 on.

    Oscillations are chosen one by one by what they explain of the residual, from cells of frequencies and decays in which a
    Taylor basis stands for every oscillation; after each all frequencies and decays are refined together, amplitudes being
    solved for. On equally spaced times the matrix pencil is tried as well, and the better of the two refined. The number of
    oscillations is that of the least Bayesian information criterion, a constant included, or the fewest that leave no more
    than the noise.

    Args:
        num_atoms: most oscillations, 0 for a constant. Defaults to 8.
        noise: standard deviation of the noise to stop at, above 0; None for the information criterion. Defaults to None.
        max_frequency: highest frequency; None for half the rate of observation, by the median gap, at most 4 N over the span
            where observations come in bursts. Defaults to None.
        refined: False to leave frequencies and decays as first chosen. Defaults to True.
        trend: True for a straight line instead of the constant, where there are at least 4 times. Defaults to False.

    Attributes:
        frequencies_, decays_: `(k,)`, per unit of time.
        amplitudes_, phases_: `(k,)`, A at the first time, and phi in radians.
        level_, slope_: the constant, or the line's value at the first time; what it rises in a unit of time.
        noise_: standard deviation of the residual.

    Raises:
        ValueError: numbers out of range.

    Example:
        >>> import numpy as np, nbeats_basis as nb
        >>> times = np.sort(np.random.default_rng(0).uniform(0, 60, 64))
        >>> pursuit = nb.sparse.ContinuousOMP(2).fit(times, 3 + np.cos(2 * np.pi * 0.11 * times) * np.exp(-0.02 * times))
        >>> pursuit.frequencies_.round(6), pursuit.decays_.round(6)
        (array([0.11]), array([0.02]))

    Source: Knudson et al. 2014 (continuous OMP, cells); Golub & Pereyra 2003 (variable projection).
    """

    def __init__(
        self,
        num_atoms: int = 8,
        noise: float | None = None,
        max_frequency: float | None = None,
        refined: bool = True,
        trend: bool = False,
    ):
        self.num_atoms = check_int("num_atoms", num_atoms, 0)
        self.noise = noise if noise is None else check_positive("noise", noise)
        self.max_frequency = max_frequency
        if max_frequency is not None:
            check_positive("max_frequency", max_frequency)
        self.refined = bool(refined)
        self.trend = bool(trend)

    def fit(self, times, values, mask=None) -> "ContinuousOMP":
        """Find the oscillations; return self.

        Args:
            times: `(N,)`, in any order.
            values: `(N,)`, NaN where not observed.
            mask: `(N,)`, 1 where observed; None for all. Defaults to None.

        Raises:
            ValueError: no more different times of observation than 2 `num_atoms` + 1, or one more with a trend, unless all values
                are equal.
        """
        times, values = self._observed(times, values, mask)
        poles = np.zeros((0, 2))
        if np.ptp(values) > 0:
            data = collect([(times, values)], self.num_atoms, self.start_, self._background)
            poles = self._choose(*data, values.std())
        self._keep(poles, times, values)
        return self

    def solve(self, times, values, frequencies, decays, mask=None) -> "ContinuousOMP":
        """Fit everything but frequencies and decays, which are given; return self.

        Args:
            times: as for `fit`.
            values: as for `fit`.
            frequencies: `(k,)`.
            decays: `(k,)`.
            mask: as for `fit`. Defaults to None.

        Raises:
            ValueError: no value is observed.
        """
        times, values = self._observed(times, values, mask)
        self._keep(np.stack([frequencies, decays], axis=1).astype("float64"), times, values)
        return self

    def _observed(self, times, values, mask) -> tuple[np.ndarray, np.ndarray]:
        """Return what is observed in the order of time; the first time, the span and whether there is a line are kept."""
        times, values = np.asarray(times, "float64"), np.asarray(values, "float64")
        keep = np.isfinite(values) & np.isfinite(times)
        keep &= True if mask is None else np.asarray(mask) > 0
        order = np.argsort(times[keep], kind="stable")
        times, values = times[keep][order], values[keep][order]
        if not len(times):
            raise ValueError(
                "No value is observed. Received: none that is finite and of mask 1; leave out the series."
            )
        self.start_, self._span = float(times[0]), float(np.ptp(times)) or 1.0
        self._rises = self.trend and len(np.unique(times)) >= _LINE
        return times, values

    def _background(self, times) -> np.ndarray:
        """Return the constant or the line's functions at times, `(N, 1)` or `(N, 2)`."""
        since = (times - self.start_) / self._span
        return np.stack([np.ones_like(since), since][: 1 + self._rises], axis=1)

    def fit_many(
        self, times, values, mask=None, num_atoms: Sequence[int] | None = None, verbose: int = 0
    ) -> list["ContinuousOMP"]:
        """Return a fitted pursuit of the same arguments for each series; numbers of oscillations and all else are its own.

        The time is the sum of the fits': on one core a third of a second for 200 values and 8 oscillations. Where several
        processes share the cores, OMP_NUM_THREADS=1 spares its small matrices the wait for threads.

        Args:
            times: list of B arrays `(N,)`, or `(B, N)`, or `(N,)` for all.
            values: list of B arrays `(N,)`, or `(B, N)`, NaN where not observed.
            mask: as `values`, 1 where observed; None for all. Defaults to None.
            num_atoms: most oscillations of each series; None for those of the constructor. Defaults to None.
            verbose: 1 for a progress bar over series. Defaults to 0.

        Raises:
            ValueError: a series cannot be fitted; the message says which.
        """
        count = len(values)
        if count and np.ndim(times[0]) == 0:
            times = [times] * count
        for name, given in (("times", times), ("mask", mask), ("num_atoms", num_atoms)):
            if given is not None and len(given) != count:
                raise ValueError(
                    f"`{name}` must be of as many series as `values`. Received: {len(given)} and {count}"
                )
        bar, pursuits = keras.utils.Progbar(count, verbose=verbose, unit_name="series"), []
        for i in range(count):
            pursuit = copy(self)
            if num_atoms is not None:
                pursuit.num_atoms = check_int("num_atoms", int(num_atoms[i]), 0)
            try:
                pursuits.append(pursuit.fit(times[i], values[i], mask if mask is None else mask[i]))
            except ValueError as error:
                raise ValueError(f"Series {i}: {error}") from error
            bar.update(i + 1)
        return pursuits

    def _choose(self, data, length, scale):
        """Return the poles of the least information criterion, or the fewest that leave the noise; a constant may be best."""
        best, since, highest = (np.inf, None), 0, self.max_frequency or half_rate(data)
        for poles in chain(
            [np.zeros((0, 2))],
            pursue(data, length, self.num_atoms, highest, self.refined),
        ):
            poles = self._better(data, length, poles, highest)
            left, score = _criterion(data, poles)
            if self.noise is not None and left * scale**2 <= self.noise**2:
                best = (-np.inf, poles)
                break
            since = 0 if score < best[0] else since + 1
            best = min(best, (score, poles), key=lambda pair: pair[0])
            if self.noise is None and since == _PATIENCE:
                break
        if not (self.refined and len(best[1])):
            return best[1]
        return _alternating(data, length, refine(data, best[1], length, highest), highest)

    def _better(self, data, length, poles, highest):
        """Return the poles, or those of the matrix pencil where times are equally spaced and it explains more."""
        step, (_, values, columns) = _step(data, length), data[0]
        if not self.refined or not len(poles) or not step:
            return poles
        line = np.linalg.lstsq(columns, values, rcond=None)[0][1:]
        pencil = matrix_pencil(values - columns[:, 1:] @ line, len(poles), step)
        pencil = np.stack(pencil, axis=-1)
        if len(pencil) != len(poles) or pencil[:, 0].max() > highest:
            return poles
        pencil = refine(data, pencil, length, highest, ROUGH)
        return min(poles, pencil, key=lambda p: np.sum(linearise(data, p)[0] ** 2))

    def _keep(self, poles, times, values):
        """Solve for amplitudes and set the attributes."""
        self.frequencies_, self.decays_ = poles.T
        background = self._background(times)
        design = np.concatenate([background, oscillations(times - self.start_, poles)], axis=1)
        coefficients = np.linalg.lstsq(design, values, rcond=_RANK)[0]
        line, waves = np.split(coefficients, [background.shape[1]])
        a, b = np.split(waves, 2)
        self.amplitudes_, self.phases_ = np.hypot(a, b), np.arctan2(-b, a)
        self.level_, self.slope_ = float(line[0]), float(line[1:].sum() / self._span)
        residual = values - design @ coefficients
        self.noise_ = float(np.std(residual))
        # of all parameters, by the linear model around them
        jacobian = self._jacobian(times)
        freedom = max(1, len(times) - jacobian.shape[1])
        scale = self._sizes(jacobian, background.shape[1])
        _, sizes, axes = np.linalg.svd(jacobian / scale, full_matrices=False)
        kept = sizes > _RANK * sizes[0]
        self._unit = (axes[kept] / sizes[kept, None] / scale).T
        self._deviation = np.sqrt(residual @ residual / freedom)

    @staticmethod
    def _sizes(jacobian, count: int) -> np.ndarray:
        """Return what each column is measured by: an oscillation's two by both, so that one that is rounding error stays small.

        Args:
            jacobian: of `_jacobian`.
            count: columns of the background.
        """
        norms = np.linalg.norm(jacobian, axis=0) + 1e-300
        waves, slopes = np.split(norms[count:], 2)
        slopes = slopes.reshape(-1, 2) / (2 * np.pi, 1)
        waves = np.tile(np.hypot(*np.split(waves, 2)), 2)
        slopes = np.hypot(*slopes.T)[:, None] * (2 * np.pi, 1)
        return np.concatenate([norms[:count], waves, slopes.ravel()])

    def _jacobian(self, times):
        """Return the derivatives of `predict` in level, slope, amplitudes, frequencies and decays, `(N, 1 + 4 k)` or one more."""
        since, poles = times - self.start_, np.stack([self.frequencies_, self.decays_], axis=1)
        atoms = oscillations(since, poles)
        coefficients = np.concatenate(
            [self.amplitudes_ * np.cos(self.phases_), -self.amplitudes_ * np.sin(self.phases_)]
        )
        return np.concatenate([self._background(times), atoms, slopes(since, atoms, coefficients)], axis=1)

    def components(self, times) -> np.ndarray:
        """Return each oscillation, `(k, ...)`.

        Args:
            times: `(...)`, any.
        """
        since = np.asarray(times, "float64")[None] - self.start_
        shape = (-1, *[1] * (since.ndim - 1))
        frequency, decay, size, phase = (
            x.reshape(shape) for x in (self.frequencies_, self.decays_, self.amplitudes_, self.phases_)
        )
        envelope = size * np.exp(-decay * np.maximum(since, 0))
        return envelope * np.cos(2 * np.pi * frequency * since + phase)

    def predict(self, times) -> np.ndarray:
        """Return the constant or line and all oscillations at any times, `(...)`.

        Args:
            times: `(...)`.
        """
        since = np.asarray(times, "float64") - self.start_
        return self.level_ + self.slope_ * since + self.components(times).sum(axis=0)

    def deviation(self, times) -> np.ndarray:
        """Return the standard deviation of observations at any times around `predict`, `(...)`: of noise and of all parameters.

        sigma sqrt(1 + j' (J'J)^-1 j), J being the derivatives in level, slope, amplitudes, frequencies and decays at the times fitted,
        j those at the time asked, and sigma^2 the sum of squares left over N less their number.

        Args:
            times: `(...)`, any.

        Source: Seber & Wild 1989, chapter 5 (linear approximation).
        """
        times = np.asarray(times, "float64")
        spread = self._jacobian(times.ravel()) @ self._unit
        return self._deviation * np.sqrt(1 + (spread**2).sum(axis=1)).reshape(times.shape)

    def to_basis(self, end: float, learnable: bool = True) -> DampedSinusoid:
        """Return the oscillations as a basis that starts with the series.

        Args:
            end: of the basis' span, after the first time.
            learnable: True to go on learning frequencies and decays. Defaults to True.

        Raises:
            ValueError: the series is without oscillations.
        """
        if not len(self.frequencies_):
            raise ValueError("no oscillation was found in the series: there is no basis of them.")
        return DampedSinusoid(
            len(self.frequencies_), self.frequencies_, self.decays_, (self.start_, end), learnable
        )


def _step(data, length) -> float:
    """Return the time between equally spaced times, 0 for others."""
    steps = np.diff(data[0][0])
    return steps.mean() if np.ptp(steps) <= _ROUNDING * length else 0.0


def _alternating(data, length, poles, highest):
    """Return the poles, of equally spaced times those next to half their rate at it, where the criterion is no worse.

    There a sine is 0 and no parameter. Next to it, it is next to 0, and noise decides its amplitude.
    """
    near = (highest - poles[:, 0]) * length < _NEAR
    if abs(highest * _step(data, length) - 0.5) > _ROUNDING or not near.any():
        return poles
    moved = np.stack([np.where(near, highest, poles[:, 0]), poles[:, 1]], axis=1)
    moved = refine(data, moved, length, highest)
    saved = 2 * near.sum() * np.log(len(data[0][0]))
    return moved if _criterion(data, moved)[1] - saved <= _criterion(data, poles)[1] else poles


def _criterion(data, poles) -> tuple[float, float]:
    """Return the mean square left and the Bayesian information criterion."""
    residual = linearise(data, poles)[0]
    left, count = np.mean(residual**2), len(residual)
    parameters = data[0][2].shape[1] + 4 * len(poles)
    return left, count * np.log(left + _EXACT**2) + parameters * np.log(count)


def matrix_pencil(values, num_atoms: int, step: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return frequencies and decays, at least 0, of oscillations beside a constant, at most `num_atoms` of each.

    Args:
        values: `(N,)` at equally spaced times.
        num_atoms: number of oscillations, at most (N - 4) / 4.
        step: time between values, above 0. Defaults to 1.0.

    Source: Hua & Sarkar 1990.
    """
    values = np.asarray(values, "float64")
    rank = 2 * check_int("num_atoms", num_atoms) + 1
    window = min(len(values) // 2, max(_PENCIL, 2 * rank))
    hankel = np.lib.stride_tricks.sliding_window_view(values, window)
    right = np.linalg.svd(hankel, full_matrices=False)[2][:rank].T
    roots = np.linalg.eigvals(np.linalg.lstsq(right[:-1], right[1:], rcond=None)[0])
    roots = roots[roots.imag > 1e-9]
    order = np.argsort(-np.abs(roots))[:num_atoms]
    logs = np.log(roots[order]) / step
    return np.abs(logs.imag) / (2 * np.pi), np.maximum(-logs.real, 0)
