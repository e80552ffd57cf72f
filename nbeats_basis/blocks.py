"""Basis blocks: read the residual of a window, find coefficients, return backcast and forecast."""

import keras
import tensorflow as tf

from nbeats_basis.bases import Basis
from nbeats_basis.checks import check_choice, check_int
from nbeats_basis.members import MemberDense, MemberLayer

COEFFICIENTS = ("proposed", "combined", "regression")


@keras.saving.register_keras_serializable(package="nbeats_basis")
class BasisBlock(MemberLayer):
    r"""One block: coefficients of the residual on a basis, expanded at the observed and at the queried times.

    `coefficients` says where they come from:

    - "proposed", classical N-BEATS: a network of `num_layers` ReLU layers reads the window and proposes separate
      coefficients for backcast and forecast;
    - "combined": theta = theta_0 + (Lambda + Phi' W Phi)^-1 Phi' W (r - Phi theta_0), the network's proposal theta_0
      corrected by a masked regression of the residual r on the basis Phi at the observed times (W: the mask on a
      diagonal), with a learned precision Lambda per function and member. Lambda -> infinity leaves the proposal,
      theta_0 = 0 the regression. The same theta serves backcast and forecast;
    - "regression": theta_0 = 0 in the above.

    Where a head needs more than a location, the network proposes the coefficients of its other parameters.

    Args:
        basis: the basis of the forecast, and of the backcast unless `backcast_basis` is given.
        backcast_basis: basis of the backcast, for "proposed" only. Defaults to None, the same.
        units: width of the network. Defaults to 256.
        num_layers: number of ReLU layers, at least 1. Defaults to 4.
        coefficients: "proposed", "combined" or "regression". Defaults to "proposed".
        num_params: P, parameters of the forecast's distribution, at least 1. Defaults to 1.
        offset: True to hold the last function's coefficient at 1 (the generic block's bias). Defaults to False.

    Call arguments:
        times: `(M or 1, B or 1, L)`, 0 at the forecast origin.
        values: `(M, B, L)`, the residual, 0 where not observed.
        observed: `(M, B, L)`, 1 where observed, 0 elsewhere.
        query_times: `(M or 1, B or 1, H)`.

    Returns:
        backcast `(M, B, L)` and forecast `(M, B, H, P)`, the location first.

    Raises:
        ValueError: unknown `coefficients`, or `backcast_basis` or `offset` with anything but "proposed".

    Source: Oreshkin et al. 2020, equation 1; Bishop 2006, equation 3.50 (posterior mean).
    """

    def __init__(
        self,
        basis: Basis,
        backcast_basis: Basis | None = None,
        units: int = 256,
        num_layers: int = 4,
        coefficients: str = "proposed",
        num_params: int = 1,
        offset: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.coefficients = check_choice("coefficients", coefficients, COEFFICIENTS)
        if coefficients != "proposed" and (backcast_basis is not None or offset):
            raise ValueError(
                "`backcast_basis` and `offset` need coefficients='proposed': a regression uses one basis throughout. "
                f"Received: coefficients={coefficients!r}"
            )
        self.basis, self.backcast_basis = basis, backcast_basis
        self.units = check_int("units", units)
        self.num_layers = check_int("num_layers", num_layers)
        self.num_params = check_int("num_params", num_params)
        self.offset = bool(offset)

    def build(self, times_shape, values_shape, observed_shape, query_times_shape):
        """Create the network, the bases' weights and the precisions."""
        if self.seeds is None:
            self.assign_members(range(values_shape[0]), self.scope)
        for name, basis, shape in self._named_bases(times_shape, query_times_shape):
            basis.assign_members(self.seeds, f"{self.scope}/{name}")
            basis.build(shape)
        self.trunk, self.proposal = [], None
        if self._num_proposed():
            shape = values_shape
            for i in range(self.num_layers):
                self.trunk.append(self._dense(f"layer{i}", self.units, "relu", shape))
                shape = (*values_shape[:2], self.units)
            self.proposal = self._dense("proposal", self._num_proposed(), None, shape)
        if self.coefficients != "proposed":
            self.log_precision = self.member_weight(
                "log_precision", (self.basis.num_terms,), lambda rng, shape: rng.uniform(0, 0, shape)
            )

    def call(self, times, values, observed, query_times):
        """Return backcast and forecast."""
        theta = values
        for dense in self.trunk:
            theta = dense(theta)
        if self.proposal is not None:
            theta = self.proposal(theta)
        query = self.basis(query_times)
        if self.coefficients == "proposed":
            backcast_basis = self.backcast_basis or self.basis
            size = backcast_basis.num_terms - self.offset
            backcast = expand(backcast_basis(times), self._with_offset(theta[..., :size]))
            forecast_theta = theta[..., size:]
        else:
            design = self.basis(times)
            location, forecast_theta = self._regress(design, values, observed, theta)
            backcast = expand(design, location)
        curves = []
        size = self.basis.num_terms - self.offset
        for p in range(self.num_params):
            curves.append(expand(query, self._with_offset(forecast_theta[..., p * size : (p + 1) * size])))
        return backcast, tf.stack(curves, axis=-1)

    def _regress(self, design, values, observed, theta):
        """Return the location's coefficients `(M, B, K)` and those of all parameters `(M, B, P K)`."""
        size = self.basis.num_terms
        residual, proposal, others = values, 0.0, [theta] if self.num_params > 1 else []
        if self.coefficients == "combined":
            proposal, others = theta[..., :size], [theta[..., size:]]
            residual = (values - expand(design, proposal)) * observed
        gram, moment = normal_equations(design, residual, observed)
        precision = tf.exp(self.log_precision)[:, None] + 1e-6 * tf.linalg.trace(gram)[..., None] / size
        location = proposal + solve_spd(gram + tf.linalg.diag(precision), moment)
        return location, tf.concat([location, *others], axis=-1)

    def _num_proposed(self) -> int:
        """Return the number of coefficients the network proposes."""
        terms = self.basis.num_terms - self.offset
        if self.coefficients == "regression":
            return (self.num_params - 1) * terms
        if self.coefficients == "combined":
            return self.num_params * terms
        return self.num_params * terms + (self.backcast_basis or self.basis).num_terms - self.offset

    def _named_bases(self, times_shape, query_times_shape):
        yield "basis", self.basis, query_times_shape
        if self.backcast_basis is not None:
            yield "backcast_basis", self.backcast_basis, times_shape

    def _with_offset(self, theta):
        return tf.concat([theta, tf.ones_like(theta[..., :1])], axis=-1) if self.offset else theta

    def _dense(self, name, units, activation, shape) -> MemberDense:
        dense = MemberDense(units, activation, dtype=self.dtype_policy)
        dense.assign_members(self.seeds, f"{self.scope}/{name}")
        dense.build(shape)
        return dense

    def get_config(self):
        """Return the constructor's arguments."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "basis": serialize(self.basis),
            "backcast_basis": self.backcast_basis and serialize(self.backcast_basis),
            "units": self.units,
            "num_layers": self.num_layers,
            "coefficients": self.coefficients,
            "num_params": self.num_params,
            "offset": self.offset,
        }

    @classmethod
    def from_config(cls, config):
        """Rebuild the bases from their configurations."""
        thaw = keras.saving.deserialize_keras_object
        bases = {key: config[key] and thaw(config[key]) for key in ("basis", "backcast_basis")}
        return cls(**{**config, **bases})


def expand(design, theta):
    """Return the sum over k of theta_k b_k(t).

    Args:
        design: `(M or 1, B or 1, T, K)`.
        theta: `(M, B, K)`.

    Returns:
        `(M, B, T)`.
    """
    if design.shape[1] == 1:
        return tf.matmul(theta, design[:, 0], transpose_b=True)
    return tf.linalg.matvec(design, theta)


def normal_equations(design, values, observed):
    """Return Phi' W Phi `(M, B, K, K)` and Phi' W y `(M, B, K)` of masked regressions.

    Args:
        design: Phi, `(M or 1, B or 1, T, K)`.
        values: y, `(M, B, T)`, 0 where not observed.
        observed: the diagonal of W, `(M, B, T)`.
    """
    if (
        design.shape[1] == 1
    ):  # one grid for all windows: one matrix product with the products of pairs of functions
        shared, terms = design[:, 0], design.shape[-1]
        pairs = shared[..., :, None] * shared[..., None, :]
        gram = tf.matmul(observed, tf.reshape(pairs, (*pairs.shape[:2], terms * terms)))
        return tf.reshape(gram, (*_dims(gram)[:2], terms, terms)), tf.matmul(values, shared)
    weighted = design * observed[..., None]
    return tf.matmul(weighted, design, transpose_a=True), tf.linalg.matvec(design, values, transpose_a=True)


@tf.custom_gradient
def solve_spd(matrix, vector):
    """Return x with A x = b for symmetric positive definite A.

    The gradient reuses the factor: with u = A^-1 dx, db = u and dA = -(u x' + x u') / 2, the symmetric one.

    Args:
        matrix: A, `(..., K, K)`.
        vector: b, `(..., K)`.
    """
    factor = tf.linalg.cholesky(matrix)
    solution = tf.linalg.cholesky_solve(factor, vector[..., None])

    def gradient(upstream):
        u = tf.linalg.cholesky_solve(factor, upstream[..., None])
        outer = tf.matmul(u, solution, transpose_b=True)
        return -0.5 * (outer + tf.linalg.matrix_transpose(outer)), u[..., 0]

    return solution[..., 0], gradient


def _dims(tensor) -> list:
    static, dynamic = tensor.shape, tf.shape(tensor)
    return [dynamic[i] if n is None else n for i, n in enumerate(static)]
