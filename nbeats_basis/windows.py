"""Training windows, drawn inside the compiled step from one flat array on the device."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from nbeats_basis.checks import DataError
from nbeats_basis.panel import Panel


class Windows:
    """Windows of a panel: `window` steps up to an observed origin and the `horizon` steps after it.

    The series lie one after another in one array, one value a step and NaN where not observed, with NaN between them;
    a gap longer than any window can see is shortened. So a window is one gather.

    Args:
        panel: the series.
        window: L, steps of history, at least 1.
        horizon: H, steps to forecast, at least 1.
        batch_size: B, windows a member draws in a step. Defaults to 256.
        holdout: steps at the end of each series kept from training. Defaults to 0.
        recent: draw origins only from the last `recent` steps of each series' training part. Defaults to None, all.

    Raises:
        DataError: no series has two observations and one to forecast.

    Source: sampling of Oreshkin et al. 2020, appendix D.1: series uniformly, then an origin.
    """

    def __init__(
        self,
        panel: Panel,
        window: int,
        horizon: int,
        batch_size: int = 256,
        holdout: int = 0,
        recent: int | None = None,
    ):
        self.window, self.horizon, self.batch_size = window, horizon, batch_size
        values, first, last = _lay_out(panel, window + horizon)
        stop = last - holdout  # the last row that training may see
        training = values.copy() if holdout else values
        if holdout:
            hidden = (last - np.maximum(stop, first - 1)).astype("int64")
            rows = np.repeat(last + 1 - np.cumsum(hidden), hidden) + np.arange(hidden.sum())
            training[rows] = np.nan
        origins = _eligible(training, window, horizon)
        series = np.searchsorted(last, origins)
        if recent is not None:
            keep = origins > stop[series] - recent
            origins, series = origins[keep], series[keep]
        if not origins.size:
            raise DataError(
                "No series is long enough to learn from: each needs at least two observations and one to forecast "
                f"before the {holdout} steps held out. Received: {panel.num_series} series, the longest of "
                f"{np.diff(panel.offsets).max()} observations."
            )
        used, starts = np.unique(series, return_index=True)
        self.unused = np.setdiff1d(np.arange(panel.num_series), used)
        self._values = tf.constant(training)
        self._origins = tf.constant(origins)
        self._starts = tf.constant(starts.astype("int64"))
        self._counts = tf.constant(np.diff(np.append(starts, origins.size)).astype("int64"))
        self._held_out = (values, first, last, stop)

    @property
    def num_windows(self) -> int:
        """Number of different training windows."""
        return self._origins.shape[0]

    def validation(self) -> "HeldOut":
        """Return the windows whose targets are the steps held out, every `horizon` steps from their beginning."""
        values, first, last, stop = self._held_out
        count = -(-(last - stop).max() // self.horizon)
        starts = (stop[:, None] + self.horizon * np.arange(count)).ravel()
        limit, floor = np.repeat(last, count), np.repeat(first, count)
        starts = starts[(starts >= floor) & (starts < limit)]
        return HeldOut(values, starts, self.window, self.horizon, self.batch_size)

    def draw(self, step, seeds: Sequence[int]):
        """Return inputs `(M, B, L)` and targets `(M, B, H)` of random windows, a function of step and seeds alone.

        Args:
            step: number of the training step, scalar tensor.
            seeds: one integer a member; each member draws its own windows.
        """
        step = tf.cast(step, "int32")
        shape = (2, self.batch_size)
        uniform = tf.stack(
            [tf.random.stateless_uniform(shape, [seed, step], dtype="float64") for seed in seeds]
        )
        series = _scaled(uniform[:, 0], tf.shape(self._counts, "int64")[0])
        origin = tf.gather(self._starts, series) + _scaled(uniform[:, 1], tf.gather(self._counts, series))
        return _gather(self._values, tf.gather(self._origins, origin), self.window, self.horizon)


class HeldOut:
    """Windows at given origins, for validation.

    Args:
        values: the flat array of `Windows`.
        origins: rows of the origins.
        window: L, steps of history.
        horizon: H, steps to forecast.
        batch_size: windows in a batch. Defaults to 256.
    """

    def __init__(self, values, origins: np.ndarray, window: int, horizon: int, batch_size: int = 256):
        if not len(origins):
            raise DataError("No series is longer than the steps held out. Use a smaller `val_size`.")
        self._values = tf.constant(values)
        self.origins, self.window, self.horizon, self.batch_size = origins, window, horizon, batch_size

    def batches(self) -> tf.data.Dataset:
        """Return the origins in batches."""
        return tf.data.Dataset.from_tensor_slices(self.origins).batch(self.batch_size)

    def gather(self, origins):
        """Return inputs `(1, B, L)` and targets `(1, B, H)` of windows at these origins."""
        return _gather(self._values, origins[None], self.window, self.horizon)


def _gather(values, origins, window: int, horizon: int):
    rows = origins[..., None] + tf.range(1 - window, horizon + 1, dtype="int64")
    both = tf.gather(values, rows)
    return both[..., :window], both[..., window:]


def _scaled(uniform, count):
    """Return integers in [0, count) from uniform numbers in [0, 1)."""
    return tf.minimum(tf.cast(uniform * tf.cast(count, "float64"), "int64"), count - 1)


def _lay_out(panel: Panel, reach: int):
    """Return the flat array and each series' first and last row in it."""
    gaps = np.diff(panel.steps, prepend=0)
    gaps[panel.offsets[:-1]] = reach  # NaN between the series, as much as a window spans
    rows = np.cumsum(np.minimum(gaps, reach))
    values = np.full(rows[-1] + reach + 1, np.nan)
    values[rows] = panel.values
    return values, rows[panel.offsets[:-1]], rows[panel.offsets[1:] - 1]


def _eligible(values: np.ndarray, window: int, horizon: int) -> np.ndarray:
    """Return the observed rows with another observation in the window before and one in the horizon after."""
    count = np.concatenate([[0], np.cumsum(~np.isnan(values))])
    rows = np.flatnonzero(~np.isnan(values))
    before = count[rows] - count[np.maximum(rows - max(window - 1, 1), 0)]
    after = count[np.minimum(rows + horizon + 1, len(values))] - count[rows + 1]
    return rows[(before > 0) & (after > 0)]
