"""Penalties on codes. A penalty knows its value, its proximal map, its dual, and nothing of solvers."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from nbeats_basis.checks import check_int
from nbeats_basis.sparse.proximal import (
    firm_threshold,
    group_norms,
    group_threshold,
    nonnegative_threshold,
    soft_threshold,
)


class Penalty:
    """A function of codes `(..., K)` to be added to half the squared error. A new one defines all methods below.

    Args:
        strength: alpha, at least 0; a number, or a tensor `(..., 1)` with one for each problem.
    """

    is_convex = True

    def __init__(self, strength):
        self.strength = strength

    def value(self, codes):
        """Return the penalty, `(...)`.

        Args:
            codes: `(..., K)`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `value`.")

    def prox(self, codes, step):
        """Return the proximal map of `step` times the penalty.

        Args:
            codes: `(..., K)`.
            step: above 0, broadcast to the codes.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `prox`.")

    def dual_norm(self, correlations):
        """Return how many times `strength` the correlations are at most, `(...)`, by the norm that bounds them.

        Codes are all 0 at the solution if, and only if, this is at most 1 for the correlations of design and values.

        Args:
            correlations: `(..., K)`, Phi' r.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `dual_norm`.")

    def subgradient_distance(self, codes, gradient):
        """Return the distance of -gradient from the subdifferential, the largest over the codes, `(...)`: 0 at a solution.

        Args:
            codes: `(..., K)`.
            gradient: `(..., K)`, of half the squared error.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `subgradient_distance`.")

    def alpha_max(self, correlations):
        """Return the least strength that makes all codes 0, `(...)`.

        Args:
            correlations: `(..., K)`, Phi' y.
        """
        return self.with_strength(tf.ones([], correlations.dtype)).dual_norm(correlations)

    def split(self) -> tuple:
        """Return the weight of half the sum of squares in the penalty, and the penalty without it."""
        return 0.0, self

    def with_strength(self, strength) -> "Penalty":
        """Return the same penalty of another strength.

        Args:
            strength: as for the penalty.
        """
        return type(self)(**{**self.get_config(), "strength": strength})

    def get_config(self) -> dict:
        """Return the constructor's arguments."""
        return {"strength": self.strength}

    @classmethod
    def from_config(cls, config: dict) -> "Penalty":
        """Return the penalty of these arguments."""
        return cls(**config)


@keras.saving.register_keras_serializable(package="nbeats_basis")
class L1(Penalty):
    """The lasso: alpha times the sum of sizes.

    Args:
        strength: alpha, at least 0, a number or `(..., 1)`.
        nonnegative: True to ask for codes of at least 0. Defaults to False.

    Source: Tibshirani 1996.
    """

    def __init__(self, strength, nonnegative: bool = False):
        super().__init__(strength)
        self.nonnegative = bool(nonnegative)

    def value(self, codes):
        """Return alpha |codes|_1."""
        return tf.reduce_sum(self.strength * tf.abs(codes), axis=-1)

    def prox(self, codes, step):
        """Return soft thresholding."""
        threshold = nonnegative_threshold if self.nonnegative else soft_threshold
        return threshold(codes, step * self.strength)

    def dual_norm(self, correlations):
        """Return the largest correlation over alpha."""
        size = tf.nn.relu(correlations) if self.nonnegative else tf.abs(correlations)
        return tf.reduce_max(_over(size, self.strength), axis=-1)

    def subgradient_distance(self, codes, gradient):
        """Return the largest violation of the optimality conditions."""
        active = tf.abs(gradient + self.strength * tf.sign(codes))
        size = -gradient if self.nonnegative else tf.abs(gradient)
        return tf.reduce_max(tf.where(codes != 0, active, tf.nn.relu(size - self.strength)), axis=-1)

    def get_config(self) -> dict:
        """Return the constructor's arguments."""
        return {**super().get_config(), "nonnegative": self.nonnegative}


@keras.saving.register_keras_serializable(package="nbeats_basis")
class ElasticNet(L1):
    """alpha times the sum of sizes + ridge / 2 times the sum of squares.

    Args:
        strength: alpha, at least 0, a number or `(..., 1)`.
        ridge: at least 0, a number or `(..., 1)`.

    Source: Zou & Hastie 2005, the naive elastic net.
    """

    def __init__(self, strength, ridge):
        super().__init__(strength)
        self.ridge = ridge

    def value(self, codes):
        """Return the penalty."""
        return super().value(codes) + tf.reduce_sum(self.ridge * codes**2, axis=-1) / 2

    def prox(self, codes, step):
        """Return soft thresholding, shrunk."""
        return super().prox(codes, step) / (1 + step * self.ridge)

    def subgradient_distance(self, codes, gradient):
        """Return the largest violation of the optimality conditions."""
        return super().subgradient_distance(codes, gradient + self.ridge * codes)

    def split(self) -> tuple:
        """Return the ridge and the lasso."""
        return self.ridge, L1(self.strength)

    def get_config(self) -> dict:
        """Return the constructor's arguments."""
        return {"strength": self.strength, "ridge": self.ridge}


@keras.saving.register_keras_serializable(package="nbeats_basis")
class MCP(Penalty):
    """The minimax concave penalty: like the lasso near 0, constant from gamma alpha on; large codes are not shrunk.

    Args:
        strength: alpha, at least 0, a number or `(..., 1)`.
        gamma: above 1. Defaults to 3.0.

    Source: Zhang 2010.
    """

    is_convex = False

    def __init__(self, strength, gamma: float = 3.0):
        super().__init__(strength)
        if not gamma > 1:
            raise ValueError(f"`gamma` must be above 1. Received: gamma={gamma!r}")
        self.gamma = float(gamma)

    def value(self, codes):
        """Return the penalty."""
        size, alpha = tf.abs(codes), self.strength
        rising = alpha * size - size**2 / (2 * self.gamma)
        return tf.reduce_sum(tf.where(size <= self.gamma * alpha, rising, self.gamma * alpha**2 / 2), axis=-1)

    def prox(self, codes, step):
        """Return firm thresholding; `step` must be below gamma."""
        return firm_threshold(codes, step * self.strength, self.gamma / step)

    def dual_norm(self, correlations):
        """Return the largest correlation over alpha."""
        return tf.reduce_max(_over(tf.abs(correlations), self.strength), axis=-1)

    def subgradient_distance(self, codes, gradient):
        """Return the largest violation of the optimality conditions."""
        slope = tf.sign(codes) * tf.nn.relu(self.strength - tf.abs(codes) / self.gamma)
        idle = tf.nn.relu(tf.abs(gradient) - self.strength)
        return tf.reduce_max(tf.where(codes != 0, tf.abs(gradient + slope), idle), axis=-1)

    def get_config(self) -> dict:
        """Return the constructor's arguments."""
        return {**super().get_config(), "gamma": self.gamma}


@keras.saving.register_keras_serializable(package="nbeats_basis")
class GroupL1(Penalty):
    """alpha times the sum of the groups' norms: whole groups are 0 or not. Pairs of cosine and sine go by amplitude.

    Args:
        strength: alpha, at least 0, a number or `(..., 1)`.
        groups: number of each code's group, 0, 1, ..., K of them.

    Raises:
        ValueError: the groups' numbers have gaps.

    Source: Yuan & Lin 2006.
    """

    def __init__(self, strength, groups: Sequence[int]):
        super().__init__(strength)
        self.groups = tuple(check_int("groups", int(g), 0) for g in groups)
        if set(self.groups) != set(range(max(self.groups) + 1)):
            raise ValueError(
                f"`groups` must number the groups 0, 1, ... without gaps. Received: groups={self.groups}"
            )
        self._member = np.eye(max(self.groups) + 1)[list(self.groups)]

    def _norms(self, codes):
        return group_norms(codes, tf.cast(self._member, codes.dtype))

    def value(self, codes):
        """Return alpha times the sum of the norms."""
        return tf.reduce_sum(self.strength * self._norms(codes), axis=-1)

    def prox(self, codes, step):
        """Return the groups shrunk."""
        return group_threshold(codes, step * self.strength, tf.cast(self._member, codes.dtype))

    def dual_norm(self, correlations):
        """Return the largest group's norm over alpha."""
        return tf.reduce_max(_over(self._norms(correlations), self.strength), axis=-1)

    def subgradient_distance(self, codes, gradient):
        """Return the largest violation of the optimality conditions."""
        member = tf.cast(self._member, codes.dtype)
        norms = self._norms(codes)
        direction = codes * tf.linalg.matvec(member, tf.math.divide_no_nan(tf.ones_like(norms), norms))
        active = self._norms(gradient + self.strength * direction)
        return tf.reduce_max(
            tf.where(norms > 0, active, tf.nn.relu(self._norms(gradient) - self.strength)), axis=-1
        )

    def get_config(self) -> dict:
        """Return the constructor's arguments."""
        return {**super().get_config(), "groups": list(self.groups)}


def _over(size, strength):
    """Return size / strength, 0 for a size of 0 even where the strength is 0, or -0.0, which TensorFlow may make of a constant 0."""
    return tf.where(size > 0, tf.abs(size / strength), 0)
