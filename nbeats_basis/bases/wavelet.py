"""Wavelets of several scales, evaluated at any time."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from nbeats_basis.bases.base import Basis
from nbeats_basis.checks import check_choice, check_positive

KINDS = ("mexican_hat", "morlet", "haar", "db4")
_SUPPORT = {"mexican_hat": (-5.0, 5.0), "morlet": (-4.0, 4.0), "haar": (0.0, 1.0), "db4": (0.0, 7.0)}
_LEVELS = 10  # the table of "db4" has 2^10 steps in a unit of its time
_DB4 = (  # scaling filter of four vanishing moments, Daubechies 1992, table 6.1, with sum sqrt(2)
    0.23037781330885523,
    0.7148465705525415,
    0.6308807679295904,
    -0.02798376941698385,
    -0.18703481171888114,
    0.030841381835986965,
    0.032883011666982945,
    -0.010597401784997278,
)


@keras.saving.register_keras_serializable(package="nbeats_basis")
class Wavelet(Basis):
    r"""Wavelets psi((t - b) / a) / sqrt(a) for every scale a, at shifts b that are `spacing` a apart and cover the span.

    - mexican_hat: 2 / (sqrt(3) pi^(1/4)) (1 - x^2) e^(-x^2 / 2);
    - morlet: e^(-x^2 / 2) cos(5 x);
    - haar: 1 on [0, 1/2), -1 on [1/2, 1); its derivatives are 0;
    - db4: Daubechies' of four vanishing moments, on [0, 7], from a table joined by cubics. It has one continuous
      derivative; those of higher order are the cubics' own.

    Args:
        kind: "mexican_hat", "morlet", "haar" or "db4".
        scales: each positive, in units of time.
        span: (a, b), a < b, in units of time. Defaults to (-1.0, 1.0).
        spacing: distance of neighbours in scales, positive. Defaults to 1.0.
        learnable: True to learn a factor on the scale of each wavelet and a shift of it in scales (one set a member), not for
            "haar", whose values do not change with small ones. Defaults to False.

    Raises:
        ValueError: unknown `kind`, a scale or spacing that is not positive, an empty span, or "haar" to be learned.

    Example:
        >>> import nbeats_basis as nb
        >>> nb.bases.Wavelet("haar", scales=[1.0, 2.0], span=(0, 4)).num_terms
        6

    Source: Daubechies 1992, chapters 2 and 6; Mallat 2009, chapter 7.
    """

    def __init__(
        self,
        kind: str,
        scales: Sequence[float],
        span: Sequence[float] = (-1.0, 1.0),
        spacing: float = 1.0,
        learnable: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.kind = check_choice("kind", kind, KINDS)
        self.scales = tuple(check_positive("scales", s) for s in scales)
        self.spacing = check_positive("spacing", spacing)
        self.span = tuple(float(s) for s in span)
        if not self.scales:
            raise ValueError(f"`scales` must hold at least one number. Received: scales={scales!r}")
        if len(self.span) != 2 or not -np.inf < self.span[0] < self.span[1] < np.inf:
            raise ValueError(
                f"`span` must be two finite times, the first the earlier. Received: span={span!r}"
            )
        self.learnable = bool(learnable)
        if self.learnable and kind == "haar":
            raise ValueError(f"Haar wavelets cannot be learned. Received: kind={kind!r}, learnable=True")
        places = [(scale, shift) for scale in self.scales for shift in self._shifts(scale)]
        self._scale, self._shift = np.array(places).reshape(-1, 2).T
        self._table = _daubechies() if kind == "db4" else None

    def _shifts(self, scale: float) -> np.ndarray:
        """Return the shifts whose wavelets touch the span; those with tails are centred in it."""
        low, high = _SUPPORT[self.kind]
        step = self.spacing * scale
        if low < 0:
            count = max(1, int(np.floor((self.span[1] - self.span[0]) / step + 1e-9)) + 1)
            return sum(self.span) / 2 + step * (np.arange(count) - (count - 1) / 2)
        first = np.floor((self.span[0] - high * scale) / step + 1e-9) + 1
        last = np.ceil((self.span[1] - low * scale) / step - 1e-9) - 1
        return step * np.arange(first, last + 1)

    @property
    def num_terms(self) -> int:
        """Number of shifts of all scales."""
        return len(self._scale)

    def build(self, times_shape, origin_shape=None):
        """Create the logarithms of the factors on scales, and the shifts in scales, if they are learned."""
        if self.learnable:
            self.changes = self.member_weight(
                "changes", (2, self.num_terms), lambda rng, shape: np.zeros(shape)
            )

    def evaluate(self, times, order: int):
        """Evaluate the mother wavelet at scaled times."""
        scale, shift = ops.cast(self._scale, times.dtype), ops.cast(self._shift, times.dtype)
        if self.learnable:
            changes = ops.cast(self.changes, times.dtype)
            changes = changes if self.seeds is None else changes[:, :, None, None, :]
            factor, moved = ops.unstack(changes, axis=0 if self.seeds is None else 1)
            scale, shift = scale * ops.exp(factor), shift + moved * scale
        x = (times[..., None] - shift) / scale
        psi = {
            "mexican_hat": self._mexican_hat,
            "morlet": self._morlet,
            "haar": self._haar,
            "db4": self._db4,
        }[self.kind]
        return psi(x, order) * scale ** (-0.5 - order)

    def _mexican_hat(self, x, order: int):
        """The second derivative of a bell, up to its sign: (-1)^n He_(n+2)(x) e^(-x^2/2) for the others."""
        factor = -2 / (np.sqrt(3) * np.pi**0.25) * (-1) ** order
        return factor * hermite(x, order + 2)[-1] * ops.exp(-(x**2) / 2)

    def _morlet(self, x, order: int):
        """Leibniz' rule on the bell and the cosine."""
        bell, polynomials = ops.exp(-(x**2) / 2), hermite(x, order)
        total, binomial = ops.zeros_like(x), 1.0
        for k in range(order + 1):  # k derivatives of the bell, order - k of the cosine
            total += binomial * (-1) ** k * polynomials[k] * _cosine(5 * x, order - k) * 5.0 ** (order - k)
            binomial = binomial * (order - k) / (k + 1)
        return bell * total

    def _haar(self, x, order: int):
        if order:
            return ops.zeros_like(x)
        first, second = ops.logical_and(x >= 0, x < 0.5), ops.logical_and(x >= 0.5, x < 1)
        return ops.cast(first, x.dtype) - ops.cast(second, x.dtype)

    def _db4(self, x, order: int):
        """Hermite cubics through the table's values and slopes."""
        raw = x * 2**_LEVELS
        last = len(self._table) - 1
        left = ops.clip(ops.floor(raw), 0, last - 1)
        u = ops.clip(raw - left, 0.0, 1.0)
        index = ops.cast(left, "int32")
        rows = [ops.take(ops.cast(column, x.dtype), index + i) for column in self._table.T for i in (0, 1)]
        (y0, y1, m0, m1) = rows
        c2, c3 = 3 * (y1 - y0) - 2 * m0 - m1, 2 * (y0 - y1) + m0 + m1
        values = {
            0: y0 + u * (m0 + u * (c2 + u * c3)),
            1: m0 + u * (2 * c2 + 3 * u * c3),
            2: 2 * c2 + 6 * u * c3,
            3: 6 * c3,
        }.get(order, ops.zeros_like(u))
        inside = ops.logical_and(raw >= 0, raw <= last)
        return values * 2.0 ** (_LEVELS * order) * ops.cast(inside, x.dtype)

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "kind": self.kind,
            "scales": list(self.scales),
            "span": list(self.span),
            "spacing": self.spacing,
            "learnable": self.learnable,
        }


def hermite(x, degree: int) -> list:
    """Return the polynomials He_0..He_degree of probability theory at x, each of the shape of x.

    Args:
        x: tensor.
        degree: highest degree.
    """
    x = ops.clip(x, -40.0, 40.0)  # the bell is 0 beyond, in float64 too; no power overflows
    terms = [ops.ones_like(x), x]
    for k in range(1, degree):
        terms.append(x * terms[k] - k * terms[k - 1])
    return terms[: degree + 1]


def _cosine(x, order: int):
    return (ops.cos(x), -ops.sin(x), -ops.cos(x), ops.sin(x))[order % 4]


def _daubechies() -> np.ndarray:
    """Return values of the wavelet of four moments on the dyadic grid, and slopes per step, `(7 * 2^levels + 1, 2)`.

    At integers the scaling function is the eigenvector of its own refinement, and halving goes on exactly from there; so do
    the values of its derivative, whose refinement has twice the factor.
    """
    return np.stack([_refined(0), _refined(1) / 2**_LEVELS], axis=1)


def _refined(order: int) -> np.ndarray:
    """Return the wavelet's derivative of `order`, 0 or 1, on the dyadic grid."""
    filter_ = np.array(_DB4) * np.sqrt(2) * 2**order
    top = len(filter_) - 1
    matrix = np.array(
        [
            [filter_[2 * i - j] if 0 <= 2 * i - j <= top else 0.0 for j in range(top + 1)]
            for i in range(top + 1)
        ]
    )
    values, vectors = np.linalg.eig(matrix)
    phi = vectors[:, np.abs(values - 1).argmin()].real
    integers = np.arange(top + 1)
    phi = phi / (phi.sum() if order == 0 else -(integers * phi).sum())  # sum phi = 1; sum k phi'(k) = -1
    for level in range(_LEVELS):
        step = 2**level
        fine = np.zeros(top * 2 * step + 1)
        for k, h in enumerate(filter_):  # phi(x) = sum_k h_k phi(2 x - k)
            place = np.arange(fine.size) - k * step
            inside = (place >= 0) & (place < phi.size)
            fine[inside] += h * phi[place[inside]]
        phi = fine
    mirror = (-1.0) ** np.arange(top + 1) * filter_[::-1]
    step, wavelet = 2**_LEVELS, np.zeros(top * 2**_LEVELS + 1)
    for k, g in enumerate(mirror):  # psi(x) = sum_k g_k phi(2 x - k)
        place = 2 * np.arange(wavelet.size) - k * step
        inside = (place >= 0) & (place < phi.size)
        wavelet[inside] += g * phi[place[inside]]
    return wavelet
