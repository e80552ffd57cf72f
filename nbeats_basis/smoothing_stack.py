"""Smoothing blocks: what exponential smoothing would forecast, each window at the rates that suit it."""

from collections.abc import Sequence
from math import ceil, comb

import keras
import numpy as np
import tensorflow as tf

from nbeats_basis.bases import BSpline, Fourier, Polynomial
from nbeats_basis.bases.fourier import distinct, harmonics_of
from nbeats_basis.blocks import BasisBlock
from nbeats_basis.checks import check_int, check_positive, plain
from nbeats_basis.encoders import encode, encoded_size
from nbeats_basis.regression import expand
from nbeats_basis.scaling import deviation, last_observed
from nbeats_basis.smoothing import in_order, seasonal, smooth
from nbeats_basis.stacks import Stack

_RATES = 9  # half-lives, each half the one before
_KNOTS = 12  # most intervals of the broken line beside which a season is found
_TERMS = 3  # polynomials
_NEAREST = 64  # of these parts of the horizon is the shortest lead time where times are not steps


@keras.saving.register_keras_serializable(package="nbeats_basis")
class SmoothingBlock(BasisBlock):
    """One block: level, drift and season of a window in closed form, see `nbeats_basis.smoothing`.

    The rates' prior and the drift's usual share are learned. There is no network but for the parameters of the head beside the
    location; it reads the line and its errors beside the window.

    Args:
        periods: periods of the season, in units of time, none for no season.
        harmonics: harmonics of each period, their number or a list.
        lookback: length of the window, in units of time.
        horizon: length of the forecast, in units of time.
        memory: of the season, in units of time, None for all of the window, see `Smoothing`. Defaults to None.
        leads: lead times, ascending, see `Smoothing`. Defaults to (1,).
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
        memory: float | None = None,
        leads: Sequence[float] = (1,),
        multiplicative: bool = False,
        units: int = 64,
        num_layers: int = 2,
        num_params: int = 1,
        **kwargs,
    ):
        self.periods, self.harmonics = list(periods), list(harmonics)
        self.lookback, self.horizon = check_positive("lookback", lookback), check_positive("horizon", horizon)
        self.memory = None if memory is None else check_positive("memory", memory)
        self.leads = [check_positive("leads", lead) for lead in leads]
        self.multiplicative = bool(multiplicative)
        basis = Polynomial(_TERMS - 1, kind="monomial", span=(0, horizon))
        self.num_line = _TERMS  # and as many lead times, if there are several
        if len(self.leads) > 1:
            basis += BSpline(knots=self.leads, degree=1)
            self.num_line += len(self.leads)
        multiples = distinct(self.periods, self.harmonics)
        if self.periods:
            basis += Fourier(self.periods, multiples)
        kwargs["coefficients"] = "regression"  # the location is found, not proposed
        super().__init__(basis, None, units, num_layers, num_params=num_params, **kwargs)
        if self.periods:
            gap = max(*self.periods, lookback / _KNOTS)
            knots = -gap * np.arange(ceil(lookback / gap), -1, -1)
            self.beside = BSpline(knots=knots, degree=1)
            self.groups = [self.beside.num_terms, *(2 * len(each) for each in multiples)]
        self.half_lives = 0.5 ** np.arange(1, _RATES + 1)  # in lookbacks

    def build(self, times_shape, values_shape, observed_shape, query_times_shape, context_shape=None):
        """Create the prior of the rates, the drift's usual share and the network."""
        super().build(times_shape, values_shape, observed_shape, query_times_shape, context_shape)
        zeros, leads = lambda rng, shape: np.zeros(shape), len(self.leads)
        self.log_prior = self.member_weight("log_prior", (leads, _RATES), zeros)
        self.share = self.member_weight("share", (leads,), zeros)

    def _regresses(self, context_shape) -> bool:
        return False

    def _num_proposed(self) -> int:
        return (self.num_params - 1) * _TERMS  # these follow polynomials

    def _num_read(self, values_shape, context_shape) -> int:
        read = values_shape[-1] if context_shape is None else encoded_size(context_shape)
        return read + self.num_line + len(self.leads)

    def designs(self, times, observed, query_times, origin=None, order: int = 0) -> dict:
        """Return the functions at all times, the forecast's with their derivatives, and those of the regression that finds the season.

        These are in double precision: where observations come at every other step or less, functions look alike.

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
            times = tf.cast(times, "float64")
            designs["season"] = tf.concat(
                [self.beside(times), self.basis(times)[..., self.num_line :]], axis=-1
            )
        return designs

    def explain(self, values, designs: dict, context: dict | None = None) -> tuple:
        """Return the backcast and the coefficients, see `explain_parts`.

        Args:
            values: `(M, B, L)`, of the window, 0 where not observed.
            designs: of `designs`.
            context: of an encoder. Defaults to None.
        """
        backcasts, theta = self.explain_parts(values, designs, context)
        return tf.add_n(backcasts), theta

    def explain_parts(self, values, designs: dict, context: dict | None = None) -> tuple:
        """Return the backcasts of line and season, and the coefficients.

        These are what is added to the location, the other parameters', and what a season multiplies, with it.

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
        leads = [lead / self.lookback for lead in self.leads]
        constant, slope, error = smooth(
            *series, self.half_lives, leads, self.log_prior, tf.sigmoid(self.share)
        )
        none = [(0, 0), (0, 0)]
        line = tf.stack([constant, slope * self.horizon / self.lookback], axis=-1)[:, :, 0]
        line = tf.pad(line, [*none, (0, self.num_line - 2)])
        explained = expand(designs["past"][..., : self.num_line], line)
        backcasts = [floor + explained]
        if self.periods:
            backcasts.append(explained * (factor - 1) + plus)
        if len(self.leads) > 1:  # straight from the line at one lead time to that at the next
            line = tf.pad(constant + slope * leads, [*none, (_TERMS, 0)])
        found = [line, *season]
        added = [tf.zeros_like(each) for each in found] if self.multiplicative else found
        start = tf.pad(floor - start[..., None], [*none, (0, self.num_line - 1)])
        theta = [tf.concat([added[0] + start, *added[1:]], axis=-1)]
        if self.network is not None:
            read = values if context is None else encode(context, values)
            read = tf.concat([read, line + start, error], axis=-1)
            theta += tf.split(self.network(read), self.num_params - 1, axis=-1)
        if self.multiplicative:
            theta.append(tf.concat(found, axis=-1))
        return backcasts, theta

    def _season(self, heights, designs: dict) -> tuple:
        """Return the season's coefficients, one tensor in a list, and what it adds to the window or its logarithm.

        Args:
            heights: `(M, B, L)`, of the window, 0 where not observed; positive elsewhere where a season multiplies.
            designs: of `designs`.
        """
        times, weights = designs["times"], designs["observed"]
        if self.multiplicative:
            heights = tf.math.log(tf.where(heights > 0, heights, 1.0))
        if self.memory is not None:
            last = tf.reduce_max(tf.where(weights > 0, times, times.dtype.min), axis=-1, keepdims=True)
            weights *= 2 ** (tf.minimum(times - last, 0.0) / self.memory)
        heights, weights = (tf.cast(each, "float64") for each in (heights, weights))
        season = seasonal(heights, weights, designs["season"], self.groups)
        season = tf.cast(season, "float32")
        return [season], expand(designs["past"][..., self.num_line :], season)

    def parts(self, theta: list, functions: list) -> list:
        """Return the location's line, and what a season adds to it, `(M, B, T)` each.

        Args:
            theta: of `explain`.
            functions: the basis and its derivatives up to the order asked for, `(M or 1, B or 1, T, K)` each.
        """
        lines = [each[..., : self.num_line] for each in functions]
        seasons = [each[..., self.num_line :] for each in functions]
        found = [expand(lines[-1], theta[0][..., : self.num_line])]
        if self.periods:
            found.append(expand(seasons[-1], theta[0][..., self.num_line :]))
        if self.multiplicative:
            line, season = theta[-1][..., : self.num_line], theta[-1][..., self.num_line :]
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
        names = ("periods", "harmonics", "lookback", "horizon", "memory", "leads", "multiplicative")
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
        harmonics: harmonics of each period, as for `Seasonality`; those that are also of a period before it count once, for that one:
            give the shorter period first. Defaults to None.
        memory: after so many of its longest periods an observation counts half for the season, which may change; None for all of the
            window alike, or without a season. Defaults to None.
        leads: most lead times, from one step to the horizon (a 64th of it at irregular times), at which the rates of the level are chosen
            each by errors that far ahead; the forecast goes straight from one to the next, and on. 1 for errors one step ahead only. More
            suit long windows whose level soon returns, such as those of hours. Defaults to 1.
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
        memory: float | None = None,
        leads: int = 1,
        multiplicative: bool = False,
        units: int = 64,
        num_layers: int = 2,
        **kwargs,
    ):
        super().__init__(1, units, num_layers, False, "regression", **kwargs)
        self.periods, self.harmonics = plain(periods), plain(harmonics)
        self.memory = None if memory is None else check_positive("memory", memory)
        self.leads, self.multiplicative = check_int("leads", leads), bool(multiplicative)
        Fourier(self.periods or [1], 1 if harmonics is None else self.harmonics)  # refuses now

    @property
    def components(self) -> list[str]:
        """The trend, level and drift; and the season, if there are periods."""
        return ["trend", "seasonality"] if self.periods else ["trend"]

    @property
    def num_regressed(self) -> int:
        """The number of functions of the season and of the line beside it."""
        return sum(self.blocks[0].groups) if self.periods else 0

    def make_block(self, lookback: float, horizon: float, num_params: int) -> SmoothingBlock:
        """Return the block.

        Args:
            lookback: length of the window: L steps, an integer, or units of time, a float.
            horizon: length of the forecast: H steps, an integer, or units of time, a float.
            num_params: P, parameters of the forecast's distribution.
        """
        periods, on_grid = self.periods or [], isinstance(horizon, int)
        leads = np.geomspace(1 if on_grid else horizon / _NEAREST, horizon, self.leads)
        return SmoothingBlock(
            periods,
            harmonics_of(periods, self.harmonics, on_grid),
            lookback,
            horizon,
            self.memory * max(periods) if self.memory and periods else None,
            np.unique(np.round(leads) if on_grid else leads).tolist(),
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
        backcasts, theta = block.explain_parts(values, designs, context)
        backcast, forecasts = tf.add_n(backcasts), block.parts(theta, designs["future"])
        left = (values - backcast) * observed
        return left, block.forecast(theta, designs), backcast, theta[0][:, :, None], forecasts, backcasts

    def get_config(self):
        """Return the constructor's arguments."""
        names = ("periods", "harmonics", "memory", "leads", "multiplicative", "units", "num_layers")
        return {**keras.layers.Layer.get_config(self), **{name: getattr(self, name) for name in names}}
