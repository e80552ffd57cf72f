"""Functions that are a small network of time."""

from collections.abc import Sequence
from math import factorial

import keras
import numpy as np
from keras import ops

from nbeats_basis.bases.base import Basis
from nbeats_basis.checks import check_int
from nbeats_basis.members import uniform

_SPEED = 30.0  # of the first layer's sines, omega_0 of the source


@keras.saving.register_keras_serializable(package="nbeats_basis")
class Implicit(Basis):
    r"""Learned functions: a network of sines of time, whose last layer is linear; one network a member.

    h_1 = sin(30 (w_1 u + c_1)), h_{l+1} = sin(W_l h_l + c_l), b = V h + e, with u the time mapped from `span` to (-1, 1). It is
    drawn so that every layer's inputs start normal with variance 1; derivatives of any order come from its Taylor series.

    Args:
        num_terms: K, number of functions, at least 1.
        units: width of the layers. Defaults to 32.
        num_layers: number of layers of sines, at least 1. Defaults to 2.
        span: (a, b), a < b, in units of time. Defaults to (-1.0, 1.0).

    Raises:
        ValueError: an empty span, or sizes below 1.

    Source: Sitzmann et al. 2020 (SIREN), theorem 1.8 and section 3.2.
    """

    def __init__(
        self,
        num_terms: int,
        units: int = 32,
        num_layers: int = 2,
        span: Sequence[float] = (-1.0, 1.0),
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.count = check_int("num_terms", num_terms)
        self.units, self.num_layers = check_int("units", units), check_int("num_layers", num_layers)
        self.span = tuple(float(s) for s in span)
        if len(self.span) != 2 or not -np.inf < self.span[0] < self.span[1] < np.inf:
            raise ValueError(
                f"`span` must be two finite times, the first the earlier. Received: span={span!r}"
            )

    @property
    def num_terms(self) -> int:
        """K."""
        return self.count

    def build(self, times_shape, origin_shape=None):
        """Create the layers' kernels and biases."""
        sizes = [1, *[self.units] * self.num_layers, self.count]
        self.layers = []
        for i, (inputs, outputs) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
            limit = _SPEED if i == 0 else np.sqrt(6 / inputs)
            kernel = self.member_weight(f"kernel{i}", (inputs, outputs), uniform(limit))
            self.layers.append(
                (kernel, self.member_weight(f"bias{i}", (outputs,), uniform(np.pi if i == 0 else limit / 10)))
            )

    def evaluate(self, times, order: int):
        """Push the Taylor series of time through the layers; its last term is the derivative over order!."""
        a, b = self.span
        series = [(2 * (times - a) / (b - a) - 1)[..., None], ops.full_like(times, 2 / (b - a))[..., None]][
            : order + 1
        ]
        series += [ops.zeros_like(series[0])] * (order + 1 - len(series))
        for i, (kernel, bias) in enumerate(self.layers):
            kernel, bias = ops.cast(kernel, times.dtype), ops.cast(bias, times.dtype)
            if self.seeds is not None:
                kernel, bias = kernel[:, None], bias[:, None, None]
            series = [ops.matmul(term, kernel) for term in series]
            series[0] = series[0] + bias
            if i < self.num_layers:
                series = _sine(series)
        return series[order] * float(factorial(order))

    def get_config(self):
        """Return the constructor's arguments."""
        own = {
            "num_terms": self.count,
            "units": self.units,
            "num_layers": self.num_layers,
            "span": list(self.span),
        }
        return {**super().get_config(), **own}


def _sine(series: list) -> list:
    """Return the Taylor series of the sine of a series: s_n = sum_j j x_j c_{n-j} / n, c_n = -sum_j j x_j s_{n-j} / n."""
    sin, cos = [ops.sin(series[0])], [ops.cos(series[0])]
    for n in range(1, len(series)):
        pairs = range(1, n + 1)
        up = sum(j / n * series[j] * cos[n - j] for j in pairs)
        down = sum(j / n * series[j] * sin[n - j] for j in pairs)
        sin.append(up)
        cos.append(-down)
    return sin
