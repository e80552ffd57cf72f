"""Functions with gradients of their own, traced apart from what calls them."""

from collections.abc import Callable
from functools import cache, partial, wraps

import tensorflow as tf


def with_gradient(function: Callable) -> Callable:
    """Return a function of tensors whose gradient is what it returns beside its value, as `tf.custom_gradient` does.

    TensorFlow keeps for ever what such a function is traced in. Here that is a graph of its own, one for each shape of its
    arguments, rather than that of every network that calls it.

    Args:
        function: of tensors alone, returns a value and a function from the gradient of the value to those of the arguments.
    """
    plain = tf.custom_gradient(function)

    @wraps(function)
    def call(*tensors):
        if tf.executing_eagerly():
            return plain(*tensors)
        return _traced(plain, tuple(tf.TensorSpec(each.shape, each.dtype) for each in tensors))(*tensors)

    return call


@cache
def _traced(function: Callable, signature: tuple) -> Callable:
    # a partial is no code: TensorFlow counts traces by code, and would warn of those of other shapes
    return tf.function(partial(function), input_signature=signature, autograph=False)
