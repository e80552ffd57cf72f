"""Heads: what the network's parameters mean. The only module that imports TensorFlow Probability."""

from collections.abc import Callable, Sequence
from math import log, pi

import keras
import tensorflow as tf

from nbeats_basis.checks import check_choice, check_int
from nbeats_basis.mixture import invert, weighted_mean
from nbeats_basis.student import student

POINT_LOSSES = ("mae", "mse", "smape", "mape", "mase", "change", "height")
LOCATIONS = ("likelihood", "mae", "mse", "smape", "mape", "change", "height")
_FURTHEST = 1e150  # distance in scales, beyond which all densities are 0


def _names(argument: str, value: str | Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the names given, one or a list, if they are known."""
    names = [value] if isinstance(value, str) else list(value)
    if not names:
        raise ValueError(f"`{argument}` must hold at least one name. Received: {argument}={value!r}")
    return tuple(check_choice(argument, name, known) for name in names)


class Head:
    """Turns parameters `(M, B, H, P)` into forecasts. A new distribution sets `num_params` and `distribution`.

    The first parameter is the location, in the units of the forecast; the others are unconstrained.
    """

    num_params = 1
    is_distribution = False
    losses = ("mae",)  # names of what trains the location, which the members take in turn
    in_turn = None  # name of the argument that gives them, None where there is none
    of_training = ()  # names of all arguments that say how to train

    @property
    def is_relative(self) -> bool:
        """Whether all errors count relative to the data's level."""
        return set(self.losses) <= {"smape", "mape"}

    @property
    def form(self) -> tuple:
        """What parameters mean: the class and its arguments, without those of training."""
        config = self.get_config()
        return type(self), {name: config[name] for name in config if name not in self.of_training}

    def check(self, lookbacks: Sequence[float], on_grid: bool) -> None:
        """Raise where a loss cannot be counted in the members' windows.

        Args:
            lookbacks: of the members.
            on_grid: whether windows hold one value a step.
        """

    def member(self, k: int) -> "Head":
        """Return the head of member k alone, with what trains its location.

        Args:
            k: number of the member, from 0.
        """
        if self.in_turn is None:
            return self
        return self.from_config({**self.get_config(), self.in_turn: self.losses[k % len(self.losses)]})

    def get_config(self) -> dict:
        """Return the constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict) -> "Head":
        """Return the head of these arguments."""
        return cls(**config)

    def __repr__(self) -> str:
        """Return the call that makes the head."""
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"

    def __eq__(self, other) -> bool:
        """Two heads of one class and equal arguments are equal."""
        return type(self) is type(other) and self.get_config() == other.get_config()

    __hash__ = None


@keras.saving.register_keras_serializable(package="nbeats_basis")
class Point(Head):
    """A point forecast; members combine by their median.

    Args:
        loss: "mae", "mse", "smape", "mape", "mase", "change" or "height", or a list of these that the members take in turn;
            "change" counts errors relative to how far the window's targets are from what its scaling takes off: its last value,
            so that what no history foretells does not rule what is learned, or with "ratio" and "none" nothing; "height"
            relative to how far each is above the lowest value of the window, past and future, percentages of what varies.
            Defaults to "mae".
        season_length: m, steps in a season, for the scale of "mase", at least 1. Defaults to 1.

    Raises:
        ValueError: an unknown loss.

    Source: losses of Oreshkin et al. 2020, section 3.1 and 5.2.
    """

    in_turn, of_training = "loss", ("loss", "season_length")

    def __init__(self, loss: str | Sequence[str] = "mae", season_length: int = 1):
        self.losses = _names("loss", loss, POINT_LOSSES)
        self.loss = loss if isinstance(loss, str) else list(loss)
        self.season_length = check_int("season_length", season_length)

    def get_config(self) -> dict:
        """Return the constructor's arguments."""
        return {"loss": self.loss, "season_length": self.season_length}

    def check(self, lookbacks: Sequence[float], on_grid: bool) -> None:
        """Raise where "mase" finds no season in the windows of a member.

        Args:
            lookbacks: of the members.
            on_grid: whether windows hold one value a step.
        """
        if "mase" in self.losses and not on_grid:
            raise ValueError(
                "the loss 'mase' counts steps of a season, which irregular times do not have. Use 'mae' or 'mse'. "
                f"Received: head={self!r}"
            )
        for k, lookback in enumerate(lookbacks):
            if self.losses[k % len(self.losses)] == "mase" and lookback <= self.season_length:
                raise ValueError(
                    f"the loss 'mase' needs a lookback of more than `season_length`. Received: lookback={lookback!r} of member {k}, head={self!r}"
                )


class Distribution(Head):
    """A distribution of each forecast; members combine as a mixture.

    Likelihood counts every error relative to the spread forecast with it, so that a location learns most from what is easy.
    Where one error measure matters, let it train the location, and likelihood the spread about it.

    Args:
        location: what trains the location: "likelihood", as all else, or an error of `Point`: "mae", "mse", "smape", "mape", "change"
            or "height"; or a list of these that the members take in turn. Defaults to "likelihood".

    Raises:
        ValueError: an unknown `location`.
    """

    is_distribution = True
    losses, in_turn, of_training = ("likelihood",), "location", ("location",)
    floor = 1e-3  # of the scale, relative to that of the window

    def __init__(self, location: str | Sequence[str] = "likelihood"):
        self.losses = _names("location", location, LOCATIONS)
        self.location = location if isinstance(location, str) else list(location)

    def get_config(self) -> dict:
        """Return the constructor's arguments."""
        return {"location": self.location}

    def distribution(self, params, scale=1.0):
        """Return the `tfp.distributions` object of the parameters.

        Args:
            params: `(..., P)`; the location in the units of `scale`.
            scale: `(...)`, units of the location per network unit. Defaults to 1.0.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `distribution`.")

    def log_prob(self, params, targets):
        """Return the log density at the targets, in network units.

        Args:
            params: `(..., P)`.
            targets: `(...)`.
        """
        return self.distribution(params).log_prob(targets)

    def cumulative(self, params, scale) -> Callable:
        """Return a function of distances from the location: the probability below, the density there, and its derivative.

        Quantiles are found in fewer steps with the derivative; 0 in its place changes nothing else.

        Args:
            params: `(..., P)`, the location 0.
            scale: `(...)`, units of the distances per network unit, more than 0.
        """
        law = self.distribution(params)
        return _scaled(lambda units: (law.cdf(units), law.prob(units), tf.zeros_like(units)), scale)

    def bounds(self, params, levels) -> tuple:
        """Return what quantiles lie between and where to look first, in network units, each as wide as `params` and `levels` together.

        Args:
            params: `(..., 1, P)`.
            levels: `(Q,)` probabilities in (0, 1).
        """
        quantiles = self.distribution(params).quantile(levels)
        return quantiles, quantiles, quantiles

    def _spread(self, params):
        """Return the scale in network units, of the parameter after the location."""
        return tf.nn.softplus(params[..., 1]) + self.floor

    def quantile(self, params, scale, levels, shares):
        """Return quantiles of the members' mixture, in increasing order of `levels`.

        They lie between the smallest and the largest of the members'.

        Args:
            params: `(M, B, H, P)`; the location in the units of `scale`.
            scale: `(M, B, H)`, units of the location per network unit.
            levels: `(Q,)` probabilities in (0, 1).
            shares: `(M,)` weights of the members, adding up to 1.

        Returns:
            `(B, H, Q)`.
        """
        location = params[..., 0]
        params = tf.concat([tf.zeros_like(params[..., :1]), params[..., 1:]], axis=-1)
        bounds = self.bounds(params[..., None, :], levels)
        low, high, guess = (location[..., None] + scale[..., None] * bound for bound in bounds)
        low, high = tf.reduce_min(low, axis=0), tf.reduce_max(high, axis=0)
        guess = weighted_mean(guess, shares)
        return invert(self.cumulative, (params, location, scale), levels, shares, low, high, guess)


def _scaled(law: Callable, scale) -> Callable:
    """Return a law of units as one of distances, `scale` to a unit: probability, density and its derivative."""
    rate = 1 / scale

    def at(distances):
        below, density, derivative = law(tf.clip_by_value(distances * rate, -_FURTHEST, _FURTHEST))
        return below, density * rate, derivative * rate * rate

    return at


@keras.saving.register_keras_serializable(package="nbeats_basis")
class Normal(Distribution):
    """Normal distributions: location and standard deviation softplus(p_1) + floor.

    Example:
        >>> import nbeats_basis as nb
        >>> nb.heads.Normal().num_params
        2
    """

    num_params = 2

    def distribution(self, params, scale=1.0):
        """Return `tfp.distributions.Normal`."""
        import tensorflow_probability as tfp

        return tfp.distributions.Normal(params[..., 0], self._spread(params) * scale)

    def log_prob(self, params, targets):
        """Return the log density at the targets, in network units, as the distribution's but of few operations.

        Args:
            params: `(..., 2)`.
            targets: `(...)`.
        """
        spread = self._spread(params)
        distance = (targets - params[..., 0]) / spread
        return -0.5 * distance**2 - tf.math.log(spread) - 0.5 * log(2 * pi)

    def cumulative(self, params, scale) -> Callable:
        """Return a function of distances from the location: the probability below, the density there, and its derivative.

        Args:
            params: `(..., 2)`.
            scale: `(...)`, units of the distances per network unit, more than 0.
        """

        def law(z):
            density = tf.exp(-0.5 * z**2) / (2 * pi) ** 0.5
            return tf.math.erfc(-z / 2**0.5) / 2, density, -z * density

        return _scaled(law, scale * self._spread(params))


@keras.saving.register_keras_serializable(package="nbeats_basis")
class StudentT(Distribution):
    """Student-t distributions: location, scale softplus(p_1) + floor, degrees of freedom 2 + softplus(p_2 + 2) + floor.

    Example:
        >>> import nbeats_basis as nb
        >>> nb.heads.StudentT().num_params
        3
    """

    num_params = 3

    def distribution(self, params, scale=1.0):
        """Return `tfp.distributions.StudentT`."""
        import tensorflow_probability as tfp

        return tfp.distributions.StudentT(self._freedom(params), params[..., 0], self._spread(params) * scale)

    def log_prob(self, params, targets):
        """Return the log density at the targets, in network units, as the distribution's but of few operations.

        Its log gammas in float32 make errors of 2e-5 at 100 degrees of freedom, 4e-4 at 1,000 and 4e-3 at 10,000.

        Args:
            params: `(..., 3)`.
            targets: `(...)`.
        """
        spread, freedom = self._spread(params), self._freedom(params)
        half = (freedom + 1) / 2
        squared = ((targets - params[..., 0]) / spread) ** 2
        constant = tf.math.lgamma(half) - tf.math.lgamma(freedom / 2) - 0.5 * tf.math.log(pi * freedom)
        return constant - tf.math.log(spread) - half * tf.math.log1p(squared / freedom)

    def cumulative(self, params, scale) -> Callable:
        """Return a function of distances from the location: the probability below, the density there, and its derivative.

        Args:
            params: `(..., 3)`.
            scale: `(...)`, units of the distances per network unit, more than 0.
        """
        return _scaled(student(self._freedom(params)), scale * self._spread(params))

    def bounds(self, params, levels) -> tuple:
        """Return the quantiles of the normal distribution and of two degrees of freedom, in increasing order, and what lies between.

        Args:
            params: `(..., 1, 3)`.
            levels: `(Q,)` probabilities in (0, 1).
        """
        spread, freedom = self._spread(params), self._freedom(params)
        normal = tf.math.ndtri(levels)
        heavy = (2 * levels - 1) / tf.sqrt(2 * levels * (1 - levels))
        guess = params[..., 0] + spread * (normal + (heavy - normal) * 2 / freedom)
        normal, heavy = (params[..., 0] + spread * each for each in (normal, heavy))
        return tf.minimum(normal, heavy), tf.maximum(normal, heavy), guess

    def _freedom(self, params):
        return 2 + tf.nn.softplus(params[..., 2] + 2) + self.floor
