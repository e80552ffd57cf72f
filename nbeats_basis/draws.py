"""Random numbers of a training step, a function of step and seeds alone."""

from collections.abc import Sequence
from functools import partial

import tensorflow as tf


def uniforms(count: int, batch_size: int, step, seeds: Sequence[int]):
    """Return uniform numbers in [0, 1), `(M, count, B)` float64; of several replicas each gets its share of the B.

    Args:
        count: numbers that each window needs.
        batch_size: B, windows of a step.
        step: number of the training step, scalar tensor.
        seeds: one integer a member.

    Raises:
        ValueError: the windows cannot be shared equally.
    """
    step = tf.cast(step, "int32")
    draw = partial(tf.random.stateless_uniform, dtype="float64", alg="philox")  # as by default, but for XLA
    drawn = [draw((count, batch_size), [seed, step]) for seed in seeds]
    replicas = tf.distribute.get_replica_context()
    share, rest = divmod(batch_size, replicas.num_replicas_in_sync)
    if rest:
        raise ValueError(
            "`batch_size` must be a multiple of the strategy's replicas. "
            f"Received: batch_size={batch_size!r}, {replicas.num_replicas_in_sync} replicas"
        )
    first = share * tf.cast(replicas.replica_id_in_sync_group, "int32")
    return tf.stack(drawn)[..., first : first + share]


def choose(uniform, count):
    """Return integers in [0, count) from uniform numbers in [0, 1).

    Args:
        uniform: `(...)` float64.
        count: `(...)` int64.
    """
    return tf.minimum(tf.cast(uniform * tf.cast(count, "float64"), "int64"), count - 1)
