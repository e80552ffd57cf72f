"""Windows of irregular times: as many observations as came, padded; drawn inside the compiled step from flat arrays."""

import warnings
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from nbeats_basis.checks import DataError, DataWarning
from nbeats_basis.draws import choose, uniforms
from nbeats_basis.panel import Panel

_UNKNOWN = np.float64("nan")


class Observations:
    """The observations of a panel on the device, and the windows before any of them.

    Args:
        panel: the series, of a `Clock`.
        lookback: length of the windows, in units of time.
        max_points: P, most observations of a window; a fuller one is thinned evenly, its last observation kept.
    """

    def __init__(self, panel: Panel, lookback: float, max_points: int):
        series, span = panel.series, panel.steps.max(initial=0.0)
        self._axis = panel.steps + series * (2 * span + 1)  # one increasing axis, the series far apart
        first = np.searchsorted(self._axis, self._axis - min(lookback, span + 0.5), side="right")
        first = np.maximum(first, panel.offsets[series])
        self._reach = span + 0.5
        # observations of the window that ends at each row
        self.counts = (np.arange(1, 1 + len(series)) - first).astype("int32")
        self.max_points = int(min(max_points, self.counts.max(initial=1)))
        self._values, self._times = tf.constant(panel.values), tf.constant(panel.steps)
        self._counts, self._begin = tf.constant(self.counts), tf.constant(panel.offsets[:-1])
        self._starts = tf.constant(panel.starts / panel.calendar.unit)

    def warn_if_thinned(self, rows: np.ndarray, max_points: int, stacklevel: int) -> None:
        """Warn if windows hold more observations than are read of them.

        Args:
            rows: `(R,)`, the windows' ends.
            max_points: most observations read.
            stacklevel: as that of `warnings.warn`, from the caller on.
        """
        fullest = self.counts[rows].max(initial=0)
        if fullest > max_points:
            warnings.warn(
                f"Windows hold up to {fullest} observations; those of more than {max_points} are thinned evenly. "
                "Shorten `lookback`, or raise `Training(max_points=...)`.",
                DataWarning,
                stacklevel=stacklevel + 1,
            )

    def until(self, horizon: float) -> np.ndarray:
        """Return the last row of each observation's series at most `horizon` after it, `(N,)`.

        Args:
            horizon: length of time.
        """
        return np.searchsorted(self._axis, self._axis + min(horizon, self._reach), side="right") - 1

    def history(self, origins, starts=None):
        """Return the windows that end at rows `origins`: dict of `values`, `times` `(..., P)` and `origin` `(...)`.

        Args:
            origins: `(...)` int64, rows; below 0 for a window without observations.
            starts: `(...)` float64, absolute time of the origin of such a window. Defaults to None, 0.
        """
        known = origins >= 0
        origins = tf.maximum(origins, 0)
        count = tf.where(known, tf.cast(tf.gather(self._counts, origins), "int64"), 0)[..., None]
        back, inside = _spread(count, self.max_points, 0.0)
        rows = origins[..., None] - back
        at = tf.gather(self._times, origins)
        return {
            "values": self._observed(rows, inside),
            "times": tf.cast(tf.where(inside, tf.gather(self._times, rows) - at[..., None], 0), "float32"),
            "origin": tf.where(known, self._start(origins) + at, 0 if starts is None else starts),
        }

    def _start(self, rows):
        """Return the absolute time of the first observation of the rows' series, float64."""
        series = tf.searchsorted(self._begin, tf.reshape(rows, [-1]), side="right") - 1
        return tf.reshape(tf.gather(self._starts, series), tf.shape(rows))

    def _observed(self, rows, inside):
        """Return the float64 values of rows, NaN where not inside."""
        return tf.where(inside, tf.cast(tf.gather(self._values, rows), "float64"), _UNKNOWN)

    def after(self, origins, counts, num_points: int, shift):
        """Return times after the origins and values of `num_points` of the next `counts` observations, `(..., Q)`.

        Args:
            origins: `(...)` int64, rows.
            counts: `(...)` int64, observations after each.
            num_points: Q.
            shift: `(..., Q)` in [0, 1), which of the observations are taken where there are more.

        Returns:
            times float32 and values float64, 0 and NaN where there are fewer.
        """
        ahead, inside = _spread(counts[..., None], num_points, shift)
        rows = tf.where(inside, origins[..., None] + 1 + ahead, 0)
        at = tf.gather(self._times, origins)[..., None]
        times = tf.where(inside, tf.gather(self._times, rows) - at, 0)
        return tf.cast(times, "float32"), self._observed(rows, inside)


class IrregularWindows:
    """Training windows of irregular times: a random series, a random observation as origin, queries in the horizon.

    Args:
        panel: the series, of a `Clock`.
        lookback: length of the windows, in units of time.
        horizon: length of the forecasts, in units of time.
        batch_size: B, windows a member draws in a step. Defaults to 256.
        holdout: time at the end of each series kept from training. Defaults to 0.0.
        recent: draw targets and origins only from the last `recent` units of time of each series' training part.
            Defaults to None, all.
        max_points: most observations of a window. Defaults to 256.
        max_queries: most observations of a horizon that a step looks at. Defaults to 32.
        emptied: share of the windows whose history is hidden, to learn the forecast that knows nothing. Defaults to 0.0.

    Raises:
        DataError: no series has an observation and another within the horizon after it.
    """

    def __init__(
        self,
        panel: Panel,
        lookback: float,
        horizon: float,
        batch_size: int = 256,
        holdout: float = 0.0,
        recent: float | None = None,
        max_points: int = 256,
        max_queries: int = 32,
        emptied: float = 0.0,
    ):
        self.batch_size, self.emptied = batch_size, emptied
        self.observations = Observations(panel, lookback, max_points)
        rows, series = np.arange(len(panel.values)), panel.series
        stop = panel.last_steps - holdout  # the last time that training may see
        allowed = panel.offsets[1:] - 1
        if holdout:
            inside = np.add.reduceat(panel.steps <= stop[series], panel.offsets[:-1])
            allowed = panel.offsets[:-1] + inside - 1
        reach = self.observations.until(horizon)
        ahead = np.minimum(reach, allowed[series]) - rows
        usable = ahead > 0
        if recent is not None:
            usable &= panel.steps > stop[series] - recent
        if not usable.any():
            raise DataError(
                "No series can be learned from: each needs an observation and another within the horizon after it"
                + (f", before the last {holdout:g} units of time held out" if holdout else "")
                + f". Received: horizon={horizon:g}, recent={recent}, {panel.num_series} series."
            )
        origins = rows[usable]
        used, starts = np.unique(series[usable], return_index=True)
        self.unused = np.setdiff1d(np.arange(panel.num_series), used)
        self.max_queries = int(min(max_queries, ahead.max()))
        self.origins = origins
        self._origins, self._ahead = tf.constant(origins), tf.constant(np.maximum(ahead, 0))
        self._starts = tf.constant(starts.astype("int64"))
        self._sizes = tf.constant(np.diff(np.append(starts, origins.size)).astype("int64"))
        self._held_out = (allowed, reach[allowed] - allowed, allowed >= panel.offsets[:-1])

    @property
    def num_windows(self) -> int:
        """Number of different training windows."""
        return self._origins.shape[0]

    def validation(self) -> "IrregularHeldOut":
        """Return one window a series that ends where the time held out begins, with the horizon after it."""
        origins, counts, known = self._held_out
        keep = known & (counts > 0)
        if not keep.any():
            raise DataError("No series is longer than the time held out. Use a smaller `val_size`.")
        return IrregularHeldOut(self.observations, origins[keep], counts[keep], self.batch_size)

    def draw(self, step, seeds: Sequence[int]):
        """Return inputs (`values` `(M, B, P)`, ...) and targets `(M, B, Q)`, a function of step and seeds alone.

        Args:
            step: number of the training step, scalar tensor.
            seeds: one integer a member; each member draws its own windows.
        """
        uniform = uniforms(3 + self.max_queries, self.batch_size, step, seeds)
        series = choose(uniform[:, 0], tf.shape(self._sizes, "int64")[0])
        origin = tf.gather(self._starts, series) + choose(uniform[:, 1], tf.gather(self._sizes, series))
        origin = tf.gather(self._origins, origin)
        inputs = self.observations.history(origin)
        emptied = uniform[:, 2] < self.emptied
        inputs["values"] = tf.where(emptied[..., None], _UNKNOWN, inputs["values"])
        shift = tf.transpose(uniform[:, 3:], (0, 2, 1))
        query, targets = self.observations.after(
            origin, tf.gather(self._ahead, origin), self.max_queries, shift
        )
        return {**inputs, "query_times": query}, targets


class IrregularHeldOut:
    """Windows at given origins, for validation.

    Args:
        observations: the panel's.
        origins: rows of the origins.
        counts: observations in the horizon after each.
        batch_size: windows in a batch. Defaults to 256.
    """

    def __init__(
        self, observations: Observations, origins: np.ndarray, counts: np.ndarray, batch_size: int = 256
    ):
        self.origins, self._counts = origins, tf.constant(counts)
        self._observations, self.batch_size = observations, batch_size
        self._num_points = int(min(counts.max(), 1024))

    def batches(self) -> tf.data.Dataset:
        """Return pairs of origin and its number in batches."""
        return tf.data.Dataset.range(len(self.origins)).batch(self.batch_size)

    def gather(self, numbers):
        """Return inputs (`values` `(1, B, P)`, ...) and targets `(1, B, Q)` of these windows."""
        origins = tf.gather(tf.constant(self.origins), numbers)[None]
        counts = tf.gather(self._counts, numbers)[None]
        query, targets = self._observations.after(origins, counts, self._num_points, 0.0)
        return {**self._observations.history(origins), "query_times": query}, targets


def _spread(count, num_points: int, shift):
    """Return `num_points` of the numbers 0 .. count - 1, evenly spread from 0 on, and which of them there are.

    Args:
        count: `(..., 1)` int64.
        num_points: how many to take, all where count is not more.
        shift: where in each of the equal parts, in [0, 1).
    """
    place = tf.range(num_points, dtype="int64")
    part = (tf.cast(place, "float64") + shift) * tf.cast(count, "float64") / num_points
    spread = tf.where(count > num_points, tf.cast(part, "int64"), place)
    inside = place < count
    return tf.where(inside, spread, 0), inside
