"""What a network is called with, as tensors with a member axis, in network units."""

from collections.abc import Sequence

import tensorflow as tf

from nbeats_basis.scaling import last_observed, standardize, window_scale


def prepare(
    inputs,
    lookbacks: Sequence,
    window: float,
    horizon: float,
    scalings: Sequence[str],
    typical,
    on_grid: bool,
) -> dict:
    """Return the tensors that the stacks work on.

    Args:
        inputs: as for a call of `NBeats`.
        lookbacks: history of each member, steps or a length of time.
        window: L, steps of the window where there are no times of its own.
        horizon: H, steps to forecast where there are no query times.
        scalings: of each member, see `window_scale`.
        typical: `(2,)` float64, see `window_scale`.
        on_grid: whether windows hold one value a step, and no times.

    Returns:
        dict of `times` `(M or 1, B or 1, L)`, `values` and `observed` `(M, B, L)`, `query_times` `(M or 1, B or 1, H)`,
        `origin` `(M or 1, B)` or None, `start`, the last value in network units, `shift` and `scale` `(M, B)`.

    Raises:
        ValueError: the windows are of another length, or there are inputs of another name.
    """
    inputs = inputs if isinstance(inputs, dict) else {"values": inputs}
    known = {"values", "query_times", "origin"} if on_grid else {"values", "times", "query_times", "origin"}
    if "values" not in inputs or not known.issuperset(inputs):
        kind = "on a grid of steps" if on_grid else "at any times"
        raise ValueError(
            f"inputs {kind} are 'values' and, if need be, {sorted(known - {'values'})}. Received: {list(inputs)}"
        )
    values = _with_members(inputs["values"], "float64")
    times = inputs.get("times")
    times = tf.range(1.0 - window, 1)[None, None] if times is None else _with_members(times, "float32")
    if not times.shape[-1:].is_compatible_with(values.shape[-1:]):
        raise ValueError(f"windows must hold {times.shape[-1]} values. Received: shape {values.shape}")
    observed = ~tf.math.is_nan(values) & (times > -tf.constant(lookbacks, "float32")[:, None, None])
    values = tf.where(observed, values, 0)
    latest = last_observed(values, times, observed)
    shift, scale = window_scale(values, observed, latest, scalings, typical)
    values = tf.where(observed, standardize(values, shift, scale), 0)
    query = inputs.get("query_times")
    query = tf.range(1, horizon + 1) if query is None else tf.convert_to_tensor(query)
    origin = inputs.get("origin")
    return {
        "times": times,
        "values": values,
        "observed": tf.cast(observed, "float32"),
        "query_times": _with_members(query if len(query.shape) > 1 else query[None], "float32"),
        "origin": origin if origin is None else _with_members(origin, "float64", 2),
        "start": tf.where(
            tf.reduce_any(observed, -1), standardize(latest[..., None], shift, scale)[..., 0], 0
        ),
        "shift": shift,
        "scale": scale,
    }


def _with_members(tensor, dtype: str, rank: int = 3):
    """Return the tensor with a member axis of 1 unless it has one."""
    tensor = tf.cast(tensor, dtype)
    return tensor if len(tensor.shape) == rank else tensor[None]
