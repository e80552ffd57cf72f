"""Smoothing blocks: what exponential smoothing would forecast, each window at the rates that suit it."""

from collections.abc import Sequence
from math import ceil, comb

import keras
import numpy as np
import tensorflow as tf

from nbeats_basis.bases import BSpline, Fourier, Polynomial
from nbeats_basis.bases.fourier import harmonics_of
from nbeats_basis.blocks import BasisBlock
from nbeats_basis.checks import check_positive, plain
from nbeats_basis.encoders import encode, encoded_size
from nbeats_basis.regression import alike, expand, inverse, normal_matrix
from nbeats_basis.scaling import deviation, last_observed
from nbeats_basis.smoothing import in_order, seasonal, smooth
from nbeats_basis.stacks import Stack

_RATES = 9  # half-lives, each half the one before
_KNOTS = 12  # most intervals of the broken line beside which a season is found
_RIDGE = 1e-3  # of that regression, in observations
_TERMS = 3  # polynomials


@keras.saving.register_keras_serializable(package="nbeats_basis")
class SmoothingBlock(BasisBlock):
    """One block: level, drift and season of a window in closed form, see `nbeats_basis.smoothing`.

    The rates' prior and the drift's usual share are learned. There is no network but for the parameters of the head beside the
    location; it reads the line and its one-step error beside the window.

    Args:
        periods: periods of the season, in units of time, none for no season.
        harmonics: harmonics of each period.
        lookback: length of the window, in units of time.
        horizon: length of the forecast, in units of time.
        multiplicative: True for a season that multiplies the height above a floor, see `Smoothing`. Defaults to False.
        units: width of the network. Defaults to 64.
        num_layers: number of ReLU layers, at least 1. Defaults to 2.
        num_params: P, parameters of the forecast's distribution, at least 1. Defaults to 1.
    """

    def __init__(
        self,
        periods: Sequence[float],
        harmonics: Sequence[int],
        lookback: float,
        horizon: float,
        multiplicative: bool = False,
        units: int = 64,
        num_layers: int = 2,
        num_params: int = 1,
        **kwargs,
    ):
        self.periods, self.harmonics = list(periods), list(harmonics)
        self.lookback, self.horizon = check_positive("lookback", lookback), check_positive("horizon", horizon)
        self.multiplicative = bool(multiplicative)
        line = Polynomial(_TERMS - 1, kind="monomial", span=(0, horizon))
        basis = line + Fourier(self.periods, self.harmonics) if self.periods else line
        kwargs["coefficients"] = "regression"  # the location is found, not proposed
        super().__init__(basis, None, units, num_layers, num_params=num_params, **kwargs)
        if self.periods:
            gap = max(*self.periods, lookback / _KNOTS)
            knots = -gap * np.arange(ceil(lookback / gap), -1, -1)
            self.beside = BSpline(knots=knots, degree=1)
        self.half_lives = 0.5 ** np.arange(1, _RATES + 1)  # in lookbacks

    def build(self, times_shape, values_shape, observed_shape, query_times_shape, context_shape=None):
        """Create the prior of the rates, the drift's usual share and the network."""
        super().build(times_shape, values_shape, observed_shape, query_times_shape, context_shape)
        self.log_prior = self.member_weight("log_prior", (_RATES,), lambda rng, shape: np.zeros(shape))
        self.share = self.member_weight("share", (1,), lambda rng, shape: np.zeros(shape))

    def _regresses(self, context_shape) -> bool:
        return False

    def _num_proposed(self) -> int:
        return (self.num_params - 1) * _TERMS

    def _num_read(self, values_shape, context_shape) -> int:
        read = values_shape[-1] if context_shape is None else encoded_size(context_shape)
        return read + _TERMS + 1

    def designs(self, times, observed, query_times, origin=None, order: int = 0) -> dict:
        """Return the functions at all times, the forecast's with their derivatives, and the regression that finds the season.

        That is in double precision: where observations come at every other step or less, functions look alike.

        Args:
            times: `(M or 1, B or 1, L)`.
            observed: `(M, B, L)`.
            query_times: `(M or 1, B or 1, H)`.
            origin: absolute time of t = 0, `(M or 1, B)`, for bases of calendar phase. Defaults to None.
            order: order of the forecast's derivative. Defaults to 0.
        """
        past = self.basis(times)
        future = [self.basis.derivative(query_times, i) for i in range(order + 1)]
        designs = {"times": times, "observed": observed, "past": past, "future": future}
        if self.periods:
            times, observed = (tf.cast(each, "float64") for each in (times, observed))
            design = tf.concat([self.beside(times), self.basis(times)[..., _TERMS:]], axis=-1)
            gram = normal_matrix(design, observed)
            ridge = tf.fill(tf.shape(gram)[:-1], tf.constant(_RIDGE, "float64"))
            regression = inverse(gram, ridge, alike(design, observed)), gram, ridge
            designs["season"] = design, regression
        return designs

    def explain(self, values, designs: dict, context: dict | None = None) -> tuple:
        """Return the backcast and coefficients: what is added to the location, the other parameters', and what a season multiplies, with it.

        Args:
            values: `(M, B, L)`, of the window, 0 where not observed.
            designs: of `designs`.
            context: of an encoder. Defaults to None.
        """
        observed, times = designs["observed"], designs["times"]
        start = last_observed(values, tf.broadcast_to(times, tf.shape(values)), observed > 0)
        floor = _floor(values, observed) if self.multiplicative else tf.zeros_like(values[..., :1])
        heights = (values - floor) * observed
        season, pattern = self._season(heights, designs) if self.periods else ([], tf.zeros_like(values))
        plus, factor = (0.0, tf.exp(pattern)) if self.multiplicative else (pattern, 1.0)
        series = (heights - plus) * observed / factor, observed, times / self.lookback
        if context is not None:  # not a grid
            series = in_order(*series)
        constant, slope, error = smooth(*series, self.half_lives, self.log_prior, tf.sigmoid(self.share))
        line = tf.stack([constant, slope * self.horizon / self.lookback, tf.zeros_like(slope)], axis=-1)
        backcast = floor + expand(designs["past"][..., :_TERMS], line) * factor + plus
        found = [line, *season]
        added = [tf.zeros_like(each) for each in found] if self.multiplicative else found
        start = tf.pad(floor - start[..., None], [(0, 0), (0, 0), (0, _TERMS - 1)])
        theta = [tf.concat([added[0] + start, *added[1:]], axis=-1)]
        if self.network is not None:
            read = values if context is None else encode(context, values)
            read = tf.concat([read, line + start, error[..., None]], axis=-1)
            theta += tf.split(self.network(read), self.num_params - 1, axis=-1)
        if self.multiplicative:
            theta.append(tf.concat(found, axis=-1))
        return backcast, theta

    def _season(self, heights, designs: dict) -> tuple:
        """Return the season's coefficients, one tensor in a list, and what it adds to the window or its logarithm.

        Args:
            heights: `(M, B, L)`, of the window, 0 where not observed; positive elsewhere where a season multiplies.
            designs: of `designs`.
        """
        observed = designs["observed"]
        if self.multiplicative:
            heights = tf.math.log(tf.where(heights > 0, heights, 1.0))
        heights, observed = (tf.cast(each, "float64") for each in (heights, observed))
        season = seasonal(heights, observed, *designs["season"], self.beside.num_terms)
        season = tf.cast(season, "float32")
        return [season], expand(designs["past"][..., _TERMS:], season)

    def parts(self, theta: list, functions: list) -> list:
        """Return the location's line, and what a season adds to it, `(M, B, T)` each.

        Args:
            theta: of `explain`.
            functions: the basis and its derivatives up to the order asked for, `(M or 1, B or 1, T, K)` each.
        """
        lines = [each[..., :_TERMS] for each in functions]
        seasons = [each[..., _TERMS:] for each in functions]
        found = [expand(lines[-1], theta[0][..., :_TERMS])]
        if self.periods:
            found.append(expand(seasons[-1], theta[0][..., _TERMS:]))
        if self.multiplicative:
            line, season = theta[-1][..., :_TERMS], theta[-1][..., _TERMS:]
            line = [expand(each, line) for each in lines]
            found[0] += line[-1]
            if self.periods:
                found[1] += _product(line, [expand(each, season) for each in seasons]) - line[-1]
        return found

    def forecast(self, theta: list, designs: dict):
        """Return the forecast of coefficients, `(M, B, H, P)`.

        Args:
            theta: of `explain`.
            designs: of `designs`.
        """
        lines = designs["future"][-1][..., :_TERMS]
        others = [expand(lines, each) for each in theta[1 : self.num_params]]
        return tf.stack([tf.add_n(self.parts(theta, designs["future"])), *others], axis=-1)

    def get_config(self):
        """Return the constructor's arguments."""
        config = super().get_config()
        for name in ("basis", "backcast_basis", "coefficients", "offset"):
            del config[name]
        names = ("periods", "harmonics", "lookback", "horizon", "multiplicative")
        return {**config, **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_config(cls, config):
        """Return the block of these arguments."""
        return cls(**config)


def _floor(values, observed):
    """Return 0 where all values of a window are positive, elsewhere the lowest less their standard deviation, `(M, B, 1)`.

    Args:
        values: `(M, B, L)`, 0 where not observed.
        observed: `(M, B, L)`, 1 where observed, 0 elsewhere.
    """
    lowest = tf.reduce_min(tf.where(observed > 0, values, values.dtype.max), axis=-1, keepdims=True)
    return tf.where(lowest > 0, 0.0, lowest - deviation(values, observed)[..., None])


def _product(lines: list, logs: list):
    """Return the n-th derivative of f e^s from those of f and of s, orders 0 to n each, by the rule of Leibniz.

    Args:
        lines: f and its derivatives, `(M, B, H)` each.
        logs: s and its derivatives, as many.
    """
    factors = [tf.exp(logs[0])]
    for n in range(1, len(logs)):
        factors.append(tf.add_n([comb(n - 1, k) * logs[n - k] * factors[k] for k in range(n)]))
    order = len(lines) - 1
    return tf.add_n([comb(order, k) * lines[k] * factors[order - k] for k in range(order + 1)])


@keras.saving.register_keras_serializable(package="nbeats_basis")
class Smoothing(Stack):
    """Level, drift and season by exponential smoothing: what a single series says for itself, without a network.

    It forecasts the window itself, so it comes first; stacks after it see what it leaves.

    Args:
        periods: periods of the season in steps or units of time, or durations such as "7D"; None for no season. Defaults to None.
        harmonics: harmonics of each period, as for `Seasonality`. Defaults to None.
        multiplicative: True for a season that multiplies level and drift, counted from 0 where all values of a window are positive, as
            with `scaling="ratio"` those of positive data are, elsewhere from the lowest value less a standard deviation. False for a
            season that is added. Defaults to False.
        units: width of the networks of the head's parameters beside the location. Defaults to 64.
        num_layers: ReLU layers of these networks. Defaults to 2.

    Example:
        >>> import nbeats_basis as nb
        >>> nb.Smoothing([12]).component
        'smoothing'
    """

    component = "smoothing"
    is_first = True

    def __init__(
        self,
        periods: Sequence[float] | None = None,
        harmonics: int | Sequence[int] | None = None,
        multiplicative: bool = False,
        units: int = 64,
        num_layers: int = 2,
        **kwargs,
    ):
        super().__init__(1, units, num_layers, False, "regression", **kwargs)
        self.periods, self.harmonics = plain(periods), plain(harmonics)
        self.multiplicative = bool(multiplicative)
        Fourier(self.periods or [1], 1 if harmonics is None else self.harmonics)  # refuses now

    @property
    def components(self) -> list[str]:
        """The trend, level and drift; and the season, if there are periods."""
        return ["trend", "seasonality"] if self.periods else ["trend"]

    def make_block(self, lookback: float, horizon: float, num_params: int) -> SmoothingBlock:
        """Return the block.

        Args:
            lookback: length of the window: L steps, an integer, or units of time, a float.
            horizon: length of the forecast: H steps, an integer, or units of time, a float.
            num_params: P, parameters of the forecast's distribution.
        """
        periods = self.periods or []
        return SmoothingBlock(
            periods,
            harmonics_of(periods, self.harmonics, isinstance(horizon, int)),
            lookback,
            horizon,
            self.multiplicative,
            units=self.units,
            num_layers=self.num_layers,
            num_params=num_params,
            dtype=self.dtype_policy,
        )

    def call(self, times, values, observed, query_times, context=None, origin=None, order=0):
        """Return what is left, the forecast, the backcast, the coefficients, and forecasts and backcasts of trend and season."""
        block = self.blocks[0]
        designs = block.designs(times, observed, query_times, origin, order)
        backcast, theta = block.explain(values, designs, context)
        forecasts, backcasts = (block.parts(theta, each) for each in (designs["future"], [designs["past"]]))
        backcasts[0] += backcast - tf.add_n(backcasts)  # the last value, which forecasts start from
        left = (values - backcast) * observed
        return left, block.forecast(theta, designs), backcast, theta[0][:, :, None], forecasts, backcasts

    def get_config(self):
        """Return the constructor's arguments."""
        names = ("periods", "harmonics", "multiplicative", "units", "num_layers")
        return {**keras.layers.Layer.get_config(self), **{name: getattr(self, name) for name in names}}
