"""Bells around centres, and random waves whose products are those of a kernel."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from nbeats_basis.bases.base import Basis
from nbeats_basis.bases.wavelet import hermite
from nbeats_basis.checks import check_int, check_positive


@keras.saving.register_keras_serializable(package="nbeats_basis")
class RadialBasis(Basis):
    r"""Gaussian bells e^(-x^2 / 2), x = (t - centre) / width: local, and zero far away.

    Args:
        centers: times, at least one.
        width: standard deviation of the bells, positive, one for all or one each, in units of time.
        learnable: True to learn a factor on each width (one set a member), starting at 1. Defaults to False.

    Raises:
        ValueError: no centre or one that is not finite, a width that is not positive, or numbers of centres and widths that differ.

    Example:
        >>> import nbeats_basis as nb
        >>> nb.bases.RadialBasis([0.0, 2.0], width=1.0)([0.0]).numpy().round(3)
        array([[1.   , 0.135]], dtype=float32)
    """

    def __init__(
        self, centers: Sequence[float], width: float | Sequence[float], learnable: bool = False, **kwargs
    ):
        super().__init__(**kwargs)
        self.centers = tuple(float(c) for c in centers)
        widths = [width] * len(self.centers) if np.ndim(width) == 0 else list(width)
        self.widths = tuple(check_positive("width", w) for w in widths)
        if not self.centers or not np.isfinite(self.centers).all() or len(self.widths) != len(self.centers):
            raise ValueError(
                "`centers` must hold at least one finite time, `width` be one number or one for each. "
                f"Received: centers={centers!r}, width={width!r}"
            )
        self.learnable = bool(learnable)

    @property
    def num_terms(self) -> int:
        """Number of centres."""
        return len(self.centers)

    def build(self, times_shape, origin_shape=None):
        """Create the logarithms of the factors on the widths, if they are learned."""
        if self.learnable:
            self.log_factor = self.member_weight(
                "log_factor", (self.num_terms,), lambda rng, shape: np.zeros(shape)
            )

    def evaluate(self, times, order: int):
        """Evaluate by Hermite polynomials: the n-th derivative is (-1)^n He_n(x) e^(-x^2 / 2) / width^n."""
        width = ops.cast(np.asarray(self.widths), times.dtype)
        if self.learnable:
            factor = ops.exp(ops.cast(self.log_factor, times.dtype))
            width = width * (factor if self.seeds is None else factor[:, None, None, :])
        x = (times[..., None] - ops.cast(np.asarray(self.centers), times.dtype)) / width
        return (-1) ** order * hermite(x, order)[order] * ops.exp(-(x**2) / 2) / width**order

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "centers": list(self.centers),
            "width": list(self.widths),
            "learnable": self.learnable,
        }


@keras.saving.register_keras_serializable(package="nbeats_basis")
class RandomFourier(Basis):
    r"""Random waves whose products approximate a Gaussian process of one or several length scales.

    sqrt(2 / K) cos(w t), then sqrt(2 / K) sin(w t), with w drawn from N(0, 1 / scale^2), the scales in turn: the sum over the
    functions of b_k(s) b_k(t) is the mean of e^(-(s - t)^2 / (2 scale^2)) over the scales, up to an error that falls as
    1 / sqrt(K).

    Args:
        num_terms: K, an even number.
        scales: length scales, each positive, in units of time.
        seed: of the draw; all members share the waves. Defaults to 0.

    Raises:
        ValueError: `num_terms` is not even, or a scale not positive; or no scale.

    Source: Rahimi & Recht 2007, algorithm 1.
    """

    def __init__(self, num_terms: int, scales: Sequence[float], seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.count = check_int("num_terms", num_terms, 2)
        if self.count % 2:
            raise ValueError(f"`num_terms` must be even. Received: num_terms={num_terms!r}")
        self.scales = tuple(check_positive("scales", s) for s in scales)
        if not self.scales:
            raise ValueError(f"`scales` must hold at least one number. Received: scales={scales!r}")
        self.seed = check_int("seed", seed, 0)
        spread = 1 / np.resize(self.scales, self.count // 2)
        self._speeds = spread * np.random.default_rng(self.seed).normal(size=self.count // 2)

    @property
    def num_terms(self) -> int:
        """K."""
        return self.count

    def evaluate(self, times, order: int):
        """Evaluate in closed form: each derivative advances the phase by a quarter turn."""
        speeds = ops.cast(self._speeds, times.dtype)
        angle = times[..., None] * speeds
        cos, sin = ops.cos(angle), ops.sin(angle)
        for _ in range(order):
            cos, sin = -speeds * sin, speeds * cos
        return float(np.sqrt(2 / self.count)) * ops.concatenate([cos, sin], axis=-1)

    def get_config(self):
        """Return the constructor's arguments."""
        own = {"num_terms": self.count, "scales": list(self.scales), "seed": self.seed}
        return {**super().get_config(), **own}
