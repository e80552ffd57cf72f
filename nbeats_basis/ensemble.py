"""Networks of different stacks, losses and lookbacks that forecast as one."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from nbeats_basis.model import NBeats
from nbeats_basis.network import Network

_OF_MEMBERS = ("params", "start", "shift", "scale", "share")


@keras.saving.register_keras_serializable(package="nbeats_basis")
class Ensemble(Network):
    """The members of several networks side by side.

    Components of equal name are one; a network without a component adds 0 to it.

    Args:
        nets: list of networks, at least one, or ensembles, whose networks are taken; of equal horizon, window, encoder and form of
            head, trained each on its own.

    Call arguments:
        inputs: as for `NBeats`.
        order: order of the derivative in time of parameters and components. Defaults to 0.

    Returns:
        dict of `params` `(M, B, H, P)`, `components` `(M, B, C, H)`, `backcasts` `(M, B, C, L)`, `start`, `shift` and
        `scale` `(M, B)`, and `share` `(M,)`, as of `NBeats`, M counting the members of all networks.

    Raises:
        ValueError: networks that cannot be combined.

    Example:
        >>> import numpy as np, nbeats_basis as nb
        >>> nets = [nb.NBeats([stack], horizon=4, lookback=8) for stack in (nb.Trend(units=8), nb.Generic(units=8))]
        >>> nb.Ensemble(nets).forecast(np.arange(16.0).reshape(2, 8))["components"].shape
        TensorShape([2, 4, 3])
    """

    def __init__(self, nets: Sequence[Network], **kwargs):
        super().__init__(**kwargs)  # values and times are float64
        self.nets = [each for net in nets for each in net.networks()]
        if len(set(map(id, self.nets))) < len(self.nets):
            raise ValueError("`nets` holds a network twice. Let its members count more by `shares` instead.")
        kinds = [(net.horizon, net.window, net.encoder is None, net.head.form) for net in self.nets]
        if not kinds or any(kind != kinds[0] for kind in kinds):
            raise ValueError(
                "`nets` must be networks of one horizon, window, encoder and form of head. "
                f"Received: {len(self.nets)} networks of {kinds}"
            )
        first = self.nets[0]
        self.horizon, self.window = first.horizon, first.window
        self.encoder, self.head = first.encoder, first.head
        self.members = sum(net.members for net in self.nets)
        self.lookbacks = tuple(lookback for net in self.nets for lookback in net.lookbacks)
        self.component_names = list(dict.fromkeys(name for net in self.nets for name in net.component_names))
        self.built = True  # as the networks are

    def networks(self) -> list[NBeats]:
        """Return the networks."""
        return self.nets

    def fit(self, *args, **kwargs):
        """Raise NotImplementedError: the networks are trained each on its own.

        Args:
            *args: none counts.
            **kwargs: none counts.
        """
        raise NotImplementedError("An `Ensemble` does not train. Call `fit` of each of its networks instead.")

    def call(self, inputs, order: int = 0):
        """Return the outputs of all members."""
        outputs = [net(inputs, order=order) for net in self.nets]
        joined = {key: tf.concat([out[key] for out in outputs], axis=0) for key in _OF_MEMBERS}
        for key in ("components", "backcasts"):
            parts = [self._in_order(net, out[key]) for net, out in zip(self.nets, outputs, strict=True)]
            joined[key] = tf.concat(parts, axis=0)
        return joined

    def _in_order(self, net: NBeats, components):
        """Return `(M, B, C, T)` of all components from those of one network."""
        zero = tf.zeros_like(components[:, :, 0])
        mine = dict(zip(net.component_names, tf.unstack(components, axis=2), strict=True))
        return tf.stack([mine.get(name, zero) for name in self.component_names], axis=2)

    def get_config(self):
        """Return the constructor's arguments."""
        return {"nets": [net.get_config() for net in self.nets], "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Rebuild the networks from their configurations."""
        config = dict(config)
        return cls([NBeats.from_config(net) for net in config.pop("nets")], **config)


def as_one(nets: Sequence[NBeats]) -> Network:
    """Return the only network, or the ensemble of several.

    Args:
        nets: list of networks, at least one.
    """
    return nets[0] if len(nets) == 1 else Ensemble(nets)
