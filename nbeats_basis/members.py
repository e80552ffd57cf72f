"""The member axis: weights of M networks side by side, each drawn from its own seed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from time import perf_counter
from zlib import crc32

import keras
import numpy as np
import tensorflow as tf

from nbeats_basis.checks import plain

PRECISIONS = ("float32", "bfloat16")
_PRODUCTS = ContextVar("products", default=None)


def in_turn(name: str, given, members: int, check: Callable) -> tuple:
    """Return one value a member, those of a list in turn.

    Args:
        name: of the argument, for errors.
        given: a value, or a list or an array of values.
        members: M, number of networks.
        check: `check(name, value) -> value`, of each.

    Raises:
        ValueError: an empty list.
    """
    given = plain(given)
    several = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    if not several:
        raise ValueError(f"`{name}` must name at least one. Received: {name}={given!r}")
    several = [check(name, each) for each in several]
    return tuple(several[k % len(several)] for k in range(members))


@contextmanager
def products_in(dtype: str) -> Iterator[None]:
    """Compute the products of networks called inside in another type; weights, inputs and outputs stay as they are.

    Args:
        dtype: "float32" or "bfloat16".
    """
    token = _PRODUCTS.set(dtype)
    try:
        yield
    finally:
        _PRODUCTS.reset(token)


@cache
def faster_precision(members: int, rows: int, units: int) -> str:
    """Return "bfloat16" where products in it, casts included, take at most 0.8 of the time of "float32" on this machine.

    Measured once a process for each size.

    Args:
        members: M, networks side by side.
        rows: windows of each in a step.
        units: width of the networks.
    """
    law = {"minval": -(units**-0.5), "maxval": units**-0.5}
    kernel = tf.random.stateless_uniform((members, units, units), (0, 1), **law)
    inputs = tf.random.stateless_uniform((members, rows, units), (0, 2))
    seconds = dict.fromkeys(PRECISIONS, np.inf)
    for dtype in PRECISIONS:

        @tf.function
        def products(kernel, hidden, dtype=dtype):
            kernel, hidden = tf.cast(kernel, dtype), tf.cast(hidden, dtype)
            for _ in range(4):
                hidden = tf.nn.relu(tf.matmul(hidden, kernel))
            return tf.reduce_sum(tf.cast(hidden, "float32"))

        for _ in range(6):  # the first compiles
            begin = perf_counter()
            products(kernel, inputs).numpy()
            seconds[dtype] = min(seconds[dtype], perf_counter() - begin)
    return "bfloat16" if seconds["bfloat16"] < 0.8 * seconds["float32"] else "float32"


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
        kwargs.setdefault("dtype", "float32")  # whatever Keras' own default is
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
            name: name of the weight within the layer; a "/" is allowed.
            shape: shape of one member's slice.
            draw: `draw(rng, shape) -> array`.
        """
        initializer, label = self.member_initializer(name, draw), name.replace("/", "_")
        if self.seeds is None:
            return self.add_weight(
                name=label, shape=shape, initializer=lambda s, dtype=None: initializer((1, *s), dtype)[0]
            )
        return self.add_weight(name=label, shape=(len(self.seeds), *shape), initializer=initializer)

    def member_initializer(self, name: str, draw: Callable) -> MemberInitializer:
        """Return the initializer of the weight `name` of this layer: see `MemberInitializer`."""
        return MemberInitializer(draw, self.seeds or (0,), f"{self.scope}/{name}")


@keras.saving.register_keras_serializable(package="nbeats_basis")
class MemberNetwork(MemberLayer):
    """M networks at once, ReLU layers and a linear one: `(M, B, I) -> (M, B, outputs)`, batched matrix products.

    h_1 = relu(W_1' x + b_1), ..., y = W' h + b, with weights from U(-1/sqrt(n), 1/sqrt(n)), n the size of what a layer reads
    (He et al. 2015 with a = sqrt(5)). Inside `products_in` the products take its type.

    Args:
        units: size of the hidden layers.
        num_layers: number of ReLU layers, at least 1.
        outputs: size of the output.
    """

    def __init__(self, units: int, num_layers: int, outputs: int, **kwargs):
        super().__init__(**kwargs)
        self.units, self.num_layers, self.outputs = units, num_layers, outputs

    def build(self, inputs_shape):
        """Create kernels `(M, I, O)` and biases `(M, O)`, the linear layer's last."""
        if self.seeds is None:
            self.assign_members(range(inputs_shape[0]), self.scope)
        self.kernels, self.biases = [], []
        sizes = [inputs_shape[-1], *[self.units] * self.num_layers, self.outputs]
        names = [*(f"layer{i}" for i in range(self.num_layers)), "proposal"]
        for name, reads, writes in zip(names, sizes[:-1], sizes[1:], strict=True):
            draw = uniform(reads**-0.5)
            self.kernels.append(self.member_weight(f"{name}/kernel", (reads, writes), draw))
            self.biases.append(self.member_weight(f"{name}/bias", (writes,), draw))

    def call(self, inputs):
        """Return `(M, B, outputs)`."""
        dtype = _PRODUCTS.get() or self.compute_dtype
        kernels, biases = ([tf.cast(w, dtype) for w in weights] for weights in (self.kernels, self.biases))
        hidden = tf.cast(inputs, dtype)
        for kernel, bias in zip(kernels[:-1], biases[:-1], strict=True):
            hidden = tf.nn.relu(tf.matmul(hidden, kernel) + bias[:, None])
        outputs = tf.matmul(hidden, kernels[-1]) + biases[-1][:, None]
        return tf.cast(outputs, self.variable_dtype)

    def get_config(self):
        """Return the constructor's arguments."""
        own = {"units": self.units, "num_layers": self.num_layers, "outputs": self.outputs}
        return {**super().get_config(), **own}
