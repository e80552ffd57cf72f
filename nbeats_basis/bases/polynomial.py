"""Polynomials by three-term recurrence."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from nbeats_basis.bases.base import Basis, join
from nbeats_basis.checks import check_choice, check_int

KINDS = ("legendre", "chebyshev", "monomial")


@keras.saving.register_keras_serializable(package="nbeats_basis")
class Polynomial(Basis):
    r"""Polynomials of degree 0 to `degree` in the time mapped affinely from `span`.

    With u = (2t - a - b) / (b - a), which takes `span` = (a, b) to (-1, 1), and three-term recurrences

    - legendre: L_k(u) = sqrt(2k+1) P_k(u), orthonormal under the uniform law on `span`;
      (k+1) P_{k+1} = (2k+1) u P_k - k P_{k-1};
    - chebyshev: T_{k+1} = 2u T_k - T_{k-1};
    - monomial: ((t - a) / (b - a))^k, the trend of the N-BEATS paper with `span=(0, horizon)`; badly conditioned
      above degree 3.

    Args:
        degree: highest degree, at least 0.
        kind: "legendre", "chebyshev" or "monomial". Defaults to "legendre".
        span: (a, b), a != b, in units of time; a > b runs time backwards. Defaults to (-1.0, 1.0).

    Raises:
        ValueError: unknown `kind`, negative `degree`, or an empty `span`.

    Example:
        >>> import nbeats_basis as nb
        >>> nb.bases.Polynomial(2, kind="monomial", span=(0, 4))([0.0, 2.0]).numpy()
        array([[1.  , 0.  , 0.  ], [1.  , 0.5 , 0.25]], dtype=float32)

    Source: Abramowitz & Stegun 22.7; Oreshkin et al. 2020, section 3.3.
    """

    def __init__(self, degree: int, kind: str = "legendre", span: Sequence[float] = (-1.0, 1.0), **kwargs):
        super().__init__(**kwargs)
        self.degree = check_int("degree", degree, 0)
        self.kind = check_choice("kind", kind, KINDS)
        self.span = tuple(float(s) for s in span)
        if len(self.span) != 2 or not np.isfinite(self.span).all() or self.span[0] == self.span[1]:
            raise ValueError(f"`span` must be two different finite times. Received: span={span!r}")

    @property
    def num_terms(self) -> int:
        """`degree` + 1."""
        return self.degree + 1

    def evaluate(self, times, order: int):
        """Put the pieces together; derivatives are combinations of the same polynomials."""
        values = join(self.pieces(times, 0, None))
        if order == 0:
            return values
        slope = (1 if self.kind == "monomial" else 2) / (self.span[1] - self.span[0])
        operator = np.linalg.matrix_power(_derivative_matrix(self.kind, self.degree), order) * slope**order
        return ops.matmul(values, ops.cast(operator.T, values.dtype))

    def pieces(self, times, order: int, origin) -> list:
        """Evaluate by recurrence."""
        if order:
            return super().pieces(times, order, origin)
        a, b = self.span
        u = (times - a) / (b - a)
        return [term[..., None, :] for term in self._recur(u if self.kind == "monomial" else 2 * u - 1)]

    def _recur(self, u):
        terms = [ops.ones_like(u), u][: self.num_terms]
        for k in range(1, self.degree):
            if self.kind == "legendre":
                terms.append(((2 * k + 1) * u * terms[k] - k * terms[k - 1]) / (k + 1))
            elif self.kind == "chebyshev":
                terms.append(2 * u * terms[k] - terms[k - 1])
            else:
                terms.append(u * terms[k])
        if self.kind == "legendre":
            terms = [float(np.sqrt(2 * k + 1)) * term for k, term in enumerate(terms)]
        return terms

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "degree": self.degree, "kind": self.kind, "span": list(self.span)}


def _derivative_matrix(kind: str, degree: int) -> np.ndarray:
    """Return D with d/du of term k equal to the sum over j of D[k, j] times term j."""
    derive = {
        "legendre": np.polynomial.legendre.legder,
        "chebyshev": np.polynomial.chebyshev.chebder,
        "monomial": np.polynomial.polynomial.polyder,
    }[kind]
    matrix = np.zeros((degree + 1, degree + 1))
    if degree:
        matrix[:, :-1] = derive(np.eye(degree + 1), axis=0).T
    if kind == "legendre":
        norm = np.sqrt(2 * np.arange(degree + 1) + 1)
        matrix = norm[:, None] * matrix / norm
    return matrix
