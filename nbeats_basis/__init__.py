"""Forecasts as sums of basis expansions of continuous time: N-BEATS for Keras 3 and TensorFlow."""

from nbeats_basis import bases, heads
from nbeats_basis._version import __version__
from nbeats_basis.blocks import BasisBlock
from nbeats_basis.model import NBeats
from nbeats_basis.stacks import Generic, Seasonality, Stack, Trend

__all__ = [
    "BasisBlock",
    "Generic",
    "NBeats",
    "Seasonality",
    "Stack",
    "Trend",
    "__version__",
    "bases",
    "heads",
]
