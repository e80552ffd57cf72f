"""Continuous matching pursuit: decaying oscillations of any frequency and decay, at any times, without training."""

import numpy as np

from nbeats_basis.bases.poles import collect, linearise, oscillations, pursue, refine
from nbeats_basis.checks import check_int, check_positive

_EXACT = 1e-12  # a residual below this share of the values is rounding error


class ContinuousOMP:
    r"""A series as a constant and few decaying oscillations, A e^{-d (t - t0)} cos(2 pi f (t - t0) + phi) from its first time t0 on.

    Oscillations are chosen one by one by what they explain of the residual, on a grid of frequencies and decays; after each all
    frequencies and decays are refined together, amplitudes being solved for. On equally spaced times the matrix pencil is
    tried as well, and the better of the two refined. The number of oscillations is that of the least Bayesian
    information criterion, or the fewest that leave no more than the noise.

    Args:
        num_atoms: most oscillations, at least 1. Defaults to 8.
        noise: standard deviation of the noise to stop at, above 0; None for the information criterion. Defaults to None.
        max_frequency: highest frequency; None for half the rate of observation. Defaults to None.
        refined: False to leave frequencies and decays on the grid. Defaults to True.

    Attributes:
        frequencies_, decays_: `(k,)`, per unit of time.
        amplitudes_, phases_: `(k,)`, A at the first time, and phi in radians.
        level_: the constant.
        noise_: standard deviation of the residual.

    Raises:
        ValueError: numbers out of range.

    Example:
        >>> import numpy as np, nbeats_basis as nb
        >>> times = np.sort(np.random.default_rng(0).uniform(0, 60, 64))
        >>> pursuit = nb.sparse.ContinuousOMP(2).fit(times, 3 + np.cos(2 * np.pi * 0.11 * times) * np.exp(-0.02 * times))
        >>> pursuit.frequencies_.round(6), pursuit.decays_.round(6)
        (array([0.11]), array([0.02]))

    Source: Knudson et al. 2014 (continuous OMP); Golub & Pereyra 2003 (variable projection).
    """

    def __init__(
        self,
        num_atoms: int = 8,
        noise: float | None = None,
        max_frequency: float | None = None,
        refined: bool = True,
    ):
        self.num_atoms = check_int("num_atoms", num_atoms)
        self.noise = noise if noise is None else check_positive("noise", noise)
        self.max_frequency = max_frequency and check_positive("max_frequency", max_frequency)
        self.refined = bool(refined)

    def fit(self, times, values, mask=None) -> "ContinuousOMP":
        """Find the oscillations; return self.

        Args:
            times: `(N,)`, in any order.
            values: `(N,)`, NaN where not observed.
            mask: `(N,)`, 1 where observed; None for all. Defaults to None.

        Raises:
            ValueError: fewer times of observation than 2 `num_atoms` + 2, or values that are all equal.
        """
        times, values = np.asarray(times, "float64"), np.asarray(values, "float64")
        keep = np.isfinite(values) & np.isfinite(times)
        keep &= True if mask is None else np.asarray(mask) > 0
        order = np.argsort(times[keep], kind="stable")
        times, values = times[keep][order], values[keep][order]
        self.start_ = float(times.min(initial=np.inf))
        data, length = collect([(times, values)], self.num_atoms, self.start_)
        best = None
        for poles in pursue(data, length, self.num_atoms, self.max_frequency, self.refined):
            poles = self._better(data, length, poles)
            left = np.mean(linearise(data, poles)[0] ** 2)
            parameters = 1 + 4 * len(poles)
            score = len(times) * np.log(left + _EXACT**2) + parameters * np.log(len(times))
            if best is None or score < best[0]:
                best = (score, poles)
            if self.noise is not None and left * values.std() ** 2 <= self.noise**2:
                best = (-np.inf, poles)
                break
        self._keep(best[1], times, values)
        return self

    def _better(self, data, length, poles):
        """Return the poles, or those of the matrix pencil where times are equally spaced and it explains more."""
        times, values, _ = data[0]
        steps = np.diff(times)
        if not self.refined or np.ptp(steps) > 1e-9 * length:
            return poles
        pencil = np.stack(matrix_pencil(values, len(poles), steps.mean()), axis=-1)
        if len(pencil) != len(poles):
            return poles
        pencil = refine(data, pencil, length)
        return min(poles, pencil, key=lambda p: np.sum(linearise(data, p)[0] ** 2))

    def _keep(self, poles, times, values):
        """Solve for amplitudes and set the attributes."""
        atoms = oscillations(times - self.start_, poles)
        design = np.concatenate([np.ones((len(times), 1)), atoms], axis=1)
        coefficients = np.linalg.lstsq(design, values, rcond=None)[0]
        a, b = np.split(coefficients[1:], 2)
        self.frequencies_, self.decays_ = poles.T
        self.amplitudes_, self.phases_ = np.hypot(a, b), np.arctan2(-b, a)
        self.level_ = float(coefficients[0])
        self.noise_ = float(np.std(values - design @ coefficients))

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
        """Return the constant and all oscillations at any times, `(...)`.

        Args:
            times: `(...)`.
        """
        return self.level_ + self.components(times).sum(axis=0)


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
    hankel = np.lib.stride_tricks.sliding_window_view(values, len(values) // 2)
    right = np.linalg.svd(hankel, full_matrices=False)[2][:rank].T
    roots = np.linalg.eigvals(np.linalg.lstsq(right[:-1], right[1:], rcond=None)[0])
    roots = roots[roots.imag > 1e-9]
    order = np.argsort(-np.abs(roots))[:num_atoms]
    logs = np.log(roots[order]) / step
    return np.abs(logs.imag) / (2 * np.pi), np.maximum(-logs.real, 0)
