"""Basis blocks: read the residual of a window, find coefficients, return backcast and forecast."""

import keras
import numpy as np
import tensorflow as tf

from nbeats_basis.bases import Basis
from nbeats_basis.checks import check_choice, check_int
from nbeats_basis.encoders import ASIDE, encode, encoded_size
from nbeats_basis.members import MemberLayer, MemberNetwork
from nbeats_basis.regression import (
    alike,
    expand,
    floored,
    inverse,
    inverse_diagonal,
    moments,
    normal_matrix,
    solve,
)

COEFFICIENTS = ("proposed", "combined", "regression")
_PROPOSED = 4.0  # log precision at the start of training: the proposal counts as much as some 50 observations


@keras.saving.register_keras_serializable(package="nbeats_basis")
class BasisBlock(MemberLayer):
    r"""One block: coefficients of the residual on a basis, expanded at the observed and at the queried times.

    `coefficients` says where they come from:

    - "proposed", classical N-BEATS: a network of `num_layers` ReLU layers reads the window and proposes separate
      coefficients for backcast and forecast;
    - "combined": theta = (Lambda + Phi' W Phi)^-1 (Lambda theta_0 + Phi' W r), the network's proposal theta_0
      and a masked regression of the residual r on the basis Phi at the observed times (W: the mask on a
      diagonal) together, with a learned precision Lambda per function and member. Lambda -> infinity leaves the
      proposal, theta_0 = 0 the regression. The same theta serves backcast and forecast;
    - "regression": theta_0 = 0 in the above.

    With an encoder's context the network reads, instead of the window's values, the masked regression of the residual on the
    block's own basis with each coefficient's uncertainty, and what the encoder says.

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
        context: of an encoder, what the network reads instead of the window. Defaults to None.

    Returns:
        backcast `(M, B, L)`, forecast `(M, B, H, P)`, the location first, and the location's coefficients `(M, B, K)`.

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

    def build(self, times_shape, values_shape, observed_shape, query_times_shape, context_shape=None):
        """Create the network, the bases' weights and the precisions."""
        if self.seeds is None:
            self.assign_members(range(values_shape[0]), self.scope)
        for name, basis, shape in self._named_bases(times_shape, query_times_shape):
            basis.assign_members(self.seeds, f"{self.scope}/{name}")
            basis.build(shape)
        self.network = None
        if self._num_proposed():
            shape = (*values_shape[:2], self._num_read(values_shape, context_shape))
            self.network = MemberNetwork(
                self.units, self.num_layers, self._num_proposed(), dtype=self.dtype_policy
            )
            self.network.assign_members(self.seeds, self.scope)
            self.network.build(shape)
        self.log_precision = None
        if self._regresses(context_shape):
            start = _PROPOSED if self.coefficients == "combined" else 0.0
            self.log_precision = self.member_weight(
                "log_precision", (self._past_basis.num_terms,), lambda rng, shape: np.full(shape, start)
            )

    def _regresses(self, context_shape) -> bool:
        """Return whether the block, or its network, uses a regression on the basis."""
        return self.coefficients != "proposed" or context_shape is not None

    @property
    def _past_basis(self) -> Basis:
        return self.backcast_basis or self.basis

    def designs(self, times, observed, query_times, origin=None, order: int = 0) -> dict:
        """Return the bases at all times, and the inverse of the regression: the same for every residual of a window.

        Args:
            times: `(M or 1, B or 1, L)`.
            observed: `(M, B, L)`.
            query_times: `(M or 1, B or 1, H)`.
            origin: absolute time of t = 0, `(M or 1, B)`, for bases of calendar phase. Defaults to None.
            order: order of the forecast's derivative. Defaults to 0.
        """
        past = self._past_basis(times, origin)
        designs = {"past": past, "future": self.basis.derivative(query_times, order, origin)}
        if self.log_precision is not None:
            gram = normal_matrix(past, observed)
            precision = floored(gram, tf.exp(self.log_precision)[:, None])
            designs["regression"] = inverse(gram, precision, alike(past, observed)), gram, precision
        return designs

    def call(self, times, values, observed, query_times, context=None):
        """Return backcast, forecast and coefficients."""
        designs = self.designs(times, observed, query_times)
        backcast, theta = self.explain(values, designs, context)
        return backcast, self.forecast(theta, designs), theta[0]

    def explain(self, values, designs: dict, context: dict | None = None) -> tuple:
        """Return the backcast `(M, B, L)` and the coefficients of the forecast's parameters, P of `(M, B, K)`, the location's first.

        Args:
            values: `(M, B, L)`, the residual, 0 where not observed.
            designs: of `designs`.
            context: of an encoder. Defaults to None.
        """
        regression, right, theta = designs.get("regression"), None, values
        if regression is not None:
            right = moments(designs["past"], values)
        if context is not None:
            theta = tf.concat([*self._read(regression, right), encode(context, values)], axis=-1)
        if self.network is not None:
            theta = self.network(theta)
        if self.coefficients == "proposed":
            size = self._past_basis.num_terms - self.offset
            proposed, theta = tf.split(theta, [size, theta.shape[-1] - size], axis=-1)
            backcast = expand(designs["past"], self._with_offset(proposed))
        else:
            location, theta = self._regress(regression, right, theta)
            backcast = expand(designs["past"], location)
        return backcast, [self._with_offset(each) for each in tf.split(theta, self.num_params, axis=-1)]

    def forecast(self, theta: list, designs: dict):
        """Return the forecast of coefficients, or of their sum over several residuals, `(M, B, H, P)`.

        Args:
            theta: P of `(M, B, K)`.
            designs: of `designs`.
        """
        return tf.stack([expand(designs["future"], each) for each in theta], axis=-1)

    def _read(self, regression, right) -> list:
        """Return the coefficients of the regression and their uncertainty, 1 where data say nothing, `(M, B, K)` each.

        Where the block returns a regression, its precisions learn from that only: what the network reads then needs no gradient.
        """
        inverted, gram, precision = regression
        if self.coefficients != "proposed":
            precision = tf.stop_gradient(precision)
        read = inverted, gram, precision
        return [solve(*read, right), ASIDE * precision * inverse_diagonal(*read)]

    def _regress(self, regression, right, theta):
        """Return the location's coefficients `(M, B, K)` and those of all parameters `(M, B, P K)`.

        (Lambda + G)^-1 (Lambda theta_0 + Phi' W r): the pure regression where there is no theta_0.
        """
        size, others = self.basis.num_terms, [theta] if self.num_params > 1 else []
        if self.coefficients == "combined":
            right += regression[-1] * theta[..., :size]
            others = [theta[..., size:]]
        location = solve(*regression, right)
        return location, tf.concat([location, *others], axis=-1)

    def _num_read(self, values_shape, context_shape) -> int:
        """Return how many numbers of a window the network reads."""
        if context_shape is None:
            return values_shape[-1]
        return 2 * self._past_basis.num_terms + encoded_size(context_shape)

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
