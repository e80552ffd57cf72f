"""The members' outputs in network units combined into one forecast in data units."""

from collections.abc import Sequence

import tensorflow as tf

from nbeats_basis.heads import Head


def combine(out: dict, head: Head) -> dict:
    """Return the combined forecast: the mean of distributions, the median of points.

    Args:
        out: of a network: `params` `(M, B, H, P)`, `components` `(M, B, C, H)`, `start`, `shift`, `scale` `(M, B)`.
        head: the head.

    Returns:
        dict of `mean` `(B, H)` and `components` `(B, H, 1 + C)` that add up to it, the level first, float64.
    """
    scale, shift = out["scale"], out["shift"]
    location = _locations(out)
    level = tf.reduce_mean(tf.cast(out["start"], "float64") * scale + shift, axis=0)
    mean, components = tf.reduce_mean(location, axis=0), _components(out)
    if not head.is_distribution:
        median = _take_middle(location, location)
        components += _shared(median - mean, components)
        mean = median
    level = tf.broadcast_to(level[:, None, None], tf.shape(mean[..., None]))
    return {"mean": mean, "components": tf.concat([level, components], axis=-1)}


def combine_slopes(slopes: dict, out: dict, head: Head) -> dict:
    """Return the derivatives of `combine`.

    Args:
        slopes: of a network, of the derivatives.
        out: of the same network, of the functions themselves.
        head: the head.

    Returns:
        as `combine`; the level's derivative is 0.
    """
    values = tf.cast(slopes["params"][..., 0], "float64") * slopes["scale"][..., None]
    mean, components = tf.reduce_mean(values, axis=0), _components(slopes)
    if not head.is_distribution:
        median = _take_middle(values, _locations(out))
        components += _shared(median - mean, components)
        mean = median
    return {"mean": mean, "components": tf.concat([tf.zeros_like(mean)[..., None], components], axis=-1)}


def mixture_quantiles(out: dict, head: Head, quantiles: Sequence[float]):
    """Return quantiles of the members' equal mixture, `(B, H, Q)` float64.

    Args:
        out: as for `combine`.
        head: the head.
        quantiles: probabilities in (0, 1), a list or a tensor `(Q,)`.

    Raises:
        ValueError: quantiles of a point head.
    """
    location = _locations(out)
    levels = tf.cast(quantiles, "float64")
    if levels.shape[0] == 0:
        return tf.reduce_mean(location, axis=0)[..., None][..., :0]
    if not head.is_distribution:
        raise ValueError(
            "`quantiles` need a head that gives a distribution, such as `heads.StudentT()`. "
            f"Received: head={head!r}"
        )
    params = tf.concat([location[..., None], tf.cast(out["params"][..., 1:], "float64")], axis=-1)
    return head.quantile(params, tf.broadcast_to(out["scale"][..., None], tf.shape(location)), levels)


def _locations(out: dict):
    """Return the members' locations in data units, `(M, B, H)`."""
    return tf.cast(out["params"][..., 0], "float64") * out["scale"][..., None] + out["shift"][..., None]


def _components(out: dict):
    """Return the members' mean components in data units, `(B, H, C)`."""
    components = tf.cast(out["components"], "float64") * out["scale"][..., None, None]
    return tf.transpose(tf.reduce_mean(components, axis=0), (0, 2, 1))


def _shared(distance, components):
    """Return the median's small distance from the mean in equal shares: the median is not linear in components."""
    return distance[..., None] / components.shape[-1]


def _take_middle(values, keys):
    """Return the values of the members whose keys are the middle one, or the mean of the middle two, `(B, H)`."""
    order = tf.argsort(keys, axis=0)
    count = keys.shape[0]
    middle = tf.stack([order[(count - 1) // 2], order[count // 2]])
    taken = tf.experimental.numpy.take_along_axis(values, middle, axis=0)
    return tf.reduce_mean(taken, axis=0)
