"""Stacks: blocks of one kind in doubly residual order. Each stack is a named component of the forecast."""

from collections.abc import Sequence
from math import ceil

import keras
import tensorflow as tf

from nbeats_basis.bases import Fourier, Learned, Polynomial
from nbeats_basis.blocks import COEFFICIENTS, BasisBlock
from nbeats_basis.checks import check_choice, check_int
from nbeats_basis.members import MemberLayer


class Stack(MemberLayer):
    """Blocks in doubly residual order: the next block sees residual - backcast, re-masked; forecasts add up.

    A new kind of stack sets `component` and implements `make_bases(lookback, horizon)`.

    Args:
        num_blocks: number of blocks, at least 1.
        units: width of the blocks' networks.
        num_layers: ReLU layers of the blocks' networks.
        shared_weights: True for one set of weights for all blocks of the stack.
        coefficients: "proposed" (classical), "combined" or "regression"; see `BasisBlock`.

    Call arguments:
        times: `(M or 1, B or 1, L)`, 0 at the forecast origin.
        values: `(M, B, L)`, the residual, 0 where not observed.
        observed: `(M, B, L)`, 1 where observed, 0 elsewhere.
        query_times: `(M or 1, B or 1, H)`.

    Returns:
        the residual left `(M, B, L)` and the forecast `(M, B, H, P)`.

    Source: Oreshkin et al. 2020, section 3.2.
    """

    component = "stack"
    offset = False

    def __init__(self, num_blocks, units, num_layers, shared_weights, coefficients, **kwargs):
        super().__init__(**kwargs)
        self.num_blocks = check_int("num_blocks", num_blocks)
        self.units = check_int("units", units)
        self.num_layers = check_int("num_layers", num_layers)
        self.shared_weights = bool(shared_weights)
        self.coefficients = check_choice("coefficients", coefficients, COEFFICIENTS)
        self.blocks: list[BasisBlock] = []

    def make_bases(self, lookback: int, horizon: int):
        """Return the forecast's basis and the backcast's (None: the same).

        Args:
            lookback: L, length of the window, in steps.
            horizon: H, length of the forecast, in steps.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `make_bases`.")

    def bind(self, lookback: int, horizon: int, num_params: int, seeds: Sequence[int], scope: str) -> None:
        """Make the blocks. A network calls this once; a stack used alone needs it before the first call.

        Args:
            lookback: L, length of the window, in steps.
            horizon: H, length of the forecast, in steps.
            num_params: P, parameters of the forecast's distribution.
            seeds: one integer a member.
            scope: name of the stack within its network.
        """
        self.assign_members(seeds, scope)
        self.blocks = []
        for i in range(1 if self.shared_weights else self.num_blocks):
            block = BasisBlock(
                *self.make_bases(lookback, horizon),
                units=self.units,
                num_layers=self.num_layers,
                coefficients=self.coefficients,
                num_params=num_params,
                offset=self.offset,
                dtype=self.dtype_policy,
            )
            block.assign_members(seeds, f"{scope}/block{i}")
            self.blocks.append(block)

    def build(self, times_shape, values_shape, observed_shape, query_times_shape):
        """Build the blocks."""
        if not self.blocks:
            self.bind(values_shape[-1], query_times_shape[-1], 1, range(values_shape[0]), self.scope)
        for block in self.blocks:
            block.build(times_shape, values_shape, observed_shape, query_times_shape)

    def call(self, times, values, observed, query_times):
        """Return the residual left and the stack's forecast."""
        forecast = 0.0
        for i in range(self.num_blocks):
            block = self.blocks[0 if self.shared_weights else i]
            backcast, partial = block(times, values, observed, query_times)
            values = (values - backcast) * observed
            forecast = forecast + partial
        return values, tf.convert_to_tensor(forecast)

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "num_blocks": self.num_blocks,
            "units": self.units,
            "num_layers": self.num_layers,
            "shared_weights": self.shared_weights,
            "coefficients": self.coefficients,
        }


@keras.saving.register_keras_serializable(package="nbeats_basis")
class Trend(Stack):
    r"""Slowly varying part: polynomials of low degree.

    Classical: monomials ((t - 1) / H)^k for the forecast and (-t / L)^k for the backcast, t = 1..H and t = 0..-(L-1).
    With a regression: orthonormal Legendre polynomials over window and horizon together.

    Args:
        degree: highest degree, at least 0. Defaults to 2.
        num_blocks: number of blocks. Defaults to 3.
        units: width of the blocks' networks. Defaults to 256.
        num_layers: ReLU layers of the blocks' networks. Defaults to 4.
        shared_weights: True for one set of weights for all blocks. Defaults to True.
        coefficients: "proposed", "combined" or "regression". Defaults to "proposed".

    Source: Oreshkin et al. 2020, section 3.3.
    """

    component = "trend"

    def __init__(
        self,
        degree: int = 2,
        num_blocks: int = 3,
        units: int = 256,
        num_layers: int = 4,
        shared_weights: bool = True,
        coefficients: str = "proposed",
        **kwargs,
    ):
        super().__init__(num_blocks, units, num_layers, shared_weights, coefficients, **kwargs)
        self.degree = check_int("degree", degree, 0)

    def make_bases(self, lookback: int, horizon: int):
        """Return the polynomials."""
        if self.coefficients != "proposed":
            return Polynomial(self.degree, span=(-lookback, horizon)), None
        forecast = Polynomial(self.degree, kind="monomial", span=(1, horizon + 1))
        return forecast, Polynomial(self.degree, kind="monomial", span=(0, -lookback))

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "degree": self.degree}


@keras.saving.register_keras_serializable(package="nbeats_basis")
class Seasonality(Stack):
    r"""Periodic part: a constant and harmonics.

    Classical (`periods=None`): period H and its harmonics below H / 2, cos and sin of 2 pi k (t - 1) / H for the
    forecast and of 2 pi k t / H for the backcast. With `periods`: the harmonics of each period, one phase for both.

    Args:
        periods: periods in steps; None for the horizon. Defaults to None.
        harmonics: harmonics of each period, one integer or one each; None for all up to half the period, at most
            12. Defaults to None.
        num_blocks: number of blocks. Defaults to 3.
        units: width of the blocks' networks. Defaults to 256.
        num_layers: ReLU layers of the blocks' networks. Defaults to 4.
        shared_weights: True for one set of weights for all blocks. Defaults to True.
        coefficients: "proposed", "combined" or "regression". Defaults to "proposed".

    Source: Oreshkin et al. 2020, section 3.3.
    """

    component = "seasonality"

    def __init__(
        self,
        periods: Sequence[float] | None = None,
        harmonics: int | Sequence[int] | None = None,
        num_blocks: int = 3,
        units: int = 256,
        num_layers: int = 4,
        shared_weights: bool = True,
        coefficients: str = "proposed",
        **kwargs,
    ):
        super().__init__(num_blocks, units, num_layers, shared_weights, coefficients, **kwargs)
        self.periods, self.harmonics = periods, harmonics
        Fourier(periods or [1], 1 if harmonics is None else harmonics)  # refuses bad arguments now

    def make_bases(self, lookback: int, horizon: int):
        """Return a constant and the harmonics."""
        periods = [horizon] if self.periods is None else self.periods
        harmonics = self.harmonics
        if harmonics is None and self.periods is None:
            harmonics = ceil(horizon / 2) - 1
        elif harmonics is None:
            harmonics = [min(12, int(p / 2)) for p in periods]
        constant = {"degree": 0, "span": (-lookback, horizon)}
        if self.periods is None and self.coefficients == "proposed":
            forecast = Polynomial(**constant) + Fourier(periods, harmonics, origin=1.0)
            return forecast, Polynomial(**constant) + Fourier(periods, harmonics)
        return Polynomial(**constant) + Fourier(periods, harmonics), None

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "periods": self.periods, "harmonics": self.harmonics}


@keras.saving.register_keras_serializable(package="nbeats_basis")
class Generic(Stack):
    r"""Free-form part: learned functions on the grid of steps, joined smoothly between.

    `num_terms=None` makes the coefficients the values of backcast and forecast at the steps; a number puts a learned
    table and its bias in between: V theta + b.

    Args:
        num_terms: number of learned functions; None for one a step. Defaults to None.
        num_blocks: number of blocks. Defaults to 1.
        units: width of the blocks' networks. Defaults to 512.
        num_layers: ReLU layers of the blocks' networks. Defaults to 4.
        shared_weights: True for one set of weights for all blocks. Defaults to False.
        coefficients: "proposed", "combined" or "regression". Defaults to "proposed".

    Source: Oreshkin et al. 2020, section 3.3.
    """

    component = "generic"

    def __init__(
        self,
        num_terms: int | None = None,
        num_blocks: int = 1,
        units: int = 512,
        num_layers: int = 4,
        shared_weights: bool = False,
        coefficients: str = "proposed",
        **kwargs,
    ):
        super().__init__(num_blocks, units, num_layers, shared_weights, coefficients, **kwargs)
        self.num_terms = None if num_terms is None else check_int("num_terms", num_terms)
        self.offset = num_terms is not None and coefficients == "proposed"

    def make_bases(self, lookback: int, horizon: int):
        """Return tables over the horizon and the window, or over both together for a regression."""
        past, future = range(1 - lookback, 1), range(1, horizon + 1)
        if self.coefficients != "proposed":
            return Learned(self.num_terms, [*past, *future]), None
        terms = self.num_terms and self.num_terms + 1
        return Learned(terms, future), Learned(terms, past)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "num_terms": self.num_terms}
