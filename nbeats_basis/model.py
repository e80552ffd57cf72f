"""The network: stacks in doubly residual order, M members side by side, trained by Keras' own `fit`."""

from collections.abc import Sequence
from functools import partial

import keras
import tensorflow as tf

from nbeats_basis.checks import check_choice, check_int, check_positive, plain, unused
from nbeats_basis.encoders import RegressionEncoder
from nbeats_basis.heads import Head, Point
from nbeats_basis.inputs import prepare
from nbeats_basis.losses import member_losses
from nbeats_basis.members import PRECISIONS, in_turn, products_in
from nbeats_basis.network import Network
from nbeats_basis.optimizers import Adam
from nbeats_basis.replicas import apply_if, average
from nbeats_basis.scaling import SCALINGS, standardize
from nbeats_basis.stacks import Generic, Seasonality, Stack, Trend
from nbeats_basis.training import (
    Resumable,
    StopOnNonFinite,
    clip_members,
    first_failure,
    matched,
    outcomes,
    pair,
    repeated,
)


@keras.saving.register_keras_serializable(package="nbeats_basis")
class NBeats(Resumable, Network):
    r"""M networks of stacks of basis blocks, side by side.

    Each forecast starts at the window's last observed value, to which every stack adds its component.

    On a grid of steps a window is one value a step. With `encoder="regression"` it is any number of observations at any
    times, whose unit is yours, and horizon and lookback are lengths of time.

    Args:
        stacks: list of stacks, in order; the network uses these objects, so give each network its own.
        horizon: what training forecasts, H steps, at least 1, or a length of time.
        lookback: history a member reads, steps or a length of time, one number, or a list that the members take in turn.
        head: what the parameters mean. Defaults to None, `Point("mae")`.
        members: M, number of networks. Defaults to 1.
        scaling: "std" (forecasts follow any c y + d), "level" (changes relative to the level, forecasts follow c y),
            "ratio" (values relative to the level), "panel" (one level and scale for all windows, see `adapt`) or "none" (the
            paper's), or a list that the members take in turn. Defaults to "std".
        window: padded length of the windows in steps, at least the longest lookback. Defaults to None, the longest.
        seed: member k draws weights and windows from seed + k alone. Defaults to 0.
        encoder: what blocks read: "window", the values at the steps, or "regression", see `RegressionEncoder`.
            Defaults to "window".
        spacing: typical time between observations, for the encoder's finest knots. Defaults to None, a 32nd of the window.

    Call arguments:
        inputs: `values` `(B, L)` or `(M, B, L)`, NaN where not observed; on a grid one value a step with the origin
            last. Or a dict of `values`, `times` of the same shape (time from the origin, with "regression" only),
            `query_times` `(H,)`, `(B, H)` or `(M, B, H)`, time after the origin, any real number, and `origin`
            `(B,)` or `(M, B)` float64, the origin's absolute time, where a basis has calendar phase.
        order: order of the derivative in time of parameters and components. Defaults to 0.

    Returns:
        dict of `params` `(M, B, H, P)` and `components` `(M, B, C, H)` in network units, `start` `(M, B)`, the last
        value in network units, `shift` and `scale` `(M, B)` to data units, `share` `(M,)`, how much each member counts,
        `backcasts` `(M, B, C, L)`, and `coefficients`, one `(M, B, blocks, K)` a stack.

    Raises:
        ValueError: no stacks, sizes out of range, or the loss "mase" without steps or with lookbacks of no more than a season.

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
        horizon: float,
        lookback: float | Sequence[float],
        head: Head | None = None,
        members: int = 1,
        scaling: str | Sequence[str] = "std",
        window: int | None = None,
        seed: int = 0,
        encoder: str = "window",
        spacing: float | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        on_grid = check_choice("encoder", encoder, ("window", "regression")) == "window"
        check = check_int if on_grid else check_positive
        self.horizon = check("horizon", horizon)
        self.lookback, self.scaling = plain(lookback), plain(scaling)
        self.members = check_int("members", members)
        self.lookbacks = in_turn("lookback", lookback, members, check)
        self.scalings = in_turn("scaling", scaling, members, partial(check_choice, choices=SCALINGS))
        longest = max(self.lookbacks)
        self.window = check("window", window or longest)
        if self.window < longest:
            raise ValueError(f"`window` must be at least the longest lookback. Received: window={window!r}")
        self.head = head or Point()
        self.head.check(self.lookbacks, on_grid)
        self.seed = check_int("seed", seed, 0)
        self.spacing = spacing or self.window / 32
        self.encoder = None if on_grid else RegressionEncoder(self.window, self.spacing)
        self.typical = self.add_weight((2,), "zeros", "float64", trainable=False, name="typical")
        self.shares = self.add_weight((members,), "ones", "float64", trainable=False, name="shares")
        self.stacks = list(stacks)
        if not self.stacks:
            raise ValueError(f"`stacks` must hold at least one stack. Received: stacks={stacks!r}")
        if any(stack.is_first for stack in self.stacks[1:]):
            raise ValueError(
                "A stack that forecasts the window itself, such as `Smoothing`, must come first."
            )
        self.stack_names: list[str] = []
        self.component_names: list[str] = []
        for stack in self.stacks:
            self.stack_names.append(unused(stack.component, self.stack_names))
            for component in stack.components:
                self.component_names.append(unused(component, self.component_names))
            stack.bind(
                self.window, self.horizon, self.head.num_params, self.member_seeds, self.stack_names[-1]
            )
        self._train_source = self._validation_source = None
        self.loss_tracker, self.nonzero_tracker = keras.metrics.Mean("loss"), keras.metrics.Mean("nonzero")
        self._failed, self.validation_losses = outcomes(members)
        self.build()

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

    def networks(self) -> list["NBeats"]:
        """Return the network alone, where an `Ensemble` returns several."""
        return [self]

    @property
    def member_seeds(self) -> tuple[int, ...]:
        """One seed a member."""
        return tuple(self.seed + k for k in range(self.members))

    def build(self, input_shape=None):
        """Create the weights, once: the constructor does."""
        if self.built:
            return
        length, steps = (self.window, self.horizon) if self.encoder is None else (1, 1)
        times, window = (1, 1, length), (self.members, 1, length)
        context = self.encoder and self.encoder(tf.zeros(times), tf.zeros(window))
        shapes = context and {name: tuple(each.shape) for name, each in context.items()}
        for stack in self.stacks:
            stack.build(times, window, window, (1, 1, steps), shapes)

    def adapt(self, level: float, scale: float) -> None:
        """Set what windows with nothing or little observed, or all with scaling="panel", are scaled by.

        Args:
            level: typical value of the data.
            scale: typical standard deviation of a window, at least 0.
        """
        self.typical.assign([level, scale])

    def call(self, inputs, order: int = 0):
        """Return parameters and components in network units."""
        typical = tf.convert_to_tensor(self.typical)
        lengths = self.lookbacks, self.window, self.horizon
        window = prepare(inputs, *lengths, self.scalings, typical, self.encoder is None)
        times, residual, observed = window["times"], window["values"], window["observed"]
        context = self.encoder and self.encoder(times, observed)
        params, components, backcasts, coefficients = 0.0, [], [], []
        for stack in self.stacks:
            residual, partial, backcast, theta, *parts = stack(
                times,
                residual,
                observed,
                window["query_times"],
                context=context,
                origin=window["origin"],
                order=order,
            )
            params = params + partial
            several = parts or ([partial[..., 0]], [backcast])
            components += several[0]
            backcasts += several[1]
            coefficients.append(theta)
        if order == 0:
            params += window["start"][..., None, None] * tf.one_hot(0, self.head.num_params)
        return {
            "params": params,
            "components": tf.stack(components, axis=2),
            "backcasts": tf.stack(backcasts, axis=2),
            "coefficients": coefficients,
            "share": tf.convert_to_tensor(self.shares),
            **{k: window[k] for k in ("times", "values", "observed", "origin", "start", "shift", "scale")},
        }

    def compile(
        self,
        optimizer="adam",
        clip_norm: float | None = 1.0,
        steps_per_execution: int = 1,
        jit_compile: bool = False,
        precision: str = "float32",
        run_eagerly: bool = False,
    ):
        """Set up training; the loss is the head's.

        Args:
            optimizer: a Keras optimizer or its name; "adam" is `optimizers.Adam`. Defaults to "adam".
            clip_norm: largest norm of each member's gradient, None for any. Defaults to 1.0.
            steps_per_execution: steps of one call of the compiled function, 1 with several replicas. Defaults to 1.
            jit_compile: True to compile by XLA (graph mode is the faster on CPUs). Defaults to False.
            precision: of the networks' products in a training step, see `Training`. Defaults to "float32".
            run_eagerly: True for steps that a debugger can follow. Defaults to False.
        """
        self.clip_norm = float("inf") if clip_norm is None else check_positive("clip_norm", clip_norm)
        self.precision = check_choice("precision", precision, PRECISIONS)
        optimizer = Adam() if optimizer == "adam" else optimizer
        steps = 1 if self.distribute_strategy.num_replicas_in_sync > 1 else steps_per_execution
        how = {"jit_compile": jit_compile, "run_eagerly": run_eagerly}
        super().compile(optimizer=optimizer, steps_per_execution=steps, **how)
        self.optimizer.build(self.trainable_variables)

    @property
    def metrics(self):
        """The mean loss over members and batches, and with sparse stacks the share of codes that are not 0."""
        sparse = any(stack.is_sparse for stack in self.stacks)
        return [self.loss_tracker, *[self.nonzero_tracker] * sparse] if self.compiled else []

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
            callbacks: Keras callbacks, one or a list. Defaults to None.
            **kwargs: further arguments of `keras.Model.fit`.
        """
        source = x if hasattr(x, "draw") else None
        if source is not self._train_source:
            self._train_source, self.train_function = source, None
        if source is not None:
            x = tf.data.Dataset.range(check_int("steps_per_epoch", steps_per_epoch)).repeat()
            x = x.batch(self.distribute_strategy.num_replicas_in_sync)  # one a replica
        if hasattr(validation_data, "origins"):
            self._validation_source, self.test_function = validation_data, None
            validation_data = validation_data.batches()
        self._failed.assign([-1] + [0] * self.members)
        callbacks = [*keras.tree.flatten(callbacks or []), StopOnNonFinite()]
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)  # a dataset brings its own order
        kwargs |= {"validation_data": validation_data, "callbacks": callbacks}
        return super().fit(x, epochs=epochs, steps_per_epoch=steps_per_epoch, **kwargs)

    def make_train_function(self, force: bool = False):
        """Compile the steps of an execution to one loop where windows draw themselves; else as Keras does."""
        if (
            self._train_source is None
            or self.run_eagerly
            or self.distribute_strategy.num_replicas_in_sync > 1
        ):
            super().make_train_function(force)
        elif force or self.train_function is None:
            run = self.distribute_strategy.run
            step = tf.autograph.experimental.do_not_convert(lambda: run(self.train_step, (None,)))
            step = tf.function(step, jit_compile=True) if self.jit_compile else step
            self.train_function = repeated(step, self.steps_per_execution, self.get_metrics_result)

    def train_step(self, data):
        """Draw windows, take one step; skip it and remember where if a loss or gradient is not finite."""
        if isinstance(data, tuple):
            inputs, targets = pair(data)
        else:
            inputs, targets = self._train_source.draw(self.optimizer.iterations, self.member_seeds)
        variables = self.trainable_variables
        with tf.GradientTape() as tape:
            with products_in(self.precision):
                losses = self.losses_of(inputs, targets)
            total = tf.reduce_sum(losses)
        zero = tf.UnconnectedGradients.ZERO  # the last block's backcast leads nowhere
        gradients = tape.gradient(total, [v.value for v in variables], unconnected_gradients=zero)
        losses, *gradients = average([losses, *gradients])
        gradients, norms = clip_members(gradients, self.clip_norm)
        finite = tf.math.is_finite(losses) & tf.math.is_finite(norms)
        self._failed.assign(first_failure(self._failed, self.optimizer.iterations, finite))
        apply_if(self._failed[0] < 0, self.optimizer, gradients, variables)
        self.loss_tracker.update_state(tf.reduce_mean(losses))
        return self.get_metrics_result()

    def test_step(self, data):
        """Return the mean loss of a validation batch, which counts as its windows."""
        if isinstance(data, tuple):
            inputs, targets = pair(data)
        else:
            inputs, targets = self._validation_source.gather(data)
        losses, windows = self.losses_of(inputs, targets), tf.shape(targets)[-2]
        self.validation_losses.assign_add(losses * tf.cast(windows, "float32"))
        self.loss_tracker.update_state(tf.reduce_mean(losses), sample_weight=windows)
        return self.get_metrics_result()

    def losses_of(self, inputs, targets):
        """Return the mean loss of each member, `(M,)`.

        Args:
            inputs: as for a call.
            targets: `(B, H)` or `(M, B, H)` in data units, NaN where there is none.
        """
        out = self(inputs)
        targets = matched(targets, out["params"])
        known = ~tf.math.is_nan(targets) & (out["scale"] > 0)[..., None]
        targets = tf.where(known, standardize(targets, out["shift"], out["scale"]), 0)
        level = tf.cast(tf.math.divide_no_nan(out["shift"], out["scale"]), "float32")
        for stack, theta in zip(self.stacks, out["coefficients"], strict=True):
            if stack.is_sparse:
                self.nonzero_tracker.update_state(tf.cast(theta != 0, "float32"))
        window = {"values": out["values"], "observed": out["observed"], "level": level}
        return member_losses(self.head, out["params"], targets, tf.cast(known, "float32"), window)

    def member(self, k: int) -> "NBeats":
        """Return member k alone, a network of one member with a copy of its weights.

        Args:
            k: 0 to M - 1, or below 0 from the last; IndexError beyond.
        """
        k = range(self.members)[k]
        config = {**self.get_config(), "members": 1, "window": self.window}
        config |= {"lookback": self.lookbacks[k], "scaling": self.scalings[k]}
        head = keras.saving.serialize_keras_object(self.head.member(k))
        single = NBeats.from_config({**config, "seed": self.member_seeds[k], "head": head})
        for ours, theirs in zip(self.stacks, single.stacks, strict=True):
            for of_all, its in zip(ours.weights, theirs.weights, strict=True):
                its.assign(of_all[k : k + 1])
        single.typical.assign(self.typical)
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
            "encoder": "regression" if self.encoder else "window",
            "spacing": self.spacing,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Rebuild stacks and head from their configurations."""
        config = dict(config)
        stacks = [keras.saving.deserialize_keras_object(stack) for stack in config.pop("stacks")]
        return cls(stacks, head=keras.saving.deserialize_keras_object(config.pop("head")), **config)
