"""B-splines, with straight or level continuation outside their span."""

from collections.abc import Sequence
from math import prod

import keras
import numpy as np
from keras import ops

from nbeats_basis.bases.base import Basis
from nbeats_basis.checks import check_choice, check_int

EXTRAPOLATIONS = ("linear", "constant")
_OCTAVES = 6  # the finest interval beside the origin is this many halvings of the span


@keras.saving.register_keras_serializable(package="nbeats_basis")
class BSpline(Basis):
    r"""B-splines B_1..B_K of one degree: each lives on a few intervals between knots, and all sum to one.

    The end knots are repeated, so that the first and the last spline are 1 at the ends of the span. Outside the span each
    spline goes on along its tangent, or stays at its end value: the sum is one everywhere.

    Args:
        num_terms: K, at least `degree` + 1, over equal intervals; None where `knots` are given. Defaults to None.
        knots: increasing times between which the splines are polynomials, both ends included, instead of `num_terms`.
            Defaults to None.
        degree: 1 linear, 3 cubic, at least 1. Defaults to 3.
        span: (a, b), a < b, with `num_terms`, in units of time. Defaults to (-1.0, 1.0).
        extrapolate: "linear" or "constant", outside the span. Defaults to "linear".
        learnable: True to learn the shares of the span between knots (one set a member); its ends stay. Defaults to False.

    Raises:
        ValueError: neither or both of `num_terms` and `knots`, or knots that do not increase.

    Example:
        >>> import nbeats_basis as nb
        >>> nb.bases.BSpline(knots=[0, 1, 2], degree=1)([0.5, 1.0]).numpy()
        array([[0.5, 0.5, 0. ], [0. , 1. , 0. ]], dtype=float32)

    Source: de Boor 2001, chapter IX; Eilers & Marx 1996 (penalty).
    """

    def __init__(
        self,
        num_terms: int | None = None,
        knots: Sequence[float] | None = None,
        degree: int = 3,
        span: Sequence[float] = (-1.0, 1.0),
        extrapolate: str = "linear",
        learnable: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.degree = check_int("degree", degree)
        self.extrapolate = check_choice("extrapolate", extrapolate, EXTRAPOLATIONS)
        if (num_terms is None) == (knots is None):
            raise ValueError(
                f"Give one of `num_terms` and `knots`. Received: num_terms={num_terms!r}, knots={knots!r}"
            )
        if knots is None:
            count = check_int("num_terms", num_terms, self.degree + 1)
            knots = np.linspace(*map(float, span), count - self.degree + 1)
        self.knots = tuple(float(x) for x in knots)
        if len(self.knots) < 2 or not np.isfinite(self.knots).all() or np.diff(self.knots).min() <= 0:
            raise ValueError(f"`knots`, or the ends of `span`, must increase. Received: {self.knots}")
        self.learnable = bool(learnable)
        if self.learnable and len(self.knots) < 3:
            raise ValueError(f"`learnable` needs a knot inside the span. Received: knots={self.knots}")
        widths = np.diff(self.knots)
        pieces = np.stack(
            [_interval(np.asarray(self.knots), self.degree, i) for i in range(len(widths))], axis=1
        )
        self._start, self._increments = pieces[0, 0], pieces[1:]  # (K,), (degree, intervals, K)
        ends = np.stack([pieces[1, 0], np.arange(self.degree + 1) @ pieces[:, -1]])
        self._tangents = ends / widths[[0, -1], None]  # (2, K)

    @property
    def num_terms(self) -> int:
        """Number of intervals + degree."""
        return len(self.knots) - 1 + self.degree

    @property
    def nodes(self) -> np.ndarray:
        """Greville's nodes `(K,)` of the knots given, not of learned ones: with these as coefficients the sum of the splines is t itself."""
        padded = _padded(self.knots, self.degree)
        return np.stack([padded[k + 1 : k + 1 + self.degree].mean() for k in range(self.num_terms)])

    @property
    def penalty(self) -> np.ndarray:
        """Second-difference penalty P `(K, K)`: c' P c sums the squared second differences of the coefficients c.

        Where the nodes are unequally apart, a second difference is twice the distance of a coefficient from the straight
        line through its neighbours: straight lines cost nothing.
        """
        gaps = np.diff(self.nodes)
        before, after = gaps[:-1], gaps[1:]
        rows = np.arange(len(gaps) - 1)
        difference = np.zeros((len(rows), self.num_terms))
        difference[rows, rows] = 2 * after / (before + after)
        difference[rows, rows + 1] = -2
        difference[rows, rows + 2] = 2 * before / (before + after)
        return difference.T @ difference

    def build(self, times_shape, origin_shape=None):
        """Create the logarithms of the factors on the knots' distances, if they are learned."""
        if self.learnable:
            size = (len(self.knots) - 1,)
            self.log_factor = self.member_weight("log_factor", size, lambda rng, shape: np.zeros(shape))

    def _evaluate_learned(self, times, order: int):
        """Evaluate by the recursion of Cox and de Boor, through which gradients reach the knots."""
        first, last = (ops.cast(np.asarray(self.knots[i]), times.dtype) for i in (0, -1))
        shares = ops.softmax(
            ops.cast(np.log(np.diff(self.knots)), times.dtype) + ops.cast(self.log_factor, times.dtype)
        )
        knots = first + (last - first) * ops.cumsum(shares, axis=-1)[..., :-1]
        knots = knots if self.seeds is None else knots[:, None, None, :]
        inside = ops.clip(times, first, last)
        values = _recursion(knots, first, last, self.degree, inside, order)
        if self.extrapolate == "linear" and order == 0:
            tangent = _recursion(knots, first, last, self.degree, inside, 1)
            return values + (times - inside)[..., None] * tangent
        level = order and (order > 1 or self.extrapolate == "constant")
        within = ops.logical_and(times >= first, times < last)
        return values * ops.cast(within, times.dtype)[..., None] if level else values

    def evaluate(self, times, order: int):
        """Add up what each interval contributes on the way to t: a sum of increments, so that nothing cancels.

        With u_i = clip((t - x_i) / h_i, 0, 1) a spline is its value at the first knot + the sum over the intervals i and
        the powers d of C[d, i] u_i^d, + its tangent times the way outside the span.
        """
        breaks, dtype = np.asarray(self.knots), times.dtype
        if self.learnable:
            return self._evaluate_learned(times, order)
        width = np.diff(breaks)
        place = times[..., None] * ops.cast(1 / width, dtype) - ops.cast(breaks[:-1] / width, dtype)
        if order == 0:
            powers = [ops.clip(place, 0.0, 1.0)]
        else:
            begun = ops.cast(times[..., None] >= ops.cast(breaks, dtype), dtype)
            powers = [begun[..., :-1] - begun[..., 1:]]  # of one interval, whatever is rounded
        for _ in range(max(order, 1), self.degree):
            powers.append(powers[-1] * place if order else powers[-1] * powers[0])
        factors = [prod(range(d - order + 1, d + 1)) for d in range(max(order, 1), self.degree + 1)]
        increments = (
            self._increments[max(order, 1) - 1 :] * np.reshape(factors, (-1, 1, 1)) / width[:, None] ** order
        )
        increments = increments.reshape(-1, self.num_terms)
        if self.extrapolate == "linear" and order < 2:
            outside = [ops.minimum(times - breaks[0], 0.0), ops.maximum(times - breaks[-1], 0.0)]
            if order:
                outside = [ops.cast(times < breaks[0], dtype), ops.cast(times >= breaks[-1], dtype)]
            powers.append(ops.stack(outside, axis=-1))
            increments = np.concatenate([increments, self._tangents])
        if not len(increments):
            return ops.zeros_like(place[..., :1]) * ops.cast(self._start, dtype)
        values = ops.matmul(ops.concatenate(powers, axis=-1), ops.cast(increments, dtype))
        return values if order else values + ops.cast(self._start, dtype)

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "knots": list(self.knots),
            "degree": self.degree,
            "extrapolate": self.extrapolate,
            "learnable": self.learnable,
        }


def _recursion(knots, first, last, degree: int, times, order: int):
    """Return a derivative of the splines `(..., T, K)` at times `(..., T)` inside the span, for knots `(..., N)` inside it."""
    times = times[..., None]
    interval = ops.sum(ops.cast(times >= knots, "int32"), axis=-1)
    values = ops.one_hot(interval + degree, knots.shape[-1] + 1 + 2 * degree, dtype=times.dtype)
    ends = [ops.broadcast_to(end, (*knots.shape[:-1], degree + 1)) for end in (first, last)]
    knots = ops.concatenate([ends[0], knots, ends[1]], axis=-1)
    for p in range(1, degree + 1):
        starts, stops = knots[..., :-p], knots[..., p:]
        gap = stops - starts
        share = ops.where(gap > 0, 1 / ops.where(gap > 0, gap, 1), 0)
        if p > degree - order:
            rising = falling = p * share
            falling = -falling
        else:
            rising, falling = (times - starts) * share, (stops - times) * share
        values = rising[..., :-1] * values[..., :-1] + falling[..., 1:] * values[..., 1:]
    return values if order <= degree else ops.zeros_like(values)


def octaves(length: float) -> list[float]:
    """Return 0 and `length` with its halves, quarters, ... in between: knots that are finer nearer 0.

    Args:
        length: the last knot, in units of time.
    """
    return [0.0, *(length / 2.0**k for k in range(_OCTAVES, -1, -1))]


def _padded(knots: Sequence[float], degree: int) -> np.ndarray:
    return np.concatenate([[knots[0]] * degree, knots, [knots[-1]] * degree])


def _interval(knots: np.ndarray, degree: int, i: int) -> np.ndarray:
    """Return the splines on interval i as polynomials in its own time 0..1, `(degree + 1, K)`: Cox and de Boor."""
    padded = _padded(knots, degree)
    left, width = knots[i], knots[i + 1] - knots[i]
    splines = np.zeros((len(padded) - 1, degree + 1))
    splines[i + degree, 0] = 1
    for p in range(1, degree + 1):
        raised = np.zeros((len(splines) - 1, degree + 1))
        for k in range(len(raised)):
            rising, falling = padded[k + p] - padded[k], padded[k + p + 1] - padded[k + 1]
            if rising:
                raised[k] += _times(splines[k], left - padded[k], width) / rising
            if falling:
                raised[k] += _times(splines[k + 1], padded[k + p + 1] - left, -width) / falling
        splines = raised
    return splines.T


def _times(polynomial: np.ndarray, constant: float, slope: float) -> np.ndarray:
    """Return a polynomial times constant + slope u; its highest coefficient is zero."""
    return constant * polynomial + slope * np.concatenate([[0.0], polynomial[:-1]])
