"""A SavedModel that takes raw values and needs none of this package."""

import tensorflow as tf

from nbeats_basis.network import Network


def export(net: Network, path: str, quantiles: list[float]) -> None:
    """Write a TensorFlow SavedModel with one signature, "serving_default".

    Inputs, float64, of any batch size and any lengths:
        values `(B, T)`: history in data units, NaN where not observed, columns in any order of time; at irregular times all are read,
            none is left out as by `Training(max_points=...)`;
        times `(B, T)`: their times, NaN for none, in whole steps of the calendar or in units of real time, from any origin (from
            1970 or the numbers' own zero where a basis has calendar phase);
        query_times `(B, H)`: times to forecast, in the same numbering.
    Outputs, float64: `mean` `(B, H)`, `quantiles` `(B, H, Q)`, `components` `(B, H, 1 + C)`; and what their last axes
    mean: `quantile_levels` `(Q,)` and `component_names` `(1 + C,)`.

    Args:
        net: the network.
        path: folder to write.
        quantiles: probabilities in (0, 1), may be empty; any for a head that gives a distribution.
    """
    names = ["level", *net.component_names]
    spec = {
        name: tf.TensorSpec((None, None), tf.float64, name) for name in ("values", "times", "query_times")
    }

    def serve(values, times, query_times):
        values, times = _placed(values, times)
        origin = latest(values, times)
        elapsed = times - origin[:, None]
        inputs = {"query_times": query_times - origin[:, None]}
        if net.encoder is None:
            inputs["values"] = place(values, elapsed, net.window)
        else:
            inputs |= {"values": values, "times": elapsed, "origin": origin}
        return {
            **net.forecast(inputs, quantiles),
            "quantile_levels": tf.constant(quantiles, "float64"),
            "component_names": tf.constant(names),
        }

    module = tf.Module()
    module.weights = [variable.value for variable in net.variables]
    module.serving_default = tf.function(serve, input_signature=list(spec.values()), autograph=False)
    tf.saved_model.save(module, path, {"serving_default": module.serving_default})


def _placed(values, times):
    """Return values and times, a time that is NaN being the first of its row, where nothing is observed."""
    lost = tf.math.is_nan(times)
    first = tf.reduce_min(tf.where(lost, times.dtype.max, times), axis=-1, keepdims=True)
    return tf.where(lost, tf.constant(float("nan"), values.dtype), values), tf.where(lost, first, times)


def latest(values, times):
    """Return the time of the last observation, `(B,)`, or of the first time where there is none.

    Args:
        values: `(B, T)` float64, NaN where not observed.
        times: `(B, T)` float64.
    """
    observed = ~tf.math.is_nan(values)
    return tf.reduce_max(tf.where(observed, times, tf.reduce_min(times, axis=-1, keepdims=True)), axis=-1)


def place(values, times, window: int):
    """Lay observations onto the grid of steps that ends at time 0, `(B, L)` with NaN where not observed.

    Args:
        values: `(B, T)` float64, NaN where not observed.
        times: `(B, T)` float64, in steps.
        window: L, steps of the grid.
    """
    slot = tf.cast(tf.round(times), "int64") + window - 1
    inside = ~tf.math.is_nan(values) & (slot >= 0)
    size = tf.shape(values, "int64")
    target = slot + tf.range(size[0])[:, None] * window
    grid = tf.fill([size[0] * window], tf.constant(float("nan"), "float64"))
    grid = tf.tensor_scatter_nd_update(
        grid, tf.boolean_mask(target, inside)[:, None], tf.boolean_mask(values, inside)
    )
    return tf.reshape(grid, (-1, window))
