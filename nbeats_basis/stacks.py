"""Stacks: blocks of one kind in doubly residual order. Each stack is a named component of the forecast."""

from collections.abc import Sequence
from math import ceil

import keras
import tensorflow as tf

from nbeats_basis.bases import Basis, BSpline, Fourier, Learned, Polynomial
from nbeats_basis.bases.bspline import octaves
from nbeats_basis.bases.fourier import harmonics_of
from nbeats_basis.blocks import COEFFICIENTS, BasisBlock
from nbeats_basis.checks import check_choice, check_int, check_type, plain
from nbeats_basis.durations import duration
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
        context: of an encoder, what the blocks' networks read instead of the window. Defaults to None.
        origin: absolute time of t = 0, `(M or 1, B)`, for bases of calendar phase. Defaults to None.
        order: order of the forecast's derivative. Defaults to 0.

    Returns:
        the residual left `(M, B, L)`, the forecast `(M, B, H, P)`, the backcast `(M, B, L)`, where not observed too, and the
        blocks' coefficients `(M, B, num_blocks, K)`; of several components also lists of each one's forecast and backcast.

    Source: Oreshkin et al. 2020, section 3.2.
    """

    component = "stack"
    offset = is_sparse = is_first = False
    num_regressed = 0  # functions whose regression takes a large matrix a window

    def __init__(self, num_blocks, units, num_layers, shared_weights, coefficients, **kwargs):
        super().__init__(**kwargs)
        self.num_blocks = check_int("num_blocks", num_blocks)
        self.units = check_int("units", units)
        self.num_layers = check_int("num_layers", num_layers)
        self.shared_weights = bool(shared_weights)
        self.coefficients = check_choice("coefficients", coefficients, COEFFICIENTS)
        self.blocks: list[BasisBlock] = []

    @property
    def components(self) -> list[str]:
        """Names of the components of the stack's forecast."""
        return [self.component]

    def copy(self, time_unit: str | None = None) -> "Stack":
        """Return an unbuilt stack of the same arguments, durations among its periods turned to numbers.

        Args:
            time_unit: unit that durations such as "7D" are counted in, None where they make no sense. Defaults to None.

        Raises:
            ValueError: a period is a duration and there is no `time_unit`.
        """
        config = self.get_config()
        if config.get("periods"):
            config["periods"] = [duration("periods", p, time_unit) for p in config["periods"]]
        return type(self).from_config(config)

    def make_bases(self, lookback: float, horizon: float):
        """Return the forecast's basis and the backcast's (None: the same).

        Args:
            lookback: length of the window: L steps, an integer, or units of time, a float.
            horizon: length of the forecast: H steps, an integer, or units of time, a float.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `make_bases`.")

    def make_block(self, lookback: float, horizon: float, num_params: int) -> BasisBlock:
        """Return one block.

        Args:
            lookback: length of the window: L steps, an integer, or units of time, a float.
            horizon: length of the forecast: H steps, an integer, or units of time, a float.
            num_params: P, parameters of the forecast's distribution.
        """
        return BasisBlock(
            *self.make_bases(lookback, horizon),
            units=self.units,
            num_layers=self.num_layers,
            coefficients=self.coefficients,
            num_params=num_params,
            offset=self.offset,
            dtype=self.dtype_policy,
        )

    def bind(
        self, lookback: float, horizon: float, num_params: int, seeds: Sequence[int], scope: str
    ) -> None:
        """Make the blocks. A network calls this once; a stack used alone needs it before the first call.

        Args:
            lookback: length of the window: L steps, an integer, or units of time, a float.
            horizon: length of the forecast: H steps, an integer, or units of time, a float.
            num_params: P, parameters of the forecast's distribution.
            seeds: one integer a member.
            scope: name of the stack within its network.
        """
        self.assign_members(seeds, scope)
        self.blocks = []
        for i in range(1 if self.shared_weights else self.num_blocks):
            block = self.make_block(lookback, horizon, num_params)
            block.assign_members(seeds, f"{scope}/block{i}")
            self.blocks.append(block)

    def build(
        self,
        times_shape,
        values_shape,
        observed_shape,
        query_times_shape,
        context_shape=None,
        origin_shape=None,
    ):
        """Build the blocks."""
        if not self.blocks:
            self.bind(values_shape[-1], query_times_shape[-1], 1, range(values_shape[0]), self.scope)
        for block in self.blocks:
            block.build(times_shape, values_shape, observed_shape, query_times_shape, context_shape)

    def call(self, times, values, observed, query_times, context=None, origin=None, order=0):
        """Return the residual left, the stack's forecast, its backcast and its blocks' coefficients."""
        designs = [block.designs(times, observed, query_times, origin, order) for block in self.blocks]
        backcast, found = 0.0, [[] for _ in self.blocks]  # coefficients, added up before they are expanded
        for i in range(self.num_blocks):
            k = 0 if self.shared_weights else i
            back, theta = self.blocks[k].explain(values, designs[k], context)
            values = (values - back) * observed
            backcast = backcast + back
            found[k].append(theta)
        sums = [[tf.add_n(each) for each in zip(*thetas, strict=True)] for thetas in found]
        parts = zip(self.blocks, sums, designs, strict=True)
        forecast = tf.add_n([block.forecast(theta, design) for block, theta, design in parts])
        return values, forecast, backcast, tf.stack([theta[0] for each in found for theta in each], axis=2)

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

    Classical: monomials ((t - 1) / H)^k for the forecast and (-t / L)^k for the backcast, t = 1..H and t = 0..-(L-1);
    (t / H)^k at irregular times, where there is no first step.
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

    def make_bases(self, lookback: float, horizon: float):
        """Return the polynomials."""
        if self.coefficients != "proposed":
            return Polynomial(self.degree, span=(-lookback, horizon)), None
        start = 1 if isinstance(horizon, int) else 0
        forecast = Polynomial(self.degree, kind="monomial", span=(start, horizon + start))
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
        periods: periods in steps or units of time, or durations such as "7D"; None for the horizon. Defaults to None.
        harmonics: harmonics of each period, one integer or one each; None for all up to half the period in steps, at
            most 12, and for 4 at irregular times. Defaults to None.
        num_blocks: number of blocks. Defaults to 3.
        units: width of the blocks' networks. Defaults to 256.
        num_layers: ReLU layers of the blocks' networks. Defaults to 4.
        shared_weights: True for one set of weights for all blocks. Defaults to True.
        coefficients: "proposed", "combined" or "regression". Defaults to "proposed".
        phase: "window" to count time from the forecast origin, "calendar" from an absolute time. Defaults to "window".

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
        phase: str = "window",
        **kwargs,
    ):
        super().__init__(num_blocks, units, num_layers, shared_weights, coefficients, **kwargs)
        self.periods, self.harmonics, self.phase = plain(periods), plain(harmonics), phase
        Fourier(self.periods or [1], 1 if harmonics is None else self.harmonics, phase=phase)  # refuses now

    def make_bases(self, lookback: float, horizon: float):
        """Return a constant and the harmonics."""
        periods = [horizon] if self.periods is None else self.periods
        harmonics = harmonics_of(periods, self.harmonics, isinstance(horizon, int))
        if self.harmonics is None and self.periods is None and isinstance(horizon, int):
            harmonics = ceil(horizon / 2) - 1
        constant = {"degree": 0, "span": (-lookback, horizon)}
        if self.periods is None and self.coefficients == "proposed" and isinstance(horizon, int):
            forecast = Polynomial(**constant) + Fourier(periods, harmonics, origin=1.0)
            return forecast, Polynomial(**constant) + Fourier(periods, harmonics)
        return Polynomial(**constant) + Fourier(periods, harmonics, phase=self.phase), None

    def get_config(self):
        """Return the constructor's arguments."""
        own = {"periods": self.periods, "harmonics": self.harmonics, "phase": self.phase}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="nbeats_basis")
class Generic(Stack):
    r"""Free-form part: learned functions on the grid of steps, joined smoothly between; splines at irregular times.

    `num_terms=None` makes the coefficients the values of backcast and forecast at the steps; a number puts a learned
    table and its bias in between: V theta + b. At irregular times the functions are cubic splines whose knots are finer
    nearer the origin, and `num_terms` must be None.

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

    def make_bases(self, lookback: float, horizon: float):
        """Return tables over the horizon and the window, or over both together for a regression; or splines."""
        if not isinstance(horizon, int):
            return self._splines(lookback, horizon)
        past, future = range(1 - lookback, 1), range(1, horizon + 1)
        if self.coefficients != "proposed":
            return Learned(self.num_terms, [*past, *future]), None
        terms = self.num_terms and self.num_terms + 1
        return Learned(terms, future), Learned(terms, past)

    def _splines(self, lookback: float, horizon: float):
        """Return splines over the horizon and the window, or over both together for a regression."""
        if self.num_terms is not None:
            raise ValueError(
                "`num_terms` of Generic counts functions on a grid of steps; at irregular times leave it None. "
                f"Received: num_terms={self.num_terms!r}"
            )
        future, past = octaves(horizon), [-t for t in octaves(lookback)[::-1]]
        if self.coefficients != "proposed":
            return BSpline(knots=[*past[:-1], *future]), None
        return BSpline(knots=future), BSpline(knots=past)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "num_terms": self.num_terms}


@keras.saving.register_keras_serializable(package="nbeats_basis")
class Expansion(Stack):
    """Any basis, for windows and forecasts alike.

    Args:
        basis: the basis, taken as a description, on the axis whose 0 is the forecast origin.
        component: name of the stack's component. Defaults to "expansion".
        num_blocks: number of blocks. Defaults to 1.
        units: width of the blocks' networks. Defaults to 256.
        num_layers: ReLU layers of the blocks' networks. Defaults to 4.
        shared_weights: True for one set of weights for all blocks. Defaults to False.
        coefficients: "proposed", "combined" or "regression". Defaults to "combined".

    Example:
        >>> import nbeats_basis as nb
        >>> nb.Expansion(nb.bases.Fourier([7], 3), component="week").component
        'week'
    """

    basis_types: type | tuple = Basis  # what `basis` may be

    def __init__(
        self,
        basis: Basis,
        component: str = "expansion",
        num_blocks: int = 1,
        units: int = 256,
        num_layers: int = 4,
        shared_weights: bool = False,
        coefficients: str = "combined",
        **kwargs,
    ):
        super().__init__(num_blocks, units, num_layers, shared_weights, coefficients, **kwargs)
        self.basis, self.component = check_type("basis", basis, self.basis_types, "a basis"), component

    def copy(self, time_unit: str | None = None) -> "Expansion":
        """Return an unbuilt stack of the same arguments.

        Args:
            time_unit: unit that the basis counts durations in; None for its own. Defaults to None.
        """
        return type(self).from_config({**self.get_config(), "basis": self.basis.copy(time_unit)})

    def make_bases(self, lookback: float, horizon: float):
        """Return a copy of the basis."""
        return self.basis.copy(), None

    def get_config(self):
        """Return the constructor's arguments."""
        basis = keras.saving.serialize_keras_object(self.basis)
        return {**super().get_config(), "basis": basis, "component": self.component}

    @classmethod
    def from_config(cls, config):
        """Rebuild the basis from its configuration."""
        basis = config["basis"]
        basis = basis if isinstance(basis, Basis) else keras.saving.deserialize_keras_object(basis)
        return cls(**{**config, "basis": basis})
