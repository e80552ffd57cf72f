"""Decays and frequencies of series at irregular times: spectrum by least squares, refinement by variable projection."""

from collections.abc import Sequence

import numpy as np

from nbeats_basis.checks import check_int

_STEPS = 200  # most of a refinement
_EXACT = 1e-6  # least noise of a series, relative to its values
ROUGH = 1e-8  # tolerance of a refinement to which others are compared
_ROUNDING = 1e-10  # share of a size below which another is no direction of its own
_CHUNK = 2**21  # entries of the waves held at once
_DECAYS = (0.0, 2.0, 4.0, 8.0)  # of the cells, times 1 / T; their frequencies are 1 / T apart
_SLOW = (0.25, 0.5)  # frequencies of cells below, times 1 / T
_JITTER = 1e-9  # of the cells' normal equations, functions being of norm 1
_FULLEST = 4  # times the number of observations: cells' frequencies, where observations come in bursts
_CANDIDATES = 8  # cells of which the pole they point to is looked at


def fit_poles(
    series: Sequence[tuple], num_atoms: int, start: float, background=None
) -> tuple[np.ndarray, np.ndarray]:
    """Return frequencies and decays `(num_atoms,)` of oscillations common to all series.

    One by one, the oscillation that explains most of what is left is found from the cell it lies in, then all decays and
    frequencies are refined together, amplitudes and background being solved for (variable projection); in the end each series
    counts by its own noise. No frequency is above half the rate of observation.

    Args:
        series: pairs of times `(N,)` and values `(N,)`, NaN where not observed.
        num_atoms: number of oscillations, at least 1.
        start: time from which the oscillations decay.
        background: basis fitted beside them; None for a constant. Defaults to None.

    Raises:
        ValueError: no series has more times of observation than there are coefficients.

    Source: Zechmeister & Kuerster 2009 (floating-mean spectrum); Golub & Pereyra 2003 with Kaufman's Jacobian.
    """
    check_int("num_atoms", num_atoms)
    data, length = collect(series, num_atoms, start, background)
    highest = half_rate(data)
    *_, poles = pursue(data, length, num_atoms, highest)
    poles = refine(data, poles, length, highest)
    poles = refine(_weighed(data, poles), poles, length, highest)
    return poles[:, 0], poles[:, 1]


def _weighed(data, poles) -> list:
    """Return the data in units of each series' noise, so that least squares is the likelihood's maximum."""
    scaled = []
    for times, values, columns in data:
        noise = max(np.std(linearise([(times, values, columns)], poles)[0]), _EXACT)
        scaled.append((times, values / noise, columns))
    return scaled


def collect(series: Sequence[tuple], num_atoms: int, start: float, background=None) -> tuple[list, float]:
    """Return what a pursuit reads: of every series times since the start, scaled values and background, and the longest span.

    Args:
        series: as for `fit_poles`.
        num_atoms: as for `fit_poles`.
        start: as for `fit_poles`.
        background: as for `fit_poles`. Defaults to None.
    """
    data = []
    for times, values in series:
        times, values = np.asarray(times, "float64"), np.asarray(values, "float64")
        keep = np.isfinite(times) & np.isfinite(values)
        times, values = times[keep], values[keep]
        columns = np.ones((len(times), 1)) if background is None else np.asarray(background(times))
        if len(np.unique(times)) > columns.shape[1] + 2 * num_atoms and np.ptp(values) > 0:
            data.append((times - start, values / values.std(), columns))
    if not data:
        raise ValueError(
            f"No series has enough observations at different times to fit {num_atoms} oscillations and their background. "
            f"Received: {len(series)} series."
        )
    return data, max(np.ptp(times) for times, *_ in data)


def pursue(
    data: list,
    length: float,
    num_atoms: int,
    highest: float,
    refined: bool = True,
):
    """Yield frequencies and decays `(k, 2)` of k = 1 .. `num_atoms` oscillations, each set grown from the last.

    They are refined to what the next choice needs; refine those to be kept once more.

    Args:
        data: of `collect`.
        length: of `collect`.
        num_atoms: number of oscillations.
        highest: frequency that none may exceed, such as `half_rate`.
        refined: False to leave the poles as first chosen. Defaults to True.
    """
    poles = np.zeros((0, 2))
    for _ in range(num_atoms):
        poles = np.vstack([poles, _choose(data, poles, length, highest)])
        poles = refine(data, poles, length, highest, ROUGH) if refined else poles
        yield poles


def half_rate(data) -> float:
    """Return half the rate of the most densely observed series, by its median gap; in bursts at most 4 N over its span.

    Args:
        data: of `collect`.
    """
    rates = []
    for times, *_ in data:
        gaps = np.diff(np.unique(times))
        rates.append(min(0.5 / np.median(gaps), _FULLEST * len(times) / gaps.sum()))
    return max(rates)


def _choose(data, poles, length, highest) -> tuple[float, float]:
    """Return the pole that explains most, beside those found, of the poles that the best cells of a grid point to."""
    grid = np.array([*_SLOW, *range(1, max(2, int(length * highest))), length * highest]) / length
    found = []
    for decay in _DECAYS:
        power, offsets = cells(data, poles, grid, decay / length, length)
        best = np.argsort(-power)[:_CANDIDATES]
        frequencies = np.abs(grid[best] + np.clip(offsets[best, 0] * length, -0.5, 0.5) / length)
        frequencies = np.minimum(frequencies, highest)
        decays = np.maximum(decay + np.clip(offsets[best, 1] * length, -2, 2), 0) / length
        found.extend(zip(power[best], frequencies, decays, strict=True))
    found = [pole for _, *pole in sorted(found, reverse=True)[:_CANDIDATES]]
    explained = [sum(_explained(*one, poles, np.array([f]), d)[0] for one in data) for f, d in found]
    return found[int(np.argmax(explained))]


def cells(data, poles, grid, decay: float, length: float) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the squares that poles near those of a grid explain, `(F,)`, and how far from these they lie, `(F, 2)`.

    Near l, e^{(l + e) t} is e^{e c} e^{l t} (1 + e u + e^2 u^2 / 2) with u = t - c, c the middle of the times. The series'
    coefficients c0, c1, c2 of these three functions and their conjugates are solved for, and e = c1 / c0 is the offset: of
    the frequency its imaginary part over 2 pi, of the decay minus its real part. To 1 % where |e| T / 2 <= 0.39.

    Args:
        data: of `collect`.
        poles: those already found, frequencies and decays, `(k, 2)`.
        grid: frequencies `(F,)`.
        decay: of them all.
        length: of `collect`.

    Source: Ekanadham, Tranchina & Simoncelli 2011 (Taylor bases); Knudson et al. 2014 (cells in a greedy pursuit).
    """
    power, cross, weight = np.zeros(len(grid)), np.zeros(len(grid), complex), np.full(len(grid), 1e-300)
    for times, values, columns in data:
        basis, left = _left(times, values, columns, poles)
        since = 2 * (times - (times.min() + times.max()) / 2) / length
        solved = [_cells(times, left, basis, part, decay, since) for part in _parts(grid, 12 * times.size)]
        explained, c0, c1 = (np.concatenate(x) for x in zip(*solved, strict=True))
        power, cross, weight = power + explained, cross + c1 * c0.conj(), weight + np.abs(c0) ** 2
    offset = 2 * cross / weight / length
    return power, np.stack([offset.imag / (2 * np.pi), -offset.real], axis=1)


def _cells(times, left, basis, grid, decay, since) -> tuple:
    """Return the squares of `left` explained and the coefficients of the first two functions of each cell, `(F,)`."""
    wave = np.exp(2j * np.pi * np.outer(grid, times) - decay * np.maximum(times, 0))
    wave = wave[:, None] * np.stack([np.ones_like(since), since, since**2])
    wave = np.concatenate([wave.real, -wave.imag], axis=1)  # the real part of c e^{l t}
    wave = wave - (wave @ basis) @ basis.T
    norms = np.sqrt((wave**2).sum(axis=2, keepdims=True)) + 1e-150
    wave /= norms
    moment = (wave @ left)[..., None]
    solved = np.linalg.solve(wave @ wave.transpose(0, 2, 1) + _JITTER * np.eye(6), moment)
    scaled = (solved / norms)[..., 0]
    return (
        (solved * moment).sum(axis=(1, 2)),
        scaled[:, 0] + 1j * scaled[:, 3],
        scaled[:, 1] + 1j * scaled[:, 4],
    )


def spectrum(times, values, frequencies, decay: float = 0.0) -> np.ndarray:
    """Return the share of the variance around the mean that one oscillation of each frequency explains, in [0, 1].

    Args:
        times: `(N,)`.
        values: `(N,)`.
        frequencies: `(F,)`, above 0.
        decay: of the oscillation, from time 0 on. Defaults to 0.0.
    """
    times, values = np.asarray(times, "float64"), np.asarray(values, "float64")
    explained = _explained(
        times, values, np.ones((len(times), 1)), np.zeros((0, 2)), np.asarray(frequencies), decay
    )
    return (
        explained / ((values - values.mean()) ** 2).sum() if np.ptp(values) > 0 else np.zeros_like(explained)
    )


def _explained(times, values, columns, poles, grid, decay) -> np.ndarray:
    """Return the squares that an oscillation of each frequency explains beside the columns and those already found."""
    basis, left = _left(times, values, columns, poles)
    return np.concatenate([_gains(times, left, basis, part, decay) for part in _parts(grid, times.size)])


def _left(times, values, columns, poles) -> tuple[np.ndarray, np.ndarray]:
    """Return an orthonormal basis of the columns and the oscillations found, and what it leaves of the values."""
    basis, _ = np.linalg.qr(np.concatenate([columns, oscillations(times, poles)], axis=1))
    return basis, values - basis @ (basis.T @ values)


def _parts(grid, size: int) -> list[np.ndarray]:
    """Return the grid in parts of bounded size, `size` being that of a frequency."""
    return np.array_split(grid, -(-grid.size * size // _CHUNK) or 1)


def _gains(times, left, basis, grid, decay) -> np.ndarray:
    """Return the squares of `left` that an oscillation of each frequency explains beside the orthonormal basis."""
    wave = np.exp(2j * np.pi * np.outer(grid, times) - decay * np.maximum(times, 0))
    wave = wave - (wave @ basis) @ basis.T
    cos, sin = wave.real, wave.imag
    cc, ss, cs = (cos**2).sum(axis=1), (sin**2).sum(axis=1), (cos * sin).sum(axis=1)
    c, s = cos @ left, sin @ left
    determinant = cc * ss - cs**2
    safe = determinant > _ROUNDING * np.maximum(cc, ss) ** 2
    power = (ss * c**2 + cc * s**2 - 2 * cs * c * s) / np.where(safe, determinant, 1)
    alone = cc + ss > _ROUNDING * len(times)  # one direction, as at half the rate of equally spaced times
    return np.where(safe, power, np.where(alone, (c**2 + s**2) / np.where(alone, cc + ss, 1), 0.0))


def oscillations(times, poles) -> np.ndarray:
    """Return the oscillations at times since their start, `(N, 2 k)`, cosines first.

    Args:
        times: `(N,)`.
        poles: frequencies and decays, `(k, 2)`.
    """
    envelope = np.exp(-poles[:, 1] * np.maximum(times, 0)[:, None])
    angle = 2 * np.pi * poles[:, 0] * times[:, None]
    return np.concatenate([envelope * np.cos(angle), envelope * np.sin(angle)], axis=1)


def refine(data, poles, length: float, highest: float, tolerance: float = 1e-15) -> np.ndarray:
    """Return the poles of least squares near those given: Levenberg and Marquardt, steps in units of 1 / T.

    Args:
        data: of `collect`.
        poles: frequencies and decays, `(k, 2)`.
        length: of `collect`.
        highest: frequency that none may exceed; those at it stay there.
        tolerance: share of the squares left that a step must gain for another one. Defaults to 1e-15.
    """
    free = np.stack([poles[:, 0] < highest, np.full(len(poles), True)], axis=1).ravel()
    damping, (residual, jacobian) = 1e-3, linearise(data, poles)
    for _ in range(_STEPS):
        scaled = jacobian * free / length
        normal, slope = scaled.T @ scaled, scaled.T @ residual
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12), -slope)
        proposal = np.minimum(np.abs(poles + step.reshape(poles.shape) / length), (highest, np.inf))
        trial = linearise(data, proposal)
        gain = residual @ residual - trial[0] @ trial[0]
        if gain > 0:
            done = gain < tolerance * (residual @ residual) or np.abs(step).max() < 1e-14
            poles, (residual, jacobian), damping = proposal, trial, max(damping / 5, 1e-12)
            if done:
                break
        else:
            damping *= 4
            if damping > 1e12:
                break
    return poles


def linearise(data, poles) -> tuple[np.ndarray, np.ndarray]:
    """Return the residuals of all series and their Jacobian in the poles, amplitudes being solved for.

    Args:
        data: of `collect`.
        poles: frequencies and decays, `(k, 2)`.
    """
    residuals, jacobians = [], []
    for times, values, columns in data:
        atoms = oscillations(times, poles)
        basis, triangle = np.linalg.qr(np.concatenate([columns, atoms], axis=1))
        coefficients = np.linalg.lstsq(triangle, basis.T @ values, rcond=_ROUNDING)[0][columns.shape[1] :]
        change = slopes(times, atoms, coefficients)
        residuals.append(values - basis @ (basis.T @ values))
        jacobians.append(-(change - basis @ (basis.T @ change)))
    return np.concatenate(residuals), np.concatenate(jacobians)


def slopes(times, atoms, coefficients) -> np.ndarray:
    """Return the derivatives of a sum of oscillations in each frequency and decay, `(N, 2 k)`, pole by pole.

    Args:
        times: `(N,)`, since the start.
        atoms: of `oscillations`, `(N, 2 k)`.
        coefficients: of the atoms, `(2 k,)`.
    """
    count = len(coefficients) // 2
    a, b = coefficients[:count], coefficients[count:]
    cos, sin = atoms[:, :count], atoms[:, count:]
    by_frequency = 2 * np.pi * times[:, None] * (b * cos - a * sin)
    by_decay = -np.maximum(times, 0)[:, None] * (a * cos + b * sin)
    return np.stack([by_frequency, by_decay], axis=-1).reshape(len(times), 2 * count)
