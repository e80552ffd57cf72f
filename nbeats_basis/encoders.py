"""What a block's network reads of a window of irregular times: a curve through it, how uncertain it is, and the spacing."""

import keras
import numpy as np
import tensorflow as tf

from nbeats_basis.checks import check_positive
from nbeats_basis.gradients import with_gradient

_KNOTS = 128  # most knots
_RATES = 4  # weights of the spacing's summary
_SMOOTH, _SMALL = 0.01, 0.001  # weights of differences and of values in the regression, in observations
ASIDE = 0.3  # times what a network reads beside values, so that it does not drown them


@keras.saving.register_keras_serializable(package="nbeats_basis")
class RegressionEncoder(keras.layers.Layer):
    r"""Reads windows of any number of observations at any times by a masked regression on broken lines.

    The knots divide the lookback equally, at most `spacing` apart, or grow further apart with age where that would take more than 128.
    With E the hat functions of the knots at the observed times, W the mask, D the differences of neighbours, lambda = 0.01
    and epsilon = 0.001,

    - coefficients of a residual r: (E' W E + lambda D' D + epsilon I)^-1 E' W r: a line through the observations, straight
      across gaps, and falling to zero far from any;
    - uncertainty of each: 1 minus the same regression of a constant 1, 1 where nothing is near, towards 0 where data fix it;
    - spacing: log(1 + sum of exp(t / tau)) over the observations, for tau = lookback / 4^j, j = 0..3, less what it is of a
      window full of observations `spacing` apart.

    The matrix is tridiagonal, so all this is linear in observations and knots. Nothing depends on the order of the points
    or on the number of padded ones. On equally spaced times the coefficients are next to the values themselves, and the
    others next to 0.

    Args:
        lookback: length of the longest window, in units of time.
        spacing: distance of the knots next to the origin, in units of time.

    Call arguments:
        times: `(M or 1, B, L)`, 0 at the origin and not above.
        observed: `(M, B, L)`, 1 where observed, 0 elsewhere.

    Returns:
        dict for `encode`: `knot` `(M, B, L)` int32, each time's younger neighbour among all windows' knots, and its
        distance `share` from it, in [0, 1]; `diagonals` `(M, B, 3, K)` of the matrix; `ones` `(M, B, K)`, the right-hand side
        of a constant 1; `spacing` `(M, B, 4)`.

    Source: Eilers & Marx 1996, section 3, with first differences.
    """

    def __init__(self, lookback: float, spacing: float, **kwargs):
        super().__init__(autocast=False, dtype="float32", **kwargs)
        self.lookback, self.spacing = check_positive("lookback", lookback), check_positive("spacing", spacing)
        intervals = min(max(1, int(np.ceil(lookback / spacing - 1e-6))), _KNOTS - 1)
        self.num_knots, self._bend = intervals + 1, _bend(intervals * self.spacing / self.lookback)
        step = -self.spacing / self.lookback * 4.0 ** np.arange(_RATES)
        whole = np.expm1(np.ceil(self.lookback / self.spacing) * step) / np.expm1(step)  # sum of e^(i step)
        self._full = np.log1p(whole).astype("float32")

    def call(self, times, observed):
        """Return the regression's matrix and the spacing of the windows."""
        place = self._place(-times / self.lookback) * (self.num_knots - 1)
        left = tf.clip_by_value(tf.floor(place), 0, self.num_knots - 2)
        share = tf.broadcast_to(tf.clip_by_value(place - left, 0, 1), tf.shape(observed))
        window = tf.reshape(tf.range(tf.size(observed[..., 0])), tf.shape(observed[..., :1]))
        knot = window * self.num_knots + tf.cast(left, "int32")
        count, first = _moments(knot, share, observed, self.num_knots)
        second = _at_knots(knot, observed * share**2, self.num_knots)
        recent, counts = tf.exp(tf.minimum(times / self.lookback, 0.0)), []
        for _ in range(_RATES):
            counts.append(tf.reduce_sum(recent * observed, axis=-1))
            recent = (recent * recent) ** 2
        return {
            "knot": knot,
            "share": share,
            "diagonals": self._diagonals(count, first, second),
            "ones": _right(count, first),
            "spacing": tf.math.log1p(tf.stack(counts, axis=-1)) - self._full,
        }

    def _place(self, age):
        """Return where an age in lookbacks lies among the knots, from 0 to 1."""
        return (
            age if not self._bend else tf.math.log1p(self._bend * tf.maximum(age, 0)) / np.log1p(self._bend)
        )

    def _diagonals(self, count, first, second):
        """Return the tridiagonal matrix of the regression, of the moments of the shares, as TensorFlow takes it."""
        k = np.arange(self.num_knots)
        oldest = (k == self.num_knots - 1).astype("float32")
        diagonal = count - 2 * first + second + _older(second) + _SMALL + _SMOOTH * (2 - oldest - (k == 0))
        beside = first - second - _SMOOTH * (1 - oldest)
        return tf.stack([beside, diagonal, _older(beside)], axis=2)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "lookback": self.lookback, "spacing": self.spacing}


def encode(context: dict, values):
    """Return what a network reads of a residual, `(M, B, 2 K + 4)`: the curve, its uncertainty, the spacing.

    The uncertainty is the same for every residual, but solved with one it costs next to nothing.

    Args:
        context: of `RegressionEncoder`.
        values: `(M, B, L)`, 0 where not observed.
    """
    curves = _curves(*(context[key] for key in ("knot", "share", "diagonals", "ones")), values)
    beside = tf.concat([1 - curves[..., 1], context["spacing"]], axis=-1)
    return tf.concat([curves[..., 0], ASIDE * beside], axis=-1)


def encoded_size(context_shape: dict) -> int:
    """Return the size of what `encode` gives.

    Args:
        context_shape: shapes of a context's tensors.
    """
    return 2 * context_shape["ones"][-1] + context_shape["spacing"][-1]


@with_gradient
def _curves(knot, share, diagonals, ones, values):
    """Return the coefficients c = A^-1 E' r and those of a constant 1, `(M, B, K, 2)`; the gradient is dr = E A^-1 dc."""
    right = _right(*_moments(knot, share, values, ones.shape[-1]))
    curves = _solve(diagonals, tf.stack([right, ones], axis=-1))

    def gradient(upstream):
        adjoint = _solve(diagonals, upstream[..., :1])[..., 0]
        younger, older = (
            tf.gather(tf.reshape(each, [-1]), knot) for each in (adjoint, tf.roll(adjoint, -1, axis=-1))
        )
        return None, None, None, None, younger + share * (older - younger)

    return curves, gradient


def _solve(diagonals, right):
    return tf.linalg.tridiagonal_solve(diagonals, right, diagonals_format="compact", partial_pivoting=False)


def _right(total, moment):
    """Return E' W r, `(M, B, K)`, of the sums of the values and of the values times their shares."""
    return total - moment + _older(moment)


def _moments(knot, share, values, num_knots: int) -> tuple:
    """Return the sums at the knots of the values and of the values times their shares, in one pass as one complex number."""
    sums = _at_knots(knot, tf.complex(values, values * share), num_knots)
    return tf.math.real(sums), tf.math.imag(sums)


def _at_knots(knot, values, num_knots: int):
    """Return the sum of the values between each knot and the next older one, `(M, B, K)`, 0 at the last."""
    members, windows = values.shape[0], tf.shape(values)[1]
    size = members * windows * num_knots
    sums = tf.math.unsorted_segment_sum(tf.reshape(values, [-1]), tf.reshape(knot, [-1]), size)
    return tf.reshape(sums, (members, windows, num_knots))


def _older(sums):
    """Return the sums one knot older; the last is 0."""
    return tf.roll(sums, 1, axis=-1)


def _bend(resolution: float) -> float:
    """Return b such that log(1 + b x) / log(1 + b) rises 1 / `resolution` times as steeply as x at 0; 0 for 1 and above."""
    if resolution >= 1 - 1e-6:
        return 0.0
    low, high = 1e-6, 1e12
    for _ in range(200):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if np.log1p(middle) / middle > resolution else (low, middle)
    return float(high)
