"""Generators of panels whose truth is known, at regular and at irregular times, and what makes a panel irregular."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from nbeats_basis.checks import DataError, check_int, check_positive


@dataclass(frozen=True)
class OrnsteinUhlenbeck:
    """Law of D coordinates that fall back to their means, dx = theta (mu - x) dt + sigma dW with corr(dW_a, dW_b) = rho.

    Given mu, the transition over a gap h is exactly normal:
    x(t + h) ~ N(mu + e^(-theta h) (x(t) - mu), sigma^2 / (2 theta) (1 - e^(-2 theta h)) R), R = 1 on the diagonal, else rho.
    Each coordinate of mu is drawn once for a series, uniform on its centre -+ width / 2.

    Attributes:
        theta: rate of return per unit of time, above 0.
        sigma: standard deviation of the driving noise per square root of a unit of time.
        rho: correlation of the coordinates' driving noises.
        centres: `(D,)`, expectation of mu.
        width: width of the interval of mu; 0 makes mu the same for all series.
        start: `(D,)`, x(0); or None for a draw from the stationary law N(mu, sigma^2 / (2 theta) R).
    """

    theta: float = 1.0
    sigma: float = 0.1
    rho: float = 0.0
    centres: tuple[float, ...] = (0.0,)
    width: float = 0.0
    start: tuple[float, ...] | None = None

    @property
    def stationary(self) -> np.ndarray:
        """Covariance of x around mu after a long time, `(D, D)`."""
        count = len(self.centres)
        correlation = np.full((count, count), self.rho) + (1 - self.rho) * np.eye(count)
        return self.sigma**2 / (2 * self.theta) * correlation

    def transition(self, gap: float) -> tuple[float, np.ndarray]:
        """Return e^(-theta h), and the covariance `(D, D)` of x(t + h) given x(t) and mu.

        Args:
            gap: time h between two observations, at least 0.
        """
        return np.exp(-self.theta * gap), -np.expm1(-2 * self.theta * gap) * self.stationary

    def moments(self, times: np.ndarray, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean `(N,)` and covariance `(N, N)` of observations, mu being unknown.

        They are exact; a Gaussian process of these moments is the best forecast linear in the observations, and, mu
        being uniform rather than normal, only nearly the best of all.

        Args:
            times: `(N,)`, times of the observations since the start.
            coordinates: `(N,)`, the coordinate that each observed, 0 to D - 1.
        """
        times, coordinates = np.asarray(times, "float64"), np.asarray(coordinates)
        centres = np.asarray(self.centres)[coordinates]
        covariance = np.exp(-self.theta * np.abs(times[:, None] - times))
        decay = np.zeros_like(times)
        if self.start is not None:
            decay = np.exp(-self.theta * times)
            covariance = covariance - np.outer(decay, decay)
            centres = centres + decay * (np.asarray(self.start)[coordinates] - centres)
        covariance = covariance * self.stationary[coordinates[:, None], coordinates]
        shared = coordinates[:, None] == coordinates
        return centres, covariance + shared * self.width**2 / 12 * np.outer(1 - decay, 1 - decay)

    def simulate(self, times: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return x `(S, N, D)` at the times, by the exact transitions, and mu `(S, D)`.

        Args:
            times: `(S, N)`, times since the start, increasing within each series.
            rng: generator of random numbers.
        """
        centres = np.asarray(self.centres)
        mean = centres + self.width * rng.uniform(-0.5, 0.5, (len(times), len(centres)))
        root = _root(self.stationary)
        noise = rng.normal(size=(*times.shape, len(centres))) @ root.T
        state = np.broadcast_to(centres if self.start is None else np.asarray(self.start), mean.shape)
        if self.start is None:
            state = mean + rng.normal(size=mean.shape) @ root.T
        path = np.empty_like(noise)
        for n, gap in enumerate(np.diff(times, axis=1, prepend=0.0).T[:, :, None]):
            state = mean + np.exp(-self.theta * gap) * (state - mean)
            state = state + np.sqrt(-np.expm1(-2 * self.theta * gap)) * noise[:, n]
            path[:, n] = state
        return path, mean


DOUBLE_OU = OrnsteinUhlenbeck(
    theta=1.0, sigma=0.1, rho=0.99, centres=(1.0, -1.0), width=1.0, start=(0.0, 0.0)
)


def seasonal_panel(
    num_series: int = 10,
    length: int = 120,
    periods: tuple[float, ...] = (12.0,),
    noise: float = 0.1,
    missing: float = 0.0,
    seed: int = 0,
) -> pd.DataFrame:
    """Return series of a line, one sine for each period and white noise, on integer times.

    y = a + b t + sum_p A_p sin(2 pi t / p + phi_p) + noise; columns `trend` and `season` hold the parts.

    Args:
        num_series: number of series. Defaults to 10.
        length: steps of each. Defaults to 120.
        periods: periods in steps. Defaults to (12.0,).
        noise: standard deviation of the noise; amplitudes are in (0.5, 2). Defaults to 0.1.
        missing: share of rows left out at random, in [0, 1). Defaults to 0.0.
        seed: seed of the generator. Defaults to 0.

    Example:
        >>> import nbeats_basis as nb
        >>> list(nb.synthetic.seasonal_panel(2, 24).columns)
        ['unique_id', 'ds', 'y', 'trend', 'season']
    """
    rng = np.random.default_rng(seed)
    t = np.arange(length)
    trend = rng.normal(10, 3, (num_series, 1)) + rng.normal(0, 0.05, (num_series, 1)) * t
    season = np.zeros((num_series, length))
    for period in periods:
        phase = rng.uniform(0, 2 * np.pi, (num_series, 1))
        season += rng.uniform(0.5, 2, (num_series, 1)) * np.sin(2 * np.pi * t / period + phase)
    frame = _panel(trend + season + noise * rng.normal(size=season.shape), "S")
    frame["trend"], frame["season"] = trend.ravel(), season.ravel()
    return _thinned(frame, missing, rng)


def damped_oscillations(
    num_series: int = 10,
    length: int = 120,
    noise: float = 0.05,
    missing: float = 0.0,
    seed: int = 0,
    irregular: bool = False,
) -> pd.DataFrame:
    """Return series A e^(-d t) cos(2 pi f t + phi) + noise; columns hold the pole, `decay` d and `frequency` f.

    Poles are drawn for each series: d is uniform in (0, 2 / length) and f in (0.02, 0.2) per step.

    Args:
        num_series: number of series. Defaults to 10.
        length: steps of each, which is also the number of its rows. Defaults to 120.
        noise: standard deviation of the noise; amplitudes are in (0.5, 2). Defaults to 0.05.
        missing: share of rows left out at random, in [0, 1). Defaults to 0.0.
        seed: seed of the generator. Defaults to 0.
        irregular: whether times are uniform on [0, length) instead of 0, 1, ..., length - 1. Defaults to False.
    """
    rng = np.random.default_rng(seed)
    decay, frequency = rng.uniform(0, 2 / length, (num_series, 1)), rng.uniform(0.02, 0.2, (num_series, 1))
    amplitude, phase = rng.uniform(0.5, 2, (num_series, 1)), rng.uniform(0, 2 * np.pi, (num_series, 1))
    t = np.sort(rng.uniform(0, length, (num_series, length))) if irregular else np.arange(length)
    clean = amplitude * np.exp(-decay * t) * np.cos(2 * np.pi * frequency * t + phase)
    frame = _panel(clean + noise * rng.normal(size=clean.shape), "D", t if irregular else None)
    frame["decay"], frame["frequency"] = np.repeat(decay, length), np.repeat(frequency, length)
    return _thinned(frame, missing, rng)


def ornstein_uhlenbeck(
    num_series: int = 10,
    observations: int | tuple[int, int] = 20,
    span: float = 10.0,
    theta: float = 1.0,
    sigma: float = 0.1,
    centre: float = 0.0,
    width: float = 0.0,
    noise: float = 0.0,
    seed: int = 0,
) -> pd.DataFrame:
    """Return stationary Ornstein-Uhlenbeck series at times uniform on [0, span), simulated exactly.

    x(t + h) given x(t) ~ N(mu + e^(-theta h) (x(t) - mu), sigma^2 / (2 theta) (1 - e^(-2 theta h))); y = x + noise. The law
    is `OrnsteinUhlenbeck(theta, sigma, centres=(centre,), width=width)`; columns `clean` and `mean` hold x and mu.

    Args:
        num_series: number of series. Defaults to 10.
        observations: rows of each, or the least and the most of them, drawn for each series. Defaults to 20.
        span: length of the interval of the times. Defaults to 10.0.
        theta: rate of return to the mean. Defaults to 1.0.
        sigma: standard deviation of the driving noise; that of x is sigma / sqrt(2 theta). Defaults to 0.1.
        centre: expectation of mu. Defaults to 0.0.
        width: width of the interval in which mu is uniform. Defaults to 0.0.
        noise: standard deviation of white noise on the observations. Defaults to 0.0.
        seed: seed of the generator. Defaults to 0.
    """
    law = OrnsteinUhlenbeck(check_positive("theta", theta), sigma, centres=(centre,), width=width)
    rng = np.random.default_rng(seed)
    times, kept = _times(rng, num_series, observations, span)
    path, mean = law.simulate(times, rng)
    frame = _panel(path[..., 0] + noise * rng.normal(size=times.shape), "O", times)
    frame["clean"], frame["mean"] = path.ravel(), np.repeat(mean, times.shape[1])
    return frame[kept.ravel()].reset_index(drop=True)


def double_ornstein_uhlenbeck(
    num_series: int = 10, coordinate: int | None = None, seed: int = 0
) -> pd.DataFrame:
    """Return two correlated Ornstein-Uhlenbeck coordinates, observed irregularly, without noise and seldom together.

    The law is `DOUBLE_OU`: theta 1, sigma 0.1, rho 0.99, x(0) = 0, mu uniform on (1, -1) -+ 0.5 and drawn for each
    coordinate of each series; x(t + h) given x(t) ~ N(mu + e^(-h) (x(t) - mu), 0.005 (1 - e^(-2 h)) R), R = ((1, rho), (rho, 1)).
    Each series has 16 to 23 stamps, drawn without replacement from 0, 0.05, ..., 9.95; a stamp shows the first
    coordinate with probability 0.4, the second with 0.4, both with 0.2.

    Args:
        num_series: number of series. Defaults to 10.
        coordinate: 1 or 2 for the rows that show that coordinate, as `y`, with columns `clean` and `mean` of it. None for
            all rows, the first as `y` and the second as `y2`, NaN where not shown, and columns `clean`, `clean2`,
            `mean`, `mean2` of x and mu. Defaults to None.
        seed: seed of the generator. Defaults to 0.

    Source:
        De Brouwer et al. (2019), GRU-ODE-Bayes, whose paths come from Euler steps of 0.05; these are exact. There a
        model sees what lies before time 4 and forecasts the next stamp.

    Example:
        >>> import nbeats_basis as nb
        >>> list(nb.synthetic.double_ornstein_uhlenbeck(2, coordinate=1).columns)
        ['unique_id', 'ds', 'y', 'clean', 'mean']
    """
    if coordinate not in (None, 1, 2):
        raise ValueError(f"`coordinate` must be 1, 2 or None. Received: coordinate={coordinate!r}")
    rng = np.random.default_rng(seed)
    times, kept = _times(rng, num_series, (16, 23), 10.0, step=0.05)
    path, mean = DOUBLE_OU.simulate(times, rng)
    kind = rng.choice(3, times.shape, p=[0.4, 0.4, 0.2])
    shown = np.stack([kind != 1, kind != 0], axis=-1)
    values = np.where(shown, path, np.nan)
    which = 0 if coordinate is None else coordinate - 1
    frame = _panel(values[..., which], "O", times)
    if coordinate is None:
        frame.insert(3, "y2", values[..., 1].ravel())
    else:
        kept = kept & shown[..., which]
    for name, each in (("clean", path), ("mean", np.broadcast_to(mean[:, None], path.shape))):
        frame[name] = each[..., which].ravel()
        if coordinate is None:
            frame[f"{name}2"] = each[..., 1].ravel()
    return frame[kept.ravel()].reset_index(drop=True)


def quasi_periodic(
    num_series: int = 10,
    observations: int | tuple[int, int] = 60,
    span: float = 20.0,
    period: float = 3.0,
    lengthscale: float = 10.0,
    scale: float = 1.0,
    noise: float = 0.1,
    seed: int = 0,
) -> pd.DataFrame:
    """Return stochastic damped oscillators at times uniform on [0, span), simulated exactly.

    y = x + noise, x a Gaussian process of mean 0 and kernel
    k(tau) = scale^2 e^(-|tau| / lengthscale) cos(2 pi tau / period).
    It is the first of two coordinates that turn and decay: over a gap h, z(t + h) given z(t) ~
    N(e^(-h / lengthscale) Rot(2 pi h / period) z(t), scale^2 (1 - e^(-2 h / lengthscale)) I). Column `clean` holds x.

    Args:
        num_series: number of series. Defaults to 10.
        observations: rows of each, or the least and the most of them, drawn for each series. Defaults to 60.
        span: length of the interval of the times. Defaults to 20.0.
        period: period of the oscillation. Defaults to 3.0.
        lengthscale: time in which the correlation falls by the factor e. Defaults to 10.0.
        scale: standard deviation of x. Defaults to 1.0.
        noise: standard deviation of white noise on the observations. Defaults to 0.1.
        seed: seed of the generator. Defaults to 0.
    """
    speed, rate = 2 * np.pi / check_positive("period", period), 1 / check_positive("lengthscale", lengthscale)
    rng = np.random.default_rng(seed)
    times, kept = _times(rng, num_series, observations, span)
    # z turned back by its mean rotation is an Ornstein-Uhlenbeck process of stationary variance scale^2
    law = OrnsteinUhlenbeck(rate, scale * np.sqrt(2 * rate), centres=(0.0, 0.0))
    path = law.simulate(times, rng)[0]
    clean = np.cos(speed * times) * path[..., 0] - np.sin(speed * times) * path[..., 1]
    frame = _panel(clean + noise * rng.normal(size=times.shape), "Q", times)
    frame["clean"] = clean.ravel()
    return frame[kept.ravel()].reset_index(drop=True)


def thin(frame: pd.DataFrame, share: float, seed: int = 0, id_col: str = "unique_id") -> pd.DataFrame:
    """Return a long frame without a share of the rows of each series, drawn at random; two rows of each remain.

    Args:
        frame: long frame; a series of one or two rows keeps them.
        share: share of rows to delete, in [0, 1), rounded to whole rows of each series.
        seed: seed of the generator. Defaults to 0.
        id_col: name of the column of the series. Defaults to "unique_id".

    Example:
        >>> import nbeats_basis as nb
        >>> len(nb.synthetic.thin(nb.datasets.load("air_passengers"), 0.25))
        108
    """
    if not 0 <= share < 1:
        raise ValueError(f"`share` must be in [0, 1). Received: share={share!r}")
    _check_columns(frame, id_col)
    series = pd.factorize(frame[id_col])[0]
    counts = np.bincount(series)
    order = np.lexsort((np.random.default_rng(seed).uniform(size=len(frame)), series))
    rank = np.argsort(order) - (np.cumsum(counts) - counts)[series]
    left = np.maximum(counts - np.rint(share * counts).astype("int64"), 2)
    return frame[rank < left[series]].reset_index(drop=True)


def jitter(
    frame: pd.DataFrame, amount: float, seed: int = 0, id_col: str = "unique_id", time_col: str = "ds"
) -> pd.DataFrame:
    """Return a long frame whose times are moved at random, the order of a series' rows in time staying as it is.

    A time moves by a uniform draw within `amount` of its series' median gap, and by less than half the gap to either
    neighbour. Numbers become real numbers, dates stay dates.

    Args:
        frame: long frame, in any order, of numeric times or dates.
        amount: largest move as a share of the median gap between a series' rows, at least 0; 0.5 is as far as regular
            times can move.
        seed: seed of the generator. Defaults to 0.
        id_col: name of the column of the series. Defaults to "unique_id".
        time_col: name of the column of the times. Defaults to "ds".

    Raises:
        TypeError: the times are neither numbers nor dates.
        DataError: a column is not there, or a series' name or a time is missing.
    """
    if not 0 <= amount < np.inf:
        raise ValueError(f"`amount` must be at least 0 and finite. Received: amount={amount!r}")
    _check_columns(frame, id_col, time_col)
    times = frame[time_col]
    dates = pd.api.types.is_datetime64_any_dtype(times)
    if not dates and (not pd.api.types.is_numeric_dtype(times) or pd.api.types.is_bool_dtype(times)):
        raise TypeError(
            f"`{time_col}` must hold numbers or dates. Received: dtype={times.dtype}; convert it by `pandas.to_datetime`."
        )
    series, draw = pd.factorize(frame[id_col])[0], np.random.default_rng(seed).uniform(-1, 1, len(frame))
    times = times.dt.as_unit("ns") if dates else times
    moves = draw * _room(times.astype("int64" if dates else "float64").to_numpy(), series, amount)
    moves = pd.to_timedelta(moves.astype("int64"), unit="ns") if dates else moves
    moved = frame.copy()
    moved[time_col] = times + moves
    return moved


def _room(numbers: np.ndarray, series: np.ndarray, amount: float) -> np.ndarray:
    """Return how far each time may move, `(N,)`."""
    order = np.lexsort((numbers, series))
    before = np.diff(numbers[order], prepend=numbers[:1]).astype("float64")
    before[np.diff(series[order], prepend=-1) != 0] = np.nan  # the first row of a series
    median = pd.Series(before).groupby(series[order]).transform("median").to_numpy()
    room = np.fmin(amount * median, 0.499 * np.fmin(before, np.roll(before, -1)))
    return np.nan_to_num(room)[np.argsort(order)]  # a series of one row has no gap, and stays


def _check_columns(frame, *names: str) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise DataError(f"`frame` lacks the columns {missing}. Received: columns={list(frame.columns)}")
    for name in names:
        if frame[name].isna().any():
            raise DataError(f"`{name}` is missing at row {int(frame[name].isna().argmax())}. Drop the row.")


def _times(rng, num_series: int, observations, span: float, step: float | None = None):
    """Return increasing times in [0, span) `(S, N)`, multiples of `step` if given, and which of them each series has."""
    low, high = (observations, observations) if np.ndim(observations) == 0 else observations
    low, high = check_int("observations", low), check_int("observations", high, low)
    shape = (check_int("num_series", num_series), high)
    if step is None:
        times = np.sort(rng.uniform(0, check_positive("span", span), shape))
    else:
        draws = rng.uniform(size=(num_series, round(span / step)))
        times = step * np.sort(np.argsort(draws)[:, :high])
    rank = np.argsort(np.argsort(rng.uniform(size=shape)))
    return times, rank < rng.integers(low, high + 1, (num_series, 1))


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return a matrix whose product with its transpose is the covariance, also of rank less than D."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0))


def _panel(values: np.ndarray, prefix: str, times: np.ndarray | None = None) -> pd.DataFrame:
    count, length = values.shape
    ids = [f"{prefix}{i:0{len(str(count))}d}" for i in range(count)]
    ds = np.tile(np.arange(length), count) if times is None else times.ravel()
    return pd.DataFrame({"unique_id": np.repeat(ids, length), "ds": ds, "y": values.ravel()})


def _thinned(frame: pd.DataFrame, missing: float, rng) -> pd.DataFrame:
    if not 0 <= missing < 1:
        raise ValueError(f"`missing` must be in [0, 1). Received: missing={missing!r}")
    return frame[rng.uniform(size=len(frame)) >= missing].reset_index(drop=True) if missing else frame
