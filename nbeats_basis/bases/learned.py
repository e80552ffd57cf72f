"""Free-form functions: a table at grid nodes, joined by cubic splines."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from nbeats_basis.bases.base import Basis
from nbeats_basis.checks import check_int
from nbeats_basis.members import uniform


@keras.saving.register_keras_serializable(package="nbeats_basis")
class Learned(Basis):
    r"""Learned functions: a table V of values at nodes, joined by the natural cubic spline through them.

    b_k(t) = sum_n c_n(t) V[n, k] with c_n the cardinal splines (1 at node n, 0 at the others), so b_k equals the table
    at the nodes; it has two continuous derivatives between the first and the last, and is held at its end values
    outside them. This is the generic basis of N-BEATS made continuous.

    Args:
        num_terms: K, number of learned functions (one table per member); None for the identity table, whose functions
            are the N cardinal splines themselves: the coefficients then are the values at the nodes.
        nodes: increasing, equally spaced times, at least one.

    Raises:
        ValueError: the nodes are not increasing or not equally spaced.

    Example:
        >>> import nbeats_basis as nb
        >>> nb.bases.Learned(None, nodes=[0, 1, 2])([0.0, 1.0]).numpy()
        array([[1., 0., 0.], [0., 1., 0.]], dtype=float32)

    Source: Oreshkin et al. 2020, section 3.3 (generic architecture); de Boor 2001, chapter IV (natural spline).
    """

    def __init__(self, num_terms: int | None, nodes: Sequence[float], **kwargs):
        super().__init__(**kwargs)
        self.table_terms = None if num_terms is None else check_int("num_terms", num_terms)
        self.nodes = tuple(float(n) for n in nodes)
        gaps = np.diff(self.nodes)
        if not self.nodes or (
            gaps.size and (gaps.min() <= 0 or not np.allclose(gaps, gaps[0], rtol=1e-6, atol=0))
        ):
            raise ValueError(f"`nodes` must be increasing and equally spaced. Received: nodes={nodes!r}")
        self.spacing = float(gaps[0]) if gaps.size else 1.0
        self._curvature = _curvature_matrix(len(self.nodes))

    @property
    def num_terms(self) -> int:
        """K, or the number of nodes where the table is the identity."""
        return len(self.nodes) if self.table_terms is None else self.table_terms

    def build(self, times_shape, origin_shape=None):
        """Create the table `(N, K)`, unless it is the identity."""
        if self.table_terms is not None:
            shape = (len(self.nodes), self.table_terms)
            self.table = self.member_weight("table", shape, uniform(self.table_terms**-0.5))

    def evaluate(self, times, order: int):
        """Evaluate the cardinal splines, then combine them by the table."""
        cardinal = self._cardinal(times, order)
        if self.table_terms is None:
            return cardinal
        table = ops.cast(self.table, cardinal.dtype)
        return ops.matmul(cardinal, table if self.seeds is None else table[:, None])

    def _cardinal(self, times, order: int):
        """Return the cardinal splines' derivatives of `order`, `(..., T, N)`; u is time in spacings from node 0."""
        last = len(self.nodes) - 1
        raw = (times - self.nodes[0]) / self.spacing
        u = ops.clip(raw, 0.0, float(last))
        left = ops.cast(ops.clip(ops.floor(u), 0, max(last - 1, 0)), "int32")
        at_left = ops.one_hot(left, last + 1, dtype=times.dtype)
        at_right = ops.one_hot(ops.minimum(left + 1, last), last + 1, dtype=times.dtype)
        b = (u - ops.cast(left, times.dtype))[..., None]
        a = 1 - b
        if order == 0:
            linear, cubic = a * at_left + b * at_right, (a**3 - a) * at_left + (b**3 - b) * at_right
        elif order == 1:
            linear, cubic = at_right - at_left, (3 * b**2 - 1) * at_right - (3 * a**2 - 1) * at_left
        elif order == 2:
            linear, cubic = 0.0, 6 * (a * at_left + b * at_right)
        else:
            linear, cubic = 0.0, (6.0 if order == 3 else 0.0) * (at_right - at_left)
        curvature = ops.cast(self._curvature / 6, times.dtype)
        values = (linear + ops.matmul(cubic, curvature)) / self.spacing**order
        if order:
            inside = ops.logical_and(raw >= 0, raw <= float(last))
            values = values * ops.cast(inside, times.dtype)[..., None]
        return values

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "num_terms": self.table_terms, "nodes": list(self.nodes)}


def _curvature_matrix(count: int) -> np.ndarray:
    """Return S: second derivatives at unit-spaced nodes = S @ values, for the natural spline (zero at both ends)."""
    matrix = np.zeros((count, count))
    inner = count - 2
    if inner > 0:
        tridiagonal = 4 * np.eye(inner) + np.eye(inner, k=1) + np.eye(inner, k=-1)
        rows = np.arange(inner)
        second = np.zeros((inner, count))
        second[rows, rows], second[rows, rows + 1], second[rows, rows + 2] = 1, -2, 1
        matrix[1:-1] = 6 * np.linalg.solve(tridiagonal, second)
    return matrix
