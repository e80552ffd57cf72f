"""Training windows, drawn inside the compiled step from one flat array on the device."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from nbeats_basis.checks import DataError
from nbeats_basis.draws import choose, uniforms
from nbeats_basis.panel import Panel


class Windows:
    """Windows of a panel: `window` steps up to an observed origin and the `horizon` steps after it.

    The series lie one after another in one array, one value a step and NaN where not observed; a gap longer than any window
    can see is shortened. So a window is one gather, and its cost that of the window, whatever the panel's size.

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
        values, rows = _lay_out(panel, window + horizon + 1)
        end = panel.last_steps - holdout  # the last step that training may see
        begin = np.zeros_like(end) if recent is None else np.maximum(end - recent + 1, 0)
        ends = end + horizon * np.arange(-(-min(holdout, panel.last_steps.max()) // horizon))[:, None]
        if rows is None:  # every row after the first and before the last
            first, last, origins = panel.offsets[:-1], panel.offsets[1:] - 1, None
            stop, held_out = first + end, first + ends
            starts = first + np.maximum(begin, 1)
            counts = np.maximum(stop - starts, 0)
        else:
            first, last = rows[panel.offsets[:-1]], rows[panel.offsets[1:] - 1]
            stop, *held_out = (_rows_of(each, panel, rows, window) for each in (end, *ends))
            followed = np.append(panel.until(end)[1:], False)
            usable = _near(panel.steps, max(window - 1, 1), horizon) & followed
            usable &= ~panel.until(begin - 1)
            counts = np.bincount(panel.series[usable], minlength=panel.num_series)
            origins, starts = rows[usable], np.cumsum(counts) - counts
        if not counts.any():
            part = "" if recent is None else f", of which training sees the last recent={recent} steps alone"
            raise DataError(
                "No series is long enough to learn from: each needs at least two observations and one to forecast "
                f"before the {holdout} steps held out. Received: {panel.num_series} series, the longest of "
                f"{np.diff(panel.offsets).max()} observations{part}."
            )
        self.num_windows, self.unused = int(counts.sum()), np.flatnonzero(counts == 0)
        self._values, self._origins = tf.constant(values), None if origins is None else tf.constant(origins)
        used = counts > 0
        self._series = [tf.constant(x[used]) for x in (starts, counts, first, stop)]
        self._held_out = np.reshape(held_out, ends.shape), first, last

    def validation(self) -> "HeldOut":
        """Return the windows whose targets are the steps held out, every `horizon` steps from their beginning."""
        starts, first, last = self._held_out
        starts = starts.T[((starts >= first) & (starts < last)).T]
        return HeldOut(self._values, starts, last, self.window, self.horizon, self.batch_size)

    def draw(self, step, seeds: Sequence[int]):
        """Return inputs `(M, B, L)` and targets `(M, B, H)` of random windows, a function of step and seeds alone.

        Args:
            step: number of the training step, scalar tensor.
            seeds: one integer a member; each member draws its own windows.
        """
        uniform = uniforms(2, self.batch_size, step, seeds)
        series = choose(uniform[:, 0], tf.shape(self._series[0], "int64")[0])
        start, count, first, stop = (tf.gather(x, series) for x in self._series)
        origin = start + choose(uniform[:, 1], count)
        if self._origins is not None:
            origin = tf.gather(self._origins, origin)
        return _gather(self._values, origin, first, stop, self.window, self.horizon)


class HeldOut:
    """Windows at given origins, for validation.

    Args:
        values: the flat array of `Windows`.
        origins: rows of the origins.
        last: `(S,)`, the last row of each series.
        window: L, steps of history.
        horizon: H, steps to forecast.
        batch_size: windows in a batch. Defaults to 256.
    """

    def __init__(
        self,
        values,
        origins: np.ndarray,
        last: np.ndarray,
        window: int,
        horizon: int,
        batch_size: int = 256,
    ):
        if not len(origins):
            raise DataError("No series is longer than the steps held out. Use a smaller `val_size`.")
        self._values, self._last = values, tf.constant(last)
        self.origins, self.window, self.horizon, self.batch_size = origins, window, horizon, batch_size

    def batches(self) -> tf.data.Dataset:
        """Return the origins in batches."""
        return tf.data.Dataset.from_tensor_slices(self.origins).batch(self.batch_size)

    def gather(self, origins):
        """Return inputs `(1, B, L)` and targets `(1, B, H)` of windows at these origins."""
        series = tf.searchsorted(self._last, origins)
        last = tf.gather(self._last, series)
        first = tf.where(series > 0, 1 + tf.gather(self._last, tf.maximum(series - 1, 0)), 0)
        bounds = (x[None] for x in (origins, first, last))
        return _gather(self._values, *bounds, self.window, self.horizon)


def _gather(values, origins, first, last, window: int, horizon: int):
    """Return the float64 values before and after the origins, NaN outside of rows `first` to `last`."""
    rows = origins[..., None] + tf.range(1 - window, horizon + 1, dtype="int64")
    inside = (rows >= first[..., None]) & (rows <= last[..., None])
    both = tf.cast(tf.gather(values, tf.where(inside, rows, 0)), "float64")
    both = tf.where(inside, both, np.float64("nan"))
    return both[..., :window], both[..., window:]


def _lay_out(panel: Panel, reach: int) -> tuple:
    """Return the flat array and each observation's row in it.

    Rows are None where each series is observed at every step, so that the array is that of the panel.
    """
    if (panel.last_steps == np.diff(panel.offsets) - 1).all():
        return panel.values, None
    gaps = np.diff(panel.steps, prepend=0)
    gaps[panel.offsets[:-1]] = 1
    rows = np.cumsum(np.minimum(gaps, reach)) - 1
    values = np.full(rows[-1] + 1, np.nan, panel.values.dtype)
    values[rows] = panel.values
    return values, rows


def _rows_of(times: np.ndarray, panel: Panel, rows: np.ndarray, window: int) -> np.ndarray:
    """Return the row of a step of each series, `(S,)`, below its first where the step is.

    Where the step is in a gap that is shortened, its row is as far from the observations about it as it is, as far as windows see.

    Args:
        times: `(S,)`, steps since the first observation, at most the last.
        panel: the series.
        rows: of `_lay_out`, `(N,)`.
        window: L, steps of history.
    """
    known = np.add.reduceat(panel.until(times), panel.offsets[:-1], dtype="int64")
    before = panel.offsets[:-1] + np.maximum(known - 1, 0)
    after = np.minimum(before + 1, panel.offsets[1:] - 1)
    since, left = times - panel.steps[before], panel.steps[after] - times
    place = np.maximum(np.minimum(since, window), rows[after] - rows[before] - left)
    return rows[before] + np.where(known > 0, place, -1)


def _near(steps: np.ndarray, before: int, after: int) -> np.ndarray:
    """Return which observations have another at most `before` steps earlier and one at most `after` later, `(N,)`."""
    gaps = np.diff(steps, prepend=0, append=0)  # not above 0 between series
    close = gaps > 0
    return close[:-1] & (gaps[:-1] <= before) & close[1:] & (gaps[1:] <= after)
