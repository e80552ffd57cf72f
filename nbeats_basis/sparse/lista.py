"""Unrolled pursuits that learn matrices: LISTA and what came of it."""

import keras
import tensorflow as tf

from nbeats_basis.sparse.first_order import correlate, synthesise
from nbeats_basis.sparse.unrolled import SupportUnrolled, Unrolled
from nbeats_basis.sparse.weights import gradient_step


@keras.saving.register_keras_serializable(package="nbeats_basis")
class LISTACP(Unrolled):
    """V_k = V before training + a learned matrix; the step keeps the design's part (weight coupling).

    Source: Chen et al. 2018, equation 14.
    """

    any_times = False

    def add_layer(self, k, size):
        """Add the matrix."""
        return {**super().add_layer(k, size), "change": self.zeros(f"change{k}", size)}

    def weight(self, given, weights):
        """Return V."""
        return given["weight"] + weights["change"]


@keras.saving.register_keras_serializable(package="nbeats_basis")
class LISTACPSS(SupportUnrolled, LISTACP):
    """`LISTACP` with support selection.

    Source: Chen et al. 2018, equation 16.
    """


@keras.saving.register_keras_serializable(package="nbeats_basis")
class LISTA(LISTACP):
    """x <- eta(W1_k y + W2_k x), W1 = V' and W2 = I - V'A + F with V = V before training + a learned matrix and F learned: no coupling.

    F starts at 0. Written so, learning V alone moves both matrices together and keeps true codes where they are; F does the rest.

    Source: Gregor & LeCun 2010, equation 5.
    """

    def add_layer(self, k, size):
        """Add F."""
        return {**super().add_layer(k, size), "free": self.zeros(f"free{k}", (size[1], size[1]))}

    def step(self, k, codes, previous, given, weights):
        """Return the next codes."""
        residual = given["values"] - synthesise(given["design"], codes)
        moved = codes + correlate(self.weight(given, weights), residual) + synthesise(weights["free"], codes)
        return self.shrink(k, moved, tf.nn.relu(weights["threshold"]))


@keras.saving.register_keras_serializable(package="nbeats_basis")
class TiLISTA(SupportUnrolled):
    """V_k = gamma_k W, one learned matrix W for all layers and a step of each.

    Source: Liu et al. 2019, section 2.1 (TiLISTA).
    """

    any_times, has_step = False, True

    def add_shared(self, size):
        """Add the matrix."""
        return {"change": self.zeros("change", size)}

    def adapt(self, given):
        """Add the learned matrix to the weight."""
        return {**given, "weight": given["weight"] + self.aligned(self.shared["change"], given["values"])}


@keras.saving.register_keras_serializable(package="nbeats_basis")
class AdaLISTA(Unrolled):
    """x <- eta(x - gamma_k A' W2' W2 A x + gamma_k A' W1' y): learned matrices in the space of observations, for any dictionary.

    W1 and W2 start as the identity, gamma_k in units of 1 / |A|^2 at 1.

    Args:
        num_layers: number of steps, at least 1. Defaults to 16.
        threshold: of every layer before training, above 0, in the codes' unit. Defaults to 0.07.
        bypass: share of the codes, in [0, 1]. Defaults to 0.0.
        most_bypass: largest share, in [0, 1]. Defaults to 0.13.
        tied: True for one set of weights for all layers. Defaults to False.

    Source: Aberdam, Golts & Elad 2020, equation 8.
    """

    any_times, has_step = False, True
    arguments = Unrolled.arguments[:-1]

    def __init__(
        self,
        num_layers: int = 16,
        threshold: float = 0.07,
        bypass: float = 0.0,
        most_bypass: float = 0.13,
        tied: bool = False,
        **kwargs,
    ):
        super().__init__(num_layers, threshold, bypass, most_bypass, tied, **kwargs)

    def add_shared(self, size):
        """Add the two matrices."""
        return {name: self.zeros(name, (size[0], size[0])) for name in ("first", "second")}

    def analyse(self, design):
        """Return the design and the size of a step."""
        return {"design": design, "scale": gradient_step(design)[..., 0]}

    def adapt(self, given):
        """Add W2 A, and what W1 makes of the values: A' W1' y."""
        identity = tf.eye(self.shared["first"].shape[-1], dtype=given["values"].dtype)
        first, second = (
            tf.matmul(identity + self.aligned(self.shared[name], given["values"]), given["design"])
            for name in ("first", "second")
        )
        return {**given, "seen": second, "moment": correlate(first, given["values"])}

    def step(self, k, codes, previous, given, weights):
        """Return the next codes."""
        descent = given["moment"] - correlate(given["seen"], synthesise(given["seen"], codes))
        return self.shrink(k, codes + weights["step"] * given["scale"] * descent, weights["threshold"])
