"""Bases: sets of functions of continuous time, with derivatives."""

from nbeats_basis.bases.base import Basis, Concatenate
from nbeats_basis.bases.bspline import BSpline
from nbeats_basis.bases.damped import DampedSinusoid
from nbeats_basis.bases.fourier import Fourier
from nbeats_basis.bases.implicit import Implicit
from nbeats_basis.bases.laguerre import Laguerre
from nbeats_basis.bases.learned import Learned
from nbeats_basis.bases.polynomial import Polynomial
from nbeats_basis.bases.radial import RadialBasis, RandomFourier
from nbeats_basis.bases.wavelet import Wavelet

__all__ = [
    "BSpline",
    "Basis",
    "Concatenate",
    "DampedSinusoid",
    "Fourier",
    "Implicit",
    "Laguerre",
    "Learned",
    "Polynomial",
    "RadialBasis",
    "RandomFourier",
    "Wavelet",
]
