"""Forecasts as sums of basis expansions of continuous time: N-BEATS for Keras 3 and TensorFlow."""

from nbeats_basis import bases, datasets, heads, sparse, synthetic
from nbeats_basis._version import __version__
from nbeats_basis.blocks import BasisBlock
from nbeats_basis.checks import DataError, DataWarning, NotFittedError, TrainingWarning
from nbeats_basis.ensemble import Ensemble
from nbeats_basis.forecaster import Forecaster
from nbeats_basis.model import NBeats
from nbeats_basis.pursuit_forecaster import PursuitForecaster
from nbeats_basis.smoothing_stack import Smoothing, SmoothingBlock
from nbeats_basis.sparse_stack import Sparse, SparseBlock
from nbeats_basis.stacks import Expansion, Generic, Seasonality, Stack, Trend
from nbeats_basis.training import MemberEarlyStopping, Training

__all__ = [
    "BasisBlock",
    "DataError",
    "DataWarning",
    "Ensemble",
    "Expansion",
    "Forecaster",
    "Generic",
    "MemberEarlyStopping",
    "NBeats",
    "NotFittedError",
    "PursuitForecaster",
    "Seasonality",
    "Smoothing",
    "SmoothingBlock",
    "Sparse",
    "SparseBlock",
    "Stack",
    "Training",
    "TrainingWarning",
    "Trend",
    "__version__",
    "bases",
    "datasets",
    "heads",
    "sparse",
    "synthetic",
]
