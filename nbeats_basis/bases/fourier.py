"""Cosines and sines of several periods."""

from collections.abc import Sequence
from itertools import pairwise

import keras
import numpy as np
from keras import ops

from nbeats_basis.bases.base import Basis, join
from nbeats_basis.checks import check_choice, check_int
from nbeats_basis.durations import duration

PHASES = ("window", "calendar")


@keras.saving.register_keras_serializable(package="nbeats_basis")
class Fourier(Basis):
    r"""Harmonics of one or several periods.

    For each period p and its harmonics k, 1 to n or those given: cos(2 pi k (t - t0) / p), then the sines in the same order. No
    constant term.

    Args:
        periods: periods in units of time, each positive, or durations such as "7D".
        harmonics: n, number of harmonics, one integer for all periods or one each, at least 0 (0 drops a period), or for a period a
            list of its k, positive and ascending.
        origin: t0, the time of phase zero. Defaults to 0.0.
        learnable: True to learn a factor on each period (one per member), starting at 1. Defaults to False.
        phase: "window" to count time from the forecast origin, "calendar" to add the origin's absolute time: from
            1970 for stamps. Defaults to "window".
        time_unit: what durations are counted in; a `Forecaster` uses its own instead. Defaults to "D".

    Raises:
        TypeError: `periods` are no list.
        ValueError: a period is not positive, the numbers of `periods` and `harmonics` differ, or a list of harmonics does not ascend.

    Example:
        >>> import nbeats_basis as nb
        >>> nb.bases.Fourier(["7D", 365.25], harmonics=[3, 6]).num_terms
        18

    Source: Oreshkin et al. 2020, section 3.3; Taylor & Letham 2018, equation 5.
    """

    def __init__(
        self,
        periods: Sequence[float | str],
        harmonics: int | Sequence[int | Sequence[int]],
        origin: float = 0.0,
        learnable: bool = False,
        phase: str = "window",
        time_unit: str = "D",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if isinstance(periods, str) or not np.iterable(periods):
            raise TypeError(f"`periods` must be a list. Received: periods={periods!r}")
        self.periods, self.time_unit = tuple(periods), time_unit
        self._lengths = np.array([duration("periods", p, time_unit) for p in self.periods])
        counts = _each(self.periods, harmonics)
        if len(counts) != len(self.periods):
            raise ValueError(
                "`harmonics` must be one integer, or one for each period. "
                f"Received: periods={periods!r}, harmonics={harmonics!r}"
            )
        self._multiples = [_multiples(each) for each in counts]
        self.harmonics = tuple(each if isinstance(each, list) else len(each) for each in self._multiples)
        self.origin = float(origin)
        self.learnable = bool(learnable)
        self.phase = check_choice("phase", phase, PHASES)

    @property
    def num_terms(self) -> int:
        """Two for each harmonic."""
        return 2 * sum(map(len, self._multiples))

    def copy(self, time_unit: str | None = None) -> "Fourier":
        """Return an unbuilt basis of the same arguments.

        Args:
            time_unit: unit that durations are counted in; None keeps the basis' own. Defaults to None.
        """
        return type(self).from_config({**self.get_config(), "time_unit": time_unit or self.time_unit})

    def build(self, times_shape, origin_shape=None):
        """Create the logarithms of the factors on the periods, if they are learned."""
        if self.learnable:
            self.log_factor = self.member_weight(
                "log_factor", (len(self.periods),), lambda rng, shape: np.zeros(shape)
            )

    def evaluate_from(self, times, order: int, origin):
        """Put the pieces together."""
        return join(self.pieces(times, order, origin))

    def pieces(self, times, order: int, origin) -> list:
        """Evaluate each period's first harmonic, the others by the sums of its angle; each derivative is a quarter turn."""
        terms = []
        for i, multiples in enumerate(self._multiples):
            rate = self._rates(times.dtype)[..., i]
            turns = (times - self.origin) * rate
            if self.phase == "calendar" and origin is not None:  # in float64: the origin may be decades away
                start = ops.cast(origin, "float64")[..., None] * self._rates("float64")[..., i]
                turns += ops.cast(start - ops.floor(start), times.dtype)
            cos, sin = _up_to(2 * np.pi * (turns - ops.round(turns)), max(multiples, default=0))
            cos, sin = ([each[k - 1] for k in multiples] for each in (cos, sin))
            for _ in range(order % 4):
                cos, sin = [-s for s in sin], cos
            if order:
                speeds = [(2 * np.pi * k * rate) ** order for k in multiples]
                cos, sin = ([x * v for x, v in zip(each, speeds, strict=True)] for each in (cos, sin))
            terms += [*cos, *sin]
        return [term[..., None, :] for term in terms] or [times[..., None, :][..., :0, :]]

    def oscillations(self) -> tuple:
        """Return all harmonics; none decays."""
        counts = [len(multiples) for multiples in self._multiples]
        sines = np.repeat(counts, counts)  # so many after their cosines
        cosines = np.arange(sum(counts)) + np.repeat(np.cumsum([0, *counts])[:-1], counts)
        index = np.repeat(np.arange(len(counts)), counts)
        multiple = np.concatenate([[], *self._multiples])
        rates = self._rates("float32")
        rates = rates if len(rates.shape) == 1 else rates[:, 0, 0]
        rates = ops.take(rates, index, axis=-1) * ops.cast(multiple, "float32")
        return cosines, cosines + sines, rates, ops.zeros_like(rates)

    def _rates(self, dtype):
        """Return each period's turns per unit of time, `(n,)`, or `(M, 1, 1, n)` where learned by members."""
        rates = ops.cast(1 / self._lengths, dtype)
        if not self.learnable:
            return rates
        rates = rates * ops.exp(-ops.cast(self.log_factor, dtype))
        return rates if self.seeds is None else rates[:, None, None, :]

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "periods": list(self.periods),
            "harmonics": list(self.harmonics),
            "origin": self.origin,
            "learnable": self.learnable,
            "phase": self.phase,
            "time_unit": self.time_unit,
        }


def harmonics_of(periods: Sequence[float], harmonics, on_grid: bool) -> list:
    """Return the harmonics of each period: as given, or all up to half the period in steps, at most 12; 4 at irregular times.

    Args:
        periods: in steps or units of time.
        harmonics: one integer, one or a list each, or None.
        on_grid: whether times are steps.
    """
    if harmonics is None:
        return [min(12, int(p / 2)) if on_grid else 4 for p in periods]
    return _each(periods, harmonics)


def distinct(periods: Sequence[float], harmonics: Sequence) -> list[list[int]]:
    """Return the harmonics of each period that are not those of one before it.

    Args:
        periods: in steps or units of time.
        harmonics: number of each, or a list.
    """
    known, found = np.zeros(0), []
    for period, each in zip(periods, harmonics, strict=True):
        multiples = np.array(_multiples(each))
        rates = multiples / period
        new = ~np.isclose(rates[:, None], known, rtol=1e-9, atol=0).any(axis=1)
        known = np.concatenate([known, rates])
        found.append(multiples[new].tolist())
    return found


def _each(periods, harmonics) -> list:
    return list(harmonics) if np.iterable(harmonics) else [harmonics] * len(periods)


def _multiples(harmonics):
    """Return the multiples of a period's frequency, 1 to a number of harmonics or those listed, checked."""
    if not np.iterable(harmonics):
        return range(1, check_int("harmonics", harmonics, 0) + 1)
    multiples = [int(check_int("harmonics", k)) for k in harmonics]
    if any(after <= before for before, after in pairwise(multiples)):
        raise ValueError(f"A list of `harmonics` must ascend. Received: {multiples}")
    return multiples


def _up_to(angle, count: int):
    """Return the cosines and the sines of 1, ..., `count` times an angle `(..., T)`, a list of `(..., T)` each."""
    if not count:
        return [], []
    cos, sin = [ops.cos(angle)], [ops.sin(angle)]
    for k in range(1, count):  # that of k + 1 from those of its halves: errors grow with the logarithm
        i, j = k // 2, (k - 1) // 2
        cos.append(cos[i] * cos[j] - sin[i] * sin[j])
        sin.append(sin[i] * cos[j] + cos[i] * sin[j])
    return cos, sin
