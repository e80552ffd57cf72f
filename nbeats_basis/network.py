"""What networks answer: forecasts, slopes and smooths of all their members together."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from nbeats_basis.checks import check_int, check_quantiles
from nbeats_basis.combination import combine, combine_slopes, mixture_quantiles
from nbeats_basis.heads import Head


class Network(keras.Model):
    """Members whose outputs a call returns side by side, in network units, and a head that says what they mean.

    Attributes:
        head: what the parameters mean.
        members: M, number of networks.
        lookbacks: history each member reads.
        window: length of the padded window.
        horizon: length of the forecasts.
        encoder: None on a grid of steps, where windows hold one value a step.
        component_names: names of the C components.
    """

    head: Head
    members: int
    lookbacks: tuple
    component_names: list[str]

    def __init__(self, **kwargs):
        super().__init__(autocast=False, dtype="float32", **kwargs)  # whatever Keras' own default is

    def forecast(self, inputs, quantiles: Sequence[float] = ()) -> dict:
        """Return the members' combined forecast in data units, float64.

        Args:
            inputs: as for a call.
            quantiles: probabilities in (0, 1), a list or a tensor `(Q,)`. Defaults to ().

        Returns:
            dict of `mean` `(B, H)` (a point head's median over members), `components` `(B, H, 1 + C)` that add up to it,
            the level first, and `quantiles` `(B, H, Q)`.

        Raises:
            ValueError: quantiles of a point head, or out of range.
        """
        if not tf.is_tensor(quantiles):
            quantiles = tf.constant(check_quantiles(quantiles=quantiles), "float64")
        out = self(inputs)
        return {**combine(out, self.head), "quantiles": mixture_quantiles(out, self.head, quantiles)}

    def derivative(self, inputs, order: int = 1) -> dict:
        """Return the derivatives in time of `forecast`'s `mean` and `components`, in data units per unit of time.

        Args:
            inputs: as for a call.
            order: order of the derivative, at least 1. Defaults to 1.
        """
        return combine_slopes(self(inputs, order=check_int("order", order)), self(inputs), self.head)

    def smooth(self, inputs) -> dict:
        """Return what the stacks explain of the window at all its times, those not observed too.

        Args:
            inputs: as for a call.

        Returns:
            dict of `mean` `(B, L)` and `components` `(B, L, 1 + C)` that add up to it, the level first, float64.
        """
        out = self(inputs)
        curves = out["backcasts"]
        fitted = tf.reduce_sum(curves, axis=2)[..., None]
        return combine(
            {**out, "params": fitted, "components": curves, "start": tf.zeros_like(out["start"])}, self.head
        )

    def predict(self, x, batch_size: int | None = None, **kwargs):
        """Return `forecast` of many windows, as `keras.Model.predict` does; arrays keep their precision.

        Args:
            x: windows as for a call, `(B, L)`, or a dataset of batches.
            batch_size: windows of a batch; None for 32. Defaults to None.
            **kwargs: further arguments of `keras.Model.predict`.
        """
        if all(isinstance(each, np.ndarray) for each in keras.tree.flatten(x)):
            x, batch_size = tf.data.Dataset.from_tensor_slices(x).batch(batch_size or 32), None
        return super().predict(x, batch_size, **kwargs)

    def predict_step(self, data):
        """Return `forecast` of a batch."""
        return self.forecast(keras.utils.unpack_x_y_sample_weight(data)[0])
