"""How much each member counts: the weights of the mixture that makes what was held out most likely."""

import numpy as np
import tensorflow as tf

from nbeats_basis.network import Network

_ROUNDS = 1000  # of expectation maximisation, at most
_FAR = 1e100  # an error, or a log density below 0, of what is not finite
_STILL = 1e-10  # a change of all weights below which it ends


def weigh(net: Network, held_out) -> None:
    """Set the weights of a network's members to those of the most likely mixture; equal ones where all windows are constant.

    Args:
        net: the network.
        held_out: windows of its kind, `windows.HeldOut` or `observations.IrregularHeldOut`.
    """
    score = tf.function(lambda batch: _scores(net, *held_out.gather(batch)), reduce_retracing=True)
    batches = [[part.numpy() for part in score(batch)] for batch in held_out.batches()]
    scores, known = (np.concatenate(parts, axis=-1) for parts in zip(*batches, strict=True))
    if not known.any():
        return
    scores = scores[:, known]
    if not net.head.is_distribution:  # errors as of Laplace distributions, each member's of its own width
        scores = np.where(np.isfinite(scores), scores, _FAR)
        width = np.maximum(scores.mean(axis=1, keepdims=True), np.finfo("float64").tiny)
        scores = -scores / width - np.log(width)
    shares = mixture_weights(scores.T)
    for each in net.networks():
        each.shares.assign(shares[: each.members])
        shares = shares[each.members :]


def mixture_weights(log_densities: np.ndarray) -> np.ndarray:
    """Return the weights `(M,)` of a mixture that maximise its likelihood and one window's worth of every member.

    Maximises sum_n log(sum_m w_m p_nm) + sum_m log w_m over w that add up to 1, by expectation maximisation: the second sum
    keeps the weights of many members equal that few windows say little of.

    Args:
        log_densities: log p, `(N, M)`, of N windows; what is not finite counts as very unlikely.

    Source: Dempster, Laird & Rubin 1977, section 4.3.
    """
    log_densities = np.where(np.isfinite(log_densities), log_densities, -_FAR)
    density = np.exp(log_densities - log_densities.max(axis=1, keepdims=True))
    count, members = density.shape
    weights = np.full(members, 1 / members)
    for _ in range(_ROUNDS):
        shares = weights * density
        following = ((shares / shares.sum(axis=1, keepdims=True)).sum(axis=0) + 1) / (count + members)
        moved, weights = np.abs(following - weights).max(), following
        if moved < _STILL:
            break
    return weights


def _scores(net: Network, inputs, targets):
    """Return each member's mean log density of each window's targets, or mean error of a point head, `(M, B)`; and which count.

    A window is one observation, since the errors of one forecast go together. Errors are relative to the window's scale.
    """
    out, head = net(inputs), net.head
    known = ~tf.math.is_nan(targets)[0] & tf.reduce_all(out["scale"] > 0, axis=0)[:, None]
    scale = tf.where(out["scale"] > 0, out["scale"], 1)[..., None]
    errors = tf.where(known, targets - out["shift"][..., None], 0)
    if head.is_distribution:
        score = head.log_prob(tf.cast(out["params"], "float64"), errors / scale) - tf.math.log(scale)
    else:
        location = tf.cast(out["params"][..., 0], "float64") * scale
        score = tf.abs(errors - location) / tf.reduce_mean(scale, axis=0)
    counts = tf.cast(known, "float64")
    mean = tf.math.divide_no_nan(tf.reduce_sum(score * counts, axis=-1), tf.reduce_sum(counts, axis=-1))
    return mean, tf.reduce_any(known, axis=-1)
