"""The member axis: weights of M networks side by side, each drawn from its own seed."""

from collections.abc import Callable, Sequence
from zlib import crc32

import keras
import numpy as np


class MemberInitializer(keras.initializers.Initializer):
    """Draw member k's slice of a weight from member k's seed alone.

    Member k of an ensemble so starts from the weights that a single network of that seed starts from.

    Args:
        draw: `draw(rng, shape) -> array`, the law of one member's slice.
        seeds: one integer a member.
        scope: the weight's name within its network; different names give independent draws.
    """

    def __init__(self, draw: Callable, seeds: Sequence[int], scope: str):
        self.draw, self.seeds, self.scope = draw, tuple(seeds), scope

    def __call__(self, shape, dtype=None):
        """Return the stacked slices, `(M, ...)`."""
        key = crc32(self.scope.encode())
        slices = [self.draw(np.random.default_rng([seed, key]), tuple(shape[1:])) for seed in self.seeds]
        return keras.ops.convert_to_tensor(np.stack(slices), dtype=dtype)


def uniform(limit: float) -> Callable:
    """Return the law U(-limit, limit)."""
    return lambda rng, shape: rng.uniform(-limit, limit, shape)


class MemberLayer(keras.layers.Layer):
    """A layer whose weights may carry a leading member axis.

    A parent network calls `assign_members` before building; a layer used alone has no member axis to its weights
    unless told so.
    """

    def __init__(self, **kwargs):
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        self.seeds: tuple[int, ...] | None = None
        self.scope = ""

    def assign_members(self, seeds: Sequence[int], scope: str) -> None:
        """Give the layer one seed per member and its name within the network. Call before building.

        Args:
            seeds: one integer a member.
            scope: the layer's name within its network; it seeds the weights together with the member's seed.
        """
        self.seeds, self.scope = tuple(int(s) for s in seeds), scope

    def get_build_config(self):
        """Return None: a layer reloaded from its configuration is built by its network, which knows the members."""
        return None

    def member_weight(self, name: str, shape: tuple[int, ...], draw: Callable):
        """Add a weight `(M, *shape)`, or `shape` where no members were assigned.

        Args:
            name: name of the weight.
            shape: shape of one member's slice.
            draw: `draw(rng, shape) -> array`.
        """
        initializer = self.member_initializer(name, draw)
        if self.seeds is None:
            return self.add_weight(
                name=name, shape=shape, initializer=lambda s, dtype=None: initializer((1, *s), dtype)[0]
            )
        return self.add_weight(name=name, shape=(len(self.seeds), *shape), initializer=initializer)

    def member_initializer(self, name: str, draw: Callable) -> MemberInitializer:
        """Return the initializer of the weight `name` of this layer: see `MemberInitializer`."""
        return MemberInitializer(draw, self.seeds or (0,), f"{self.scope}/{name}")


class MemberDense(MemberLayer):
    """M dense maps at once: `(M, B, I) -> (M, B, units)`, one batched matrix product.

    y_m = activation(x_m W_m + b_m), with W and b drawn from U(-1/sqrt(I), 1/sqrt(I)) (He et al. 2015 with a = sqrt(5)).

    Args:
        units: size of the output.
        activation: name of a Keras activation, or None for a linear map. Defaults to None.
    """

    def __init__(self, units: int, activation: str | None = None, **kwargs):
        super().__init__(**kwargs)
        self.units, self.activation = units, activation

    def build(self, inputs_shape):
        """Create the kernel `(M, I, units)` and the bias `(M, units)`."""
        if self.seeds is None:
            self.assign_members(range(inputs_shape[0]), self.scope)
        limit = uniform(inputs_shape[-1] ** -0.5)
        self.dense = keras.layers.EinsumDense(
            "mbi,mio->mbo",
            output_shape=(None, self.units),
            bias_axes="mo",
            activation=self.activation,
            kernel_initializer=self.member_initializer("kernel", limit),
            bias_initializer=self.member_initializer("bias", limit),
            dtype=self.dtype_policy,
        )
        self.dense.build(inputs_shape)

    def call(self, inputs):
        """Return `(M, B, units)`."""
        return self.dense(inputs)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "units": self.units, "activation": self.activation}
