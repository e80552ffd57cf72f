"""Unrolled pursuits: a fixed number of proximal steps as a layer, their weights, steps and thresholds learned."""

import keras
import numpy as np
import tensorflow as tf

from nbeats_basis.checks import check_between, check_choice, check_int, check_positive
from nbeats_basis.members import MemberLayer
from nbeats_basis.sparse.first_order import correlate, synthesise
from nbeats_basis.sparse.proximal import pair_sizes, soft_threshold, support_threshold
from nbeats_basis.sparse.weights import analytic_weight, gradient_step

STARTS = ("gradient", "analytic")


class Unrolled(MemberLayer):
    r"""`num_layers` steps x <- eta(x + V'(y - A x)) from x = 0; a subclass says what V is and how eta thresholds.

    A is the design, whose columns should be about of unit norm. The share of the largest codes that pass layer k unshrunk is
    min(k `bypass`, `most_bypass`), k = 1, 2, ...

    Args:
        num_layers: number of steps, at least 1. Defaults to 16.
        threshold: of every layer before training, above 0, in the codes' unit. Defaults to 0.07.
        bypass: share of the codes, in [0, 1]. Defaults to 0.0.
        most_bypass: largest share, in [0, 1]. Defaults to 0.13.
        tied: True for one set of weights for all layers. Defaults to False.
        start: V before training: "gradient" for A / |A|^2, the step of ISTA, or "analytic" for W of `analytic_weight`, much nearer
            to the best V, but useless where atoms are strongly coherent. Defaults to "gradient".

    Call arguments:
        values: y, `(..., L)`.
        design: A, `(..., L, K)`, or `(L, K)` for one dictionary for all.
        mask: `(..., L)`, 1 where observed, 0 elsewhere; None for all. Defaults to None.
        return_layers: True for every layer's codes. Defaults to False.
        depth: number of layers to run; None for all. Defaults to None.

    Returns:
        codes `(..., K)`, or `(layers, ..., K)` with `return_layers`.

    Raises:
        ValueError: numbers out of range.
    """

    has_step = False  # True for a learned step in every layer
    any_times = True  # False where a learned matrix has a row for each observation
    arguments = ("num_layers", "threshold", "bypass", "most_bypass", "tied", "start")

    def __init__(
        self,
        num_layers: int = 16,
        threshold: float = 0.07,
        bypass: float = 0.0,
        most_bypass: float = 0.13,
        tied: bool = False,
        start: str = "gradient",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_layers = check_int("num_layers", num_layers)
        self.threshold = check_positive("threshold", threshold)
        self.bypass = check_between("bypass", bypass, 0, 1)
        self.most_bypass = check_between("most_bypass", most_bypass, 0, 1)
        self.tied = bool(tied)
        self.start = check_choice("start", start, STARTS)
        self.partner = None

    def pair(self, cosines, sines, count: int) -> None:
        """Threshold pairs of codes by their amplitude, so that what is chosen does not depend on phase. Call before the first call.

        Args:
            cosines: `(n,)`, numbers of the codes that have a partner.
            sines: `(n,)`, their partners.
            count: K, number of codes.
        """
        self.partner = np.arange(count)
        self.partner[cosines], self.partner[sines] = sines, cosines

    def build(self, values_shape, design_shape, mask_shape=None):
        """Create the weights of every layer, and those they share."""
        size = tuple(design_shape[-2:])
        self.shared = self.add_shared(size)
        own = [self.add_layer(k, size) for k in range(1 if self.tied else self.num_layers)]
        self.layers = own * self.num_layers if self.tied else own

    def add_shared(self, size: tuple[int, int]) -> dict:
        """Return the weights that all layers share, by name.

        Args:
            size: L and K.
        """
        return {}

    def add_layer(self, k: int, size: tuple[int, int]) -> dict:
        """Return the weights of layer k, by name.

        Args:
            k: 0 to `num_layers` - 1.
            size: L and K.
        """
        weights = {"threshold": self.scalar(f"threshold{k}", self.threshold)}
        return {**weights, "step": self.scalar(f"step{k}", 1.0)} if self.has_step else weights

    def scalar(self, name: str, value: float):
        """Add a scalar weight, one a member.

        Args:
            name: of the weight.
            value: before training.
        """
        return self.member_weight(name, (), lambda rng, shape: np.full(shape, value))

    def zeros(self, name: str, shape: tuple):
        """Add a weight that starts at 0: a learned change of what the design gives.

        Args:
            name: of the weight.
            shape: of one member's.
        """
        return self.member_weight(name, shape, lambda rng, shape: np.zeros(shape))

    def call(self, values, design, mask=None, return_layers=False, depth=None):
        """Return the codes."""
        if mask is not None:
            values = tf.where(tf.cast(mask, "bool"), values, 0)
        return self.pursue(values, self.prepare(design, mask), return_layers, depth)

    def prepare(self, design, mask=None) -> dict:
        """Return what `pursue` reads of a design, the same for all values: "design" and, for `weight`, "weight".

        Args:
            design: A, `(..., L, K)` or `(L, K)`.
            mask: `(..., L)`, 1 where observed, 0 elsewhere; None for all. Defaults to None.
        """
        design = tf.convert_to_tensor(design)
        if mask is not None:
            design *= tf.cast(mask, design.dtype)[..., None]
        return self.analyse(design)

    def analyse(self, design) -> dict:
        """Return what `prepare` does.

        Args:
            design: A, 0 in rows that are not observed.
        """
        if self.start == "analytic":
            return {"design": design, "weight": analytic_weight(design)[0]}
        return {"design": design, "weight": design * gradient_step(design)}

    def pursue(self, values, given: dict, return_layers=False, depth=None):
        """Return the codes, `(..., K)`, or `(layers, ..., K)` with `return_layers`.

        Args:
            values: y, `(..., L)`, 0 where not observed.
            given: of `prepare`.
            return_layers: as for a call. Defaults to False.
            depth: as for a call. Defaults to None.
        """
        values = tf.cast(values, given["design"].dtype)
        given = self.adapt({**given, "values": values})
        codes = tf.zeros_like(correlate(given["design"], values))
        previous, all_codes = codes, []
        for k, weights in enumerate(self.layers[:depth]):
            weights = {name: self.aligned(weight, codes) for name, weight in weights.items()}
            previous, codes = codes, self.step(k, codes, previous, given, weights)
            all_codes.append(codes)
        return tf.stack(all_codes) if return_layers else codes

    def aligned(self, weight, codes):
        """Return a weight with a scalar's member axis, if it has one, in front of the codes' axes.

        Args:
            weight: `()`, `(M,)`, or a matrix.
            codes: `(..., K)`.
        """
        weight = tf.cast(tf.convert_to_tensor(weight), codes.dtype)
        if self.seeds is None:
            return weight
        if weight.shape.rank == 1:
            return tf.reshape(weight, (-1, *[1] * (codes.shape.rank - 1)))
        return tf.reshape(weight, (weight.shape[0], *[1] * (codes.shape.rank - 2), *weight.shape[1:]))

    def adapt(self, given: dict) -> dict:
        """Return what all steps read: what `prepare` gave, "values", and what shared weights make of them.

        Args:
            given: of `prepare`, and "values".
        """
        return given

    def step(self, k: int, codes, previous, given: dict, weights: dict):
        """Return the next codes.

        Args:
            k: number of the layer, from 0.
            codes: x, `(..., K)`.
            previous: the codes before those.
            given: of `adapt`.
            weights: of layer k.
        """
        residual = given["values"] - synthesise(given["design"], codes)
        change = weights.get("step", 1.0) * correlate(self.weight(given, weights), residual)
        return self.shrink(k, codes + change, weights["threshold"])

    def weight(self, given: dict, weights: dict):
        """Return V without the step, of the design's shape or one that broadcasts.

        Args:
            given: of `adapt`.
            weights: of a layer.
        """
        return given["weight"]

    def shrink(self, k: int, codes, threshold):
        """Return the thresholded codes.

        Args:
            k: number of the layer, from 0.
            codes: `(..., K)`.
            threshold: broadcasts to the codes.
        """
        return self.select(codes, threshold, min(self.bypass * (k + 1), self.most_bypass))

    def select(self, codes, threshold, share):
        """Return the codes thresholded by size or amplitude, a share of the largest exempt.

        Args:
            codes: `(..., K)`.
            threshold: broadcasts to the codes.
            share: in [0, 1], a number or `(...)`.
        """
        size = None if self.partner is None else pair_sizes(codes, self.partner)
        if isinstance(share, float) and share == 0:
            return soft_threshold(codes, threshold, size)
        return support_threshold(codes, threshold, share, size)

    def get_config(self):
        """Return the constructor's arguments, and the pairs of `pair`."""
        config = {**super().get_config(), **{name: getattr(self, name) for name in self.arguments}}
        return config if self.partner is None else {**config, "partner": self.partner.tolist()}

    @classmethod
    def from_config(cls, config):
        """Return the layer of these arguments and pairs."""
        config = dict(config)
        partner = config.pop("partner", None)
        layer = cls(**config)
        layer.partner = None if partner is None else np.asarray(partner)
        return layer


class SupportUnrolled(Unrolled):
    """With support selection by default: the largest codes pass unshrunk.

    Args:
        num_layers: number of steps, at least 1. Defaults to 16.
        threshold: of every layer before training, above 0, in the codes' unit. Defaults to 0.07.
        bypass: share of the codes, in [0, 1]. Defaults to 0.012.
        most_bypass: largest share, in [0, 1]. Defaults to 0.13.
        tied: True for one set of weights for all layers. Defaults to False.
        start: V before training, "gradient" or "analytic". Defaults to "gradient".

    Source: Chen et al. 2018, section 3.2.
    """

    def __init__(
        self,
        num_layers: int = 16,
        threshold: float = 0.07,
        bypass: float = 0.012,
        most_bypass: float = 0.13,
        tied: bool = False,
        start: str = "gradient",
        **kwargs,
    ):
        super().__init__(num_layers, threshold, bypass, most_bypass, tied, start, **kwargs)


@keras.saving.register_keras_serializable(package="nbeats_basis")
class SLISTA(Unrolled):
    """V_k = gamma_k A / |A|^2: steps and thresholds alone are learned, so it takes any dictionary and any number of observations.

    Source: Ablin et al. 2019, equation 9.
    """

    has_step = True
