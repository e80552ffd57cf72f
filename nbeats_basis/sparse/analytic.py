"""Unrolled pursuits whose weights follow from the design in closed form, so that it may differ in every sample."""

import keras
import numpy as np
import tensorflow as tf

from nbeats_basis.checks import check_between, check_positive
from nbeats_basis.sparse.first_order import correlate, synthesise
from nbeats_basis.sparse.unrolled import SupportUnrolled, Unrolled
from nbeats_basis.sparse.weights import analytic_weight


@keras.saving.register_keras_serializable(package="nbeats_basis")
class ALISTA(SupportUnrolled):
    """V_k = gamma_k W with W of `analytic_weight`: two scalars a layer are learned, and the design may differ in every sample.

    Args:
        num_layers: number of steps, at least 1. Defaults to 16.
        threshold: of every layer before training, above 0, in the codes' unit. Defaults to 0.07.
        bypass: share of the codes, in [0, 1]. Defaults to 0.012.
        most_bypass: largest share, in [0, 1]. Defaults to 0.13.
        tied: True for one set of weights for all layers. Defaults to False.

    Source: Liu et al. 2019, equations 15 to 17.
    """

    has_step = True
    arguments = SupportUnrolled.arguments[:-1]

    def __init__(
        self,
        num_layers: int = 16,
        threshold: float = 0.07,
        bypass: float = 0.012,
        most_bypass: float = 0.13,
        tied: bool = False,
        **kwargs,
    ):
        super().__init__(num_layers, threshold, bypass, most_bypass, tied, "analytic", **kwargs)


@keras.saving.register_keras_serializable(package="nbeats_basis")
class HyperLISTA(Unrolled):
    r"""Analytic weight, momentum, and thresholds and support chosen for each signal by three scalars; nothing is trained.

    With W and A^+ of `analytic_weight` and the coherence mu = max |w_i' a_j|, i != j: threshold c1 mu |A^+(A x - y)|_1, momentum
    c2 mu |x|_0, and c3 log(|A^+ y|_1 / |A^+(A x - y)|_1) codes pass unshrunk. Choose the scalars by random search on signals of the
    kind to be coded; the defaults suit some 10 % of nonzero codes in a dictionary of twice as many atoms as observations, without
    noise, and fail beyond about twice as many nonzeros.

    Args:
        num_layers: number of steps, at least 1. Defaults to 16.
        thresholding: c1, above 0. Defaults to 0.0718.
        momentum: c2, at least 0. Defaults to 0.0169.
        selection: c3, at least 0. Defaults to 65.9.

    Source: Chen et al. 2021, equations 10 to 13.
    """

    arguments = ("num_layers", "thresholding", "momentum", "selection")

    def __init__(
        self,
        num_layers: int = 16,
        thresholding: float = 0.0718,
        momentum: float = 0.0169,
        selection: float = 65.9,
        **kwargs,
    ):
        super().__init__(num_layers, **kwargs)
        self.thresholding = check_positive("thresholding", thresholding)
        self.momentum = check_between("momentum", momentum, 0, np.inf)
        self.selection = check_between("selection", selection, 0, np.inf)

    def add_layer(self, k, size):
        """Add nothing."""
        return {}

    def analyse(self, design):
        """Return the design, the pseudo-inverse, what W is of it, and the coherence."""
        weight, inverse = analytic_weight(design)
        overlap = tf.abs(tf.matmul(weight, design, transpose_a=True))
        coherence = tf.reduce_max(tf.linalg.set_diag(overlap, tf.zeros_like(overlap[..., 0])), axis=(-2, -1))
        ratio = tf.math.reciprocal_no_nan(tf.reduce_sum(inverse * design, axis=-2))  # w_i / (A^+)_i
        return {"design": design, "inverse": inverse, "ratio": ratio, "mu": coherence}

    def adapt(self, given):
        """Add the size of the signal, |A^+ y|_1."""
        start = tf.reduce_sum(tf.abs(correlate(given["inverse"], given["values"])), axis=-1)
        return {**given, "start": start}

    def step(self, k, codes, previous, given, weights):
        """Return the next codes."""
        residual = given["values"] - synthesise(given["design"], codes)
        shortest = correlate(given["inverse"], residual)  # A^+ (y - A x)
        left = tf.reduce_sum(tf.abs(shortest), axis=-1)
        support = tf.math.count_nonzero(codes, axis=-1, dtype=codes.dtype)
        beta = (self.momentum * given["mu"] * support)[..., None]
        moved = codes + given["ratio"] * shortest + beta * (codes - previous)
        smallest = tf.cast(np.finfo(codes.dtype.name).tiny, codes.dtype)
        progress = tf.math.log(tf.maximum(given["start"], smallest) / tf.maximum(left, smallest))
        share = tf.clip_by_value(self.selection * progress / codes.shape[-1], 0.0, 1.0)
        return self.select(moved, (self.thresholding * given["mu"] * left)[..., None], share)
