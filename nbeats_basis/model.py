"""The network: stacks in doubly residual order, M members side by side, trained by Keras' own `fit`."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from nbeats_basis.checks import check_choice, check_int
from nbeats_basis.heads import Head, Point
from nbeats_basis.losses import member_losses
from nbeats_basis.scaling import SCALINGS, last_observed, standardize, window_scale
from nbeats_basis.stacks import Generic, Seasonality, Stack, Trend
from nbeats_basis.training import StopOnNonFinite


@keras.saving.register_keras_serializable(package="nbeats_basis")
class NBeats(keras.Model):
    r"""M networks of stacks of basis blocks, side by side.

    Each forecast starts at the window's last observed value, to which every stack adds its component.

    Args:
        stacks: list of stacks, in order; the network uses these objects, so give each network its own.
        horizon: H, steps that training forecasts, at least 1.
        lookback: steps of history a member reads, one integer, or a list that the members take in turn.
        head: what the parameters mean. Defaults to None, `Point("mae")`.
        members: M, number of networks. Defaults to 1.
        scaling: "std" (forecasts follow any c y + d), "level" (changes relative to the level, forecasts follow c y) or
            "none" (the paper's). Defaults to "std".
        window: padded length of the windows in steps, at least the longest lookback. Defaults to None, the longest.
        seed: member k draws weights and windows from seed + k alone. Defaults to 0.

    Call arguments:
        inputs: `values` `(B, L)` or `(M, B, L)`, one value a step with the origin last and NaN where not observed;
            or a dict of `values` and `query_times` `(H,)` or `(B, H)`, steps after the origin, any real number.

    Returns:
        dict of `params` `(M, B, H, P)` and `components` `(M, B, C, H)` in network units, `start` `(M, B)`, the last
        value in network units, and `shift` and `scale` `(M, B)` to data units.

    Raises:
        ValueError: no stacks, or sizes out of range.

    Example:
        >>> import numpy as np, nbeats_basis as nb
        >>> net = nb.NBeats([nb.Trend(units=8), nb.Seasonality([4], units=8)], horizon=4, lookback=8)
        >>> net.forecast(np.arange(16.0).reshape(2, 8))["mean"].shape
        TensorShape([2, 4])

    Source: Oreshkin et al. 2020, section 3.
    """

    def __init__(
        self,
        stacks: Sequence[Stack],
        horizon: int,
        lookback: int | Sequence[int],
        head: Head | None = None,
        members: int = 1,
        scaling: str = "std",
        window: int | None = None,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.horizon = check_int("horizon", horizon)
        lookbacks = list(lookback) if isinstance(lookback, Sequence) else [lookback]
        self.lookback = lookback
        self.members = check_int("members", members)
        self.lookbacks = tuple(check_int("lookback", lookbacks[k % len(lookbacks)]) for k in range(members))
        self.window = check_int("window", window or max(self.lookbacks), max(self.lookbacks))
        self.head = head or Point()
        self.scaling = check_choice("scaling", scaling, SCALINGS)
        self.seed = check_int("seed", seed, 0)
        self.stacks = list(stacks)
        if not self.stacks:
            raise ValueError(f"`stacks` must hold at least one stack. Received: stacks={stacks!r}")
        self.component_names: list[str] = []
        for stack in self.stacks:
            name = _unused(stack.component, self.component_names)
            stack.bind(self.window, self.horizon, self.head.num_params, self.member_seeds, name)
            self.component_names.append(name)
        self._train_source = self._validation_source = None
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self._failed = tf.Variable([-1, -1], trainable=False)  # step and member of the first non-finite loss
        self(tf.zeros((1, self.window), "float64"))

    @classmethod
    def interpretable(cls, horizon: int, lookback, **kwargs) -> "NBeats":
        """Return the paper's interpretable network: trend (width 256) then seasonality (width 2048), 3 blocks each.

        Args:
            horizon: H, steps.
            lookback: steps, one integer or one a member.
            **kwargs: further arguments of `NBeats`; `scaling` is "none" unless given.

        Source: Oreshkin et al. 2020, table 18.
        """
        kwargs.setdefault("scaling", "none")
        return cls([Trend(2, units=256), Seasonality(units=2048)], horizon, lookback, **kwargs)

    @classmethod
    def generic(cls, horizon: int, lookback, **kwargs) -> "NBeats":
        """Return the paper's generic network: 30 stacks of one block of width 512, nothing shared.

        Args:
            horizon: H, steps.
            lookback: steps, one integer or one a member.
            **kwargs: further arguments of `NBeats`; `scaling` is "none" unless given.

        Source: Oreshkin et al. 2020, table 18.
        """
        kwargs.setdefault("scaling", "none")
        return cls([Generic() for _ in range(30)], horizon, lookback, **kwargs)

    @property
    def member_seeds(self) -> tuple[int, ...]:
        """One seed a member."""
        return tuple(self.seed + k for k in range(self.members))

    def build(self, input_shape=None):
        """Create nothing: the stacks make their weights at construction."""

    def call(self, inputs):
        """Return parameters and components in network units."""
        inputs = inputs if isinstance(inputs, dict) else {"values": inputs}
        values = tf.cast(inputs["values"], "float64")
        values = values if len(values.shape) == 3 else values[None]
        times = tf.range(1 - self.window, 1)
        lookbacks = tf.constant(self.lookbacks)
        observed = tf.logical_and(~tf.math.is_nan(values), (times > -lookbacks[:, None])[:, None])
        values = tf.where(observed, values, 0)
        shift, scale = window_scale(values, observed, self.scaling)
        residual = tf.where(observed, standardize(values, shift, scale), 0)
        window = {"values": residual, "observed": tf.cast(observed, "float32")}
        query = self._query_times(inputs.get("query_times"))
        times = tf.cast(times, "float32")[None, None]
        params, components = 0.0, []
        for stack in self.stacks:
            residual, partial = stack(times, residual, window["observed"], query)
            params = params + partial
            components.append(partial[..., 0])
        start = last_observed(window["values"], observed)
        first = tf.one_hot(0, self.head.num_params)
        return {
            "params": params + start[..., None, None] * first,
            "components": tf.stack(components, axis=2),
            "start": start,
            "shift": shift,
            "scale": scale,
            **window,
        }

    def _query_times(self, query):
        """Return `(1, 1 or B, H)` float32 steps after the origin."""
        if query is None:
            query = tf.range(1, self.horizon + 1)
        query = tf.cast(query, "float32")
        return query[None, None] if len(query.shape) == 1 else query[None]

    def forecast(self, inputs, quantiles: Sequence[float] = ()) -> dict:
        """Return the members' combined forecast in data units, float64.

        Args:
            inputs: as for a call.
            quantiles: probabilities in (0, 1), a list or a tensor `(Q,)`. Defaults to ().

        Returns:
            dict of `mean` `(B, H)` (a point head's median over members), `components` `(B, H, 1 + C)` that add up to it,
            the level first, and `quantiles` `(B, H, Q)`.

        Raises:
            ValueError: quantiles of a point head.
        """
        out = self(inputs)
        scale, shift = out["scale"], out["shift"]
        params = tf.cast(out["params"], "float64")
        location = params[..., 0] * scale[..., None] + shift[..., None]
        level = tf.cast(out["start"], "float64") * scale + shift
        components = tf.cast(out["components"], "float64") * scale[..., None, None]
        mean = tf.reduce_mean(location, axis=0)
        components = tf.transpose(tf.reduce_mean(components, axis=0), (0, 2, 1))
        if not self.head.is_distribution:
            # The median is not linear: its small distance from the mean is shared equally by the stacks.
            median = _median(location)
            components += (median - mean)[..., None] / len(self.stacks)
            mean = median
        level = tf.broadcast_to(tf.reduce_mean(level, axis=0)[:, None, None], tf.shape(mean[..., None]))
        result = {"mean": mean, "components": tf.concat([level, components], axis=-1)}
        levels = tf.cast(quantiles, "float64")
        if levels.shape[0] == 0:
            return {**result, "quantiles": tf.zeros((*_shape(mean), 0), "float64")}
        if not self.head.is_distribution:
            raise ValueError(
                "`quantiles` need a head that gives a distribution, such as `heads.StudentT()`. "
                f"Received: head={self.head!r}"
            )
        params = tf.concat([location[..., None], params[..., 1:]], axis=-1)
        spread = tf.broadcast_to(scale[..., None], tf.shape(location))
        return {**result, "quantiles": self.head.quantile(params, spread, levels)}

    def compile(
        self,
        optimizer="adam",
        clip_norm: float = 1.0,
        steps_per_execution: int = 1,
        jit_compile: bool = False,
    ):
        """Set up training; the loss is the head's.

        Args:
            optimizer: a Keras optimizer or its name. Defaults to "adam".
            clip_norm: largest norm of each member's gradient. Defaults to 1.0.
            steps_per_execution: steps of one call of the compiled function. Defaults to 1.
            jit_compile: True to compile by XLA (graph mode is the faster on CPUs). Defaults to False.
        """
        self.clip_norm = float(clip_norm)
        super().compile(optimizer=optimizer, steps_per_execution=steps_per_execution, jit_compile=jit_compile)
        self.optimizer.build(self.trainable_variables)

    @property
    def metrics(self):
        """The mean loss over members and batches."""
        return [self.loss_tracker] if self.compiled else []

    def fit(
        self,
        x=None,
        *,
        epochs: int = 1,
        steps_per_epoch: int | None = None,
        validation_data=None,
        callbacks=None,
        **kwargs,
    ):
        """Train, as `keras.Model.fit` does; a non-finite loss stops with a `TrainingWarning` and is undone.

        Args:
            x: windows that draw themselves inside the compiled step (`windows.Windows`), or a dataset of pairs: inputs
                as for a call, and targets `(B, H)` or `(M, B, H)` in data units, NaN where there is none.
            epochs: number of epochs. Defaults to 1.
            steps_per_epoch: steps of an epoch; needed with `Windows`. Defaults to None.
            validation_data: as `x`. Defaults to None.
            callbacks: list of Keras callbacks. Defaults to None.
            **kwargs: further arguments of `keras.Model.fit`.
        """
        if hasattr(x, "draw"):
            self._use_source(x)
            x = tf.data.Dataset.range(check_int("steps_per_epoch", steps_per_epoch)).repeat()
        if hasattr(validation_data, "origins"):
            self._validation_source, self.test_function = validation_data, None
            validation_data = validation_data.batches()
        self._failed.assign([-1, -1])
        callbacks = [*(callbacks or ()), StopOnNonFinite()]
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)  # a dataset brings its own order
        return super().fit(
            x,
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
            validation_data=validation_data,
            callbacks=callbacks,
            **kwargs,
        )

    def _use_source(self, source) -> None:
        """Draw the training windows from `source`."""
        if source is not self._train_source:
            self._train_source, self.train_function = source, None

    def train_step(self, data):
        """Draw windows, take one step; skip it and remember where if a loss or gradient is not finite."""
        if isinstance(data, tuple):
            inputs, targets = keras.utils.unpack_x_y_sample_weight(data)[:2]
        else:
            inputs, targets = self._train_source.draw(self.optimizer.iterations, self.member_seeds)
        variables = self.trainable_variables
        with tf.GradientTape() as tape:
            losses = self.losses_of(inputs, targets)
            total = tf.reduce_sum(losses)
        zero = tf.UnconnectedGradients.ZERO  # the last block's backcast leads nowhere
        gradients = tape.gradient(total, [v.value for v in variables], unconnected_gradients=zero)
        norms = tf.sqrt(tf.add_n([tf.reduce_sum(g**2, axis=range(1, len(g.shape))) for g in gradients]))
        finite = tf.math.is_finite(losses) & tf.math.is_finite(norms)
        factor = tf.minimum(1.0, self.clip_norm / tf.maximum(norms, 1e-12))
        gradients = [g * tf.reshape(factor, (-1, *[1] * (len(g.shape) - 1))) for g in gradients]
        tf.cond(
            tf.reduce_all(finite) & (self._failed[0] < 0),
            lambda: self._apply(gradients, variables),
            lambda: self._remember(finite),
        )
        self.loss_tracker.update_state(tf.reduce_mean(losses))
        return {"loss": self.loss_tracker.result()}

    def _apply(self, gradients, variables):
        self.optimizer.apply(gradients, variables)
        return tf.constant(True)

    def _remember(self, finite):
        step, member = (
            tf.cast(self.optimizer.iterations, "int32"),
            tf.argmin(tf.cast(finite, "int32"), output_type="int32"),
        )
        if_first = tf.where(self._failed[0] < 0, tf.stack([step, member]), self._failed)
        self._failed.assign(if_first)
        return tf.constant(False)

    def test_step(self, data):
        """Return the mean loss of a validation batch."""
        if isinstance(data, tuple):
            inputs, targets = keras.utils.unpack_x_y_sample_weight(data)[:2]
        else:
            inputs, targets = self._validation_source.gather(data)
        self.loss_tracker.update_state(tf.reduce_mean(self.losses_of(inputs, targets)))
        return {"loss": self.loss_tracker.result()}

    def predict_step(self, data):
        """Return `forecast` of a batch."""
        return self.forecast(keras.utils.unpack_x_y_sample_weight(data)[0])

    def losses_of(self, inputs, targets):
        """Return the mean loss of each member, `(M,)`.

        Args:
            inputs: as for a call.
            targets: `(B, H)` or `(M, B, H)` in data units, NaN where there is none.
        """
        out = self(inputs)
        targets = tf.cast(targets, "float64")
        targets = targets if len(targets.shape) == 3 else targets[None]
        known = ~tf.math.is_nan(targets) & (out["scale"] > 0)[..., None]
        targets = tf.where(known, standardize(targets, out["shift"], out["scale"]), 0)
        level = tf.cast(tf.math.divide_no_nan(out["shift"], out["scale"]), "float32")
        window = {"values": out["values"], "observed": out["observed"], "level": level}
        return member_losses(self.head, out["params"], targets, tf.cast(known, "float32"), window)

    def member(self, k: int) -> "NBeats":
        """Return member k alone, a network of one member with a copy of its weights.

        Args:
            k: 0 to M - 1.
        """
        config = {**self.get_config(), "members": 1, "lookback": self.lookbacks[k], "window": self.window}
        config["seed"] = self.member_seeds[k]
        if isinstance(self.head, Point):
            loss = self.head.losses[k % len(self.head.losses)]
            config["head"] = keras.saving.serialize_keras_object(Point(loss, self.head.season_length))
        single = NBeats.from_config(config)
        for ours, theirs in zip(self.trainable_variables, single.trainable_variables, strict=True):
            theirs.assign(ours[k : k + 1])
        return single

    def get_config(self):
        """Return the constructor's arguments."""
        serialize = keras.saving.serialize_keras_object
        return {
            "stacks": [serialize(stack) for stack in self.stacks],
            "horizon": self.horizon,
            "lookback": self.lookback,
            "head": serialize(self.head),
            "members": self.members,
            "scaling": self.scaling,
            "window": self.window,
            "seed": self.seed,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Rebuild stacks and head from their configurations."""
        config = dict(config)
        stacks = [keras.saving.deserialize_keras_object(stack) for stack in config.pop("stacks")]
        return cls(stacks, head=keras.saving.deserialize_keras_object(config.pop("head")), **config)


def _unused(name: str, taken: list[str]) -> str:
    names = [name, *(f"{name}_{i}" for i in range(2, len(taken) + 2))]
    return next(n for n in names if n not in taken)


def _median(values):
    """Return the median over the first axis."""
    ordered = tf.sort(values, axis=0)
    count = values.shape[0]
    return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2


def _shape(tensor) -> list:
    dynamic = tf.shape(tensor)
    return [dynamic[i] if n is None else n for i, n in enumerate(tensor.shape)]
