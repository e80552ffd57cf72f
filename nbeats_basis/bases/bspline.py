"""B-splines, with straight or level continuation outside their span."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from nbeats_basis.bases.base import Basis
from nbeats_basis.checks import check_choice, check_int

EXTRAPOLATIONS = ("linear", "constant")


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
        self._tables: dict[int, np.ndarray] = {}

    @property
    def num_terms(self) -> int:
        """Number of intervals + degree."""
        return len(self.knots) - 1 + self.degree

    @property
    def nodes(self) -> np.ndarray:
        """Greville's nodes `(K,)`: with these as coefficients the sum of the splines is t itself."""
        padded = _padded(self.knots, self.degree)
        return np.stack([padded[k + 1 : k + 1 + self.degree].mean() for k in range(self.num_terms)])

    @property
    def penalty(self) -> np.ndarray:
        """Second-difference penalty P `(K, K)`: c' P c sums the squared second differences of the coefficients c.

        Differences are divided by the nodes' distances, in units of their mean: straight lines cost nothing.
        """
        nodes = self.nodes / np.diff(self.nodes).mean()
        difference = np.eye(self.num_terms)
        for order in (1, 2):
            difference = order * np.diff(difference, axis=0) / (nodes[order:] - nodes[:-order])[:, None]
        return difference.T @ difference

    def evaluate(self, times, order: int):
        """Evaluate the polynomial of the interval each time lies in."""
        breaks = np.asarray(self.knots)
        after = ops.cast(times[..., None] >= ops.cast(breaks, times.dtype), times.dtype)
        one, zero = ops.ones_like(times)[..., None], ops.zeros_like(times)[..., None]
        piece = ops.concatenate([one, after], axis=-1) - ops.concatenate([after, zero], axis=-1)
        origins = np.concatenate([breaks[:1], breaks])  # of each interval's own time, and its unit
        units = np.concatenate([[1.0], np.diff(breaks), [1.0]])
        table = self._table(order)
        place = ops.sum(
            piece * ops.cast(1 / units, times.dtype) * (times[..., None] - ops.cast(origins, times.dtype)),
            axis=-1,
        )
        powers = [ops.ones_like(place)]
        for _ in range(self.degree):
            powers.append(powers[-1] * place)
        local = piece[..., None] * ops.stack(powers, axis=-1)[..., None, :]
        local = ops.reshape(local, (*ops.shape(times), table.shape[0]))
        return ops.matmul(local, ops.cast(table, times.dtype))

    def _table(self, order: int) -> np.ndarray:
        """Return the coefficients of each spline on each interval, the two outside included, `(I (degree + 1), K)`."""
        if order not in self._tables:
            self._tables[order] = _pieces(
                np.asarray(self.knots), self.degree, order, self.extrapolate == "linear"
            )
        return self._tables[order]

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "knots": list(self.knots),
            "degree": self.degree,
            "extrapolate": self.extrapolate,
        }


def _padded(knots: Sequence[float], degree: int) -> np.ndarray:
    return np.concatenate([[knots[0]] * degree, knots, [knots[-1]] * degree])


def _pieces(knots: np.ndarray, degree: int, order: int, linear: bool) -> np.ndarray:
    """Return the polynomials of all splines by intervals, differentiated `order` times in time."""
    intervals = len(knots) - 1
    inner = np.stack([_interval(knots, degree, i) for i in range(intervals)])  # (I, degree + 1, K)
    outer = np.zeros((2, *inner.shape[1:]))
    outer[0, 0], outer[1, 0] = inner[0, 0], inner[-1].sum(axis=0)
    if linear:
        width = np.diff(knots)[[0, -1], None]
        slopes = np.stack([inner[0, 1], np.arange(degree + 1) @ inner[-1]]) / width
        outer[:, 1] = slopes
    pieces = np.concatenate([outer[:1], inner, outer[1:]])
    units = np.concatenate([[1.0], np.diff(knots), [1.0]])
    for _ in range(order):
        lower = np.arange(1, degree + 1)[:, None] * pieces[:, 1:] / units[:, None, None]
        pieces = np.concatenate([lower, np.zeros_like(pieces[:, :1])], axis=1)
    return pieces.reshape(-1, inner.shape[-1])


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
