"""Decays and frequencies of series at irregular times: spectrum by least squares, refinement by variable projection."""

from collections.abc import Sequence

import numpy as np

from nbeats_basis.checks import check_int

_OVERSAMPLING = 4  # frequencies looked at within one resolution 1 / T
_CHUNK = 2**21  # entries of the waves held at once
_DECAYS = (0.0, 1.0, 2.0, 4.0, 8.0)  # times 1 / T


def fit_poles(
    series: Sequence[tuple], num_atoms: int, start: float, background=None
) -> tuple[np.ndarray, np.ndarray]:
    """Return frequencies and decays `(num_atoms,)` of oscillations common to all series.

    One by one, the oscillation that explains most of what is left is taken from the spectrum, then all decays and
    frequencies are refined together, amplitudes and background being solved for (variable projection).

    Args:
        series: pairs of times `(N,)` and values `(N,)`, NaN where not observed.
        num_atoms: number of oscillations, at least 1.
        start: time from which the oscillations decay.
        background: basis fitted beside them; None for a constant. Defaults to None.

    Raises:
        ValueError: no series has more times of observation than there are coefficients.

    Source: Zechmeister & Kuerster 2009 (floating-mean spectrum); Golub & Pereyra 2003 with Kaufman's Jacobian.
    """
    *_, poles = pursue(*collect(series, num_atoms, start, background), num_atoms)
    return poles[:, 0], poles[:, 1]


def collect(series: Sequence[tuple], num_atoms: int, start: float, background=None) -> tuple[list, float]:
    """Return what a pursuit reads: of every series times since the start, scaled values and background, and the longest span.

    Args:
        series: as for `fit_poles`.
        num_atoms: as for `fit_poles`.
        start: as for `fit_poles`.
        background: as for `fit_poles`. Defaults to None.
    """
    check_int("num_atoms", num_atoms)
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
    data: list, length: float, num_atoms: int, max_frequency: float | None = None, refined: bool = True
):
    """Yield frequencies and decays `(k, 2)` of k = 1 .. `num_atoms` oscillations, each set grown from the last.

    Args:
        data: of `collect`.
        length: of `collect`.
        num_atoms: number of oscillations.
        max_frequency: highest looked at; None for half the rate of the most densely observed series. Defaults to None.
        refined: False to leave the poles on the grid. Defaults to True.
    """
    gap = min(np.median(np.diff(np.unique(times))) for times, *_ in data)
    highest = max_frequency or 1 / (2 * gap)
    grid = np.arange(1, max(2, int(_OVERSAMPLING * length * highest))) / (_OVERSAMPLING * length)
    poles = np.zeros((0, 2))
    for _ in range(num_atoms):
        found = [
            (sum(_explained(*one, poles, grid, d / length) for one in data), d / length) for d in _DECAYS
        ]
        power, decay = max(found, key=lambda pair: pair[0].max())
        poles = np.vstack([poles, [grid[power.argmax()], decay]])
        poles = refine(data, poles, length) if refined else poles
        yield poles


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
    return explained / ((values - values.mean()) ** 2).sum()


def _explained(times, values, columns, poles, grid, decay) -> np.ndarray:
    """Return the squares that an oscillation of each frequency explains beside the columns and those already found."""
    basis, _ = np.linalg.qr(np.concatenate([columns, oscillations(times, poles)], axis=1))
    left = values - basis @ (basis.T @ values)
    parts = np.array_split(grid, -(-grid.size * times.size // _CHUNK) or 1)
    return np.concatenate([_gains(times, left, basis, part, decay) for part in parts])


def _gains(times, left, basis, grid, decay) -> np.ndarray:
    """Return the squares of `left` that an oscillation of each frequency explains beside the orthonormal basis."""
    wave = np.exp(2j * np.pi * np.outer(grid, times) - decay * np.maximum(times, 0))
    wave = wave - (wave @ basis) @ basis.T
    cos, sin = wave.real, wave.imag
    cc, ss, cs = (cos**2).sum(axis=1), (sin**2).sum(axis=1), (cos * sin).sum(axis=1)
    c, s = cos @ left, sin @ left
    determinant = cc * ss - cs**2
    safe = determinant > 1e-10 * np.maximum(cc, ss) ** 2
    power = (ss * c**2 + cc * s**2 - 2 * cs * c * s) / np.where(safe, determinant, 1)
    return np.where(safe, power, 0.0)


def oscillations(times, poles) -> np.ndarray:
    """Return the oscillations at times since their start, `(N, 2 k)`, cosines first.

    Args:
        times: `(N,)`.
        poles: frequencies and decays, `(k, 2)`.
    """
    envelope = np.exp(-poles[:, 1] * np.maximum(times, 0)[:, None])
    angle = 2 * np.pi * poles[:, 0] * times[:, None]
    return np.concatenate([envelope * np.cos(angle), envelope * np.sin(angle)], axis=1)


def refine(data, poles, length: float, iterations: int = 200) -> np.ndarray:
    """Return the poles of least squares near those given: Levenberg and Marquardt, steps in units of 1 / T.

    Args:
        data: of `collect`.
        poles: frequencies and decays, `(k, 2)`.
        length: of `collect`.
        iterations: most steps. Defaults to 200.
    """
    damping, (residual, jacobian) = 1e-3, linearise(data, poles)
    for _ in range(iterations):
        scaled = jacobian / length
        normal, slope = scaled.T @ scaled, scaled.T @ residual
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12), -slope)
        proposal = np.abs(poles + step.reshape(poles.shape) / length)
        trial = linearise(data, proposal)
        gain = residual @ residual - trial[0] @ trial[0]
        if gain > 0:
            poles, (residual, jacobian), damping = proposal, trial, max(damping / 5, 1e-12)
            if gain < 1e-15 * (residual @ residual) or np.abs(step).max() < 1e-14:
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
    count = len(poles)
    for times, values, columns in data:
        atoms = oscillations(times, poles)
        basis, triangle = np.linalg.qr(np.concatenate([columns, atoms], axis=1))
        coefficients = np.linalg.lstsq(triangle, basis.T @ values, rcond=None)[0][columns.shape[1] :]
        a, b = coefficients[:count], coefficients[count:]
        cos, sin = atoms[:, :count], atoms[:, count:]
        by_frequency = 2 * np.pi * times[:, None] * (b * cos - a * sin)
        by_decay = -np.maximum(times, 0)[:, None] * (a * cos + b * sin)
        change = np.stack([by_frequency, by_decay], axis=-1).reshape(len(times), -1)
        residuals.append(values - basis @ (basis.T @ values))
        jacobians.append(-(change - basis @ (basis.T @ change)))
    return np.concatenate(residuals), np.concatenate(jacobians)
