"""The members' outputs in network units combined into one forecast in data units."""

import tensorflow as tf

from nbeats_basis.heads import Head
from nbeats_basis.mixture import weighted_mean

_ROUNDING = 1e-9  # of a sum of weights


def combine(out: dict, head: Head) -> dict:
    """Return the combined forecast: the mean of distributions, the median of points, of members as they are weighted.

    Args:
        out: of a network: `params` `(M, B, H, P)`, `components` `(M, B, C, H)`, `start`, `shift`, `scale` `(M, B)`, `share` `(M,)`.
        head: the head.

    Returns:
        dict of `mean` `(B, H)` and `components` `(B, H, 1 + C)` that add up to it, the level first, float64.
    """
    scale, shift = out["scale"], out["shift"]
    location, shares = _locations(out), _shares(out)
    level = weighted_mean(tf.cast(out["start"], "float64") * scale + shift, shares)
    mean, components = weighted_mean(location, shares), _components(out, shares)
    if not head.is_distribution:
        median = _take_middle(location, location, shares)
        components += _evenly(median - mean, components)
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
    shares = _shares(out)
    mean, components = weighted_mean(values, shares), _components(slopes, shares)
    if not head.is_distribution:
        median = _take_middle(values, _locations(out), shares)
        components += _evenly(median - mean, components)
        mean = median
    return {"mean": mean, "components": tf.concat([tf.zeros_like(mean)[..., None], components], axis=-1)}


def mixture_quantiles(out: dict, head: Head, quantiles):
    """Return quantiles of the members' mixture, `(B, H, Q)` float64.

    Args:
        out: as for `combine`.
        head: the head.
        quantiles: probabilities in (0, 1), a tensor `(Q,)`.

    Raises:
        ValueError: quantiles of a point head.
    """
    location = _locations(out)
    levels = tf.cast(quantiles, "float64")
    if levels.shape[0] == 0:
        return location[0][..., None][..., :0]
    if not head.is_distribution:
        raise ValueError(
            "`quantiles` need a head that gives a distribution, such as `heads.StudentT()`. "
            f"Received: head={head!r}"
        )
    params = tf.concat([location[..., None], tf.cast(out["params"][..., 1:], "float64")], axis=-1)
    scale = tf.broadcast_to(out["scale"][..., None], tf.shape(location))
    return head.quantile(params, scale, levels, _shares(out))


def _shares(out: dict):
    """Return the members' weights, adding up to 1, `(M,)`."""
    return out["share"] / tf.reduce_sum(out["share"])


def _locations(out: dict):
    """Return the members' locations in data units, `(M, B, H)`."""
    return tf.cast(out["params"][..., 0], "float64") * out["scale"][..., None] + out["shift"][..., None]


def _components(out: dict, shares):
    """Return the members' mean components in data units, `(B, H, C)`."""
    components = tf.cast(out["components"], "float64") * out["scale"][..., None, None]
    return tf.transpose(weighted_mean(components, shares), (0, 2, 1))


def _evenly(distance, components):
    """Return the median's small distance from the mean in equal shares: the median is not linear in components."""
    return distance[..., None] / components.shape[-1]


def _take_middle(values, keys, shares):
    """Return the values of the members at the weighted median of the keys, the mean of two where it lies between them, `(B, H)`."""
    if keys.shape[0] == 1:
        return values[0]
    order = tf.argsort(keys, axis=0)
    until = tf.cumsum(tf.gather(shares, order), axis=0)
    below = [tf.cast(until <= 0.5 + rounding, "int32") for rounding in (-_ROUNDING, _ROUNDING)]
    middle = tf.stack([tf.reduce_sum(each, axis=0) for each in below])
    along = tf.experimental.numpy.take_along_axis
    return tf.reduce_mean(along(values, along(order, middle, axis=0), axis=0), axis=0)
