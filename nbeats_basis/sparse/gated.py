"""Gates for unrolled pursuits: one undoes shrinkage before a step, one overshoots after it."""

import keras
import tensorflow as tf

from nbeats_basis.sparse.analytic import ALISTA
from nbeats_basis.sparse.lista import LISTACPSS


class Gates:
    """Gates around the steps of the pursuit that follows in the order of inheritance.

    Codes are multiplied by 1 + a relu(1 - relu(d |x|)) before a step, and its outcome z becomes z - b (z - x) with
    b = o / (1 + 10 |z - x|). a, d and o are learned in every layer; a = o = 0 at first, which leaves the pursuit as it is.

    Source: Wu et al. 2020, equations 8 and 14; their gates are of this form with a / threshold and o / (10 threshold) as weights.
    """

    def add_layer(self, k, size):
        """Add the gates' scalars."""
        gates = {"gain": 0.0, "slope": 1.0, "overshoot": 0.0}
        return {
            **super().add_layer(k, size),
            **{name: self.scalar(f"{name}{k}", value) for name, value in gates.items()},
        }

    def step(self, k, codes, previous, given, weights):
        """Return the next codes."""
        fading = tf.nn.relu(1 - tf.nn.relu(weights["slope"] * tf.abs(codes)))
        outcome = super().step(k, codes * (1 + weights["gain"] * fading), previous, given, weights)
        change = outcome - codes
        return outcome - weights["overshoot"] / (1 + 10 * tf.abs(change)) * change


@keras.saving.register_keras_serializable(package="nbeats_basis")
class GatedLISTA(Gates, LISTACPSS):
    """`LISTACPSS` with `Gates`."""


@keras.saving.register_keras_serializable(package="nbeats_basis")
class GatedALISTA(Gates, ALISTA):
    """`ALISTA` with `Gates`: five scalars a layer are learned, and the design may differ in every sample."""
