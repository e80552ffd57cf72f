"""Cosines and sines of several periods."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from nbeats_basis.bases.base import Basis
from nbeats_basis.checks import check_int, check_positive


@keras.saving.register_keras_serializable(package="nbeats_basis")
class Fourier(Basis):
    r"""Harmonics of one or several periods.

    For each period p and k = 1..n: cos(2 pi k (t - t0) / p), then the sines in the same order. No constant term.

    Args:
        periods: periods in units of time, each positive.
        harmonics: n, number of harmonics, one integer for all periods or one each, at least 0 (0 drops a period).
        origin: t0, the time of phase zero. Defaults to 0.0.
        learnable: True to learn a factor on each period (one per member), starting at 1. Defaults to False.

    Raises:
        ValueError: a period is not positive, or the numbers of `periods` and `harmonics` differ.

    Example:
        >>> import nbeats_basis as nb
        >>> nb.bases.Fourier([7, 365.25], harmonics=[3, 6]).num_terms
        18

    Source: Oreshkin et al. 2020, section 3.3; Taylor & Letham 2018, equation 5.
    """

    def __init__(
        self,
        periods: Sequence[float],
        harmonics: int | Sequence[int],
        origin: float = 0.0,
        learnable: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.periods = tuple(check_positive("periods", p) for p in periods)
        counts = [harmonics] * len(self.periods) if np.ndim(harmonics) == 0 else list(harmonics)
        if len(counts) != len(self.periods):
            raise ValueError(
                "`harmonics` must be one integer, or one for each period. "
                f"Received: periods={periods!r}, harmonics={harmonics!r}"
            )
        self.harmonics = tuple(check_int("harmonics", n, 0) for n in counts)
        self.origin = float(origin)
        self.learnable = bool(learnable)

    @property
    def num_terms(self) -> int:
        """Two for each harmonic."""
        return 2 * sum(self.harmonics)

    def build(self, times_shape):
        """Create the logarithms of the factors on the periods, if they are learned."""
        if self.learnable:
            self.log_factor = self.member_weight(
                "log_factor", (len(self.periods),), lambda rng, shape: np.zeros(shape)
            )

    def evaluate(self, times, order: int):
        """Evaluate in closed form: each derivative advances the phase by a quarter turn."""
        index = np.repeat(np.arange(len(self.periods)), self.harmonics)
        multiple = np.concatenate([np.arange(1, n + 1) for n in self.harmonics] or [np.zeros(0)])
        omega = ops.cast(2 * np.pi * multiple / np.asarray(self.periods)[index], times.dtype)
        if self.learnable:
            factor = ops.exp(ops.cast(ops.take(self.log_factor, index, axis=-1), times.dtype))
            omega = omega / (factor if self.seeds is None else factor[:, None, None, :])
        angle = (times - self.origin)[..., None] * omega
        cos, sin = ops.cos(angle), ops.sin(angle)
        for _ in range(order % 4):
            cos, sin = -sin, cos
        if order:
            cos, sin = cos * omega**order, sin * omega**order
        parts, start = [], 0
        for n in self.harmonics:
            parts += [cos[..., start : start + n], sin[..., start : start + n]]
            start += n
        return ops.concatenate(parts, axis=-1) if parts else cos

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "periods": list(self.periods),
            "harmonics": list(self.harmonics),
            "origin": self.origin,
            "learnable": self.learnable,
        }
