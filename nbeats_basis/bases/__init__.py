"""Bases: sets of functions of continuous time, with derivatives."""

from nbeats_basis.bases.base import Basis, Concatenate
from nbeats_basis.bases.bspline import BSpline
from nbeats_basis.bases.fourier import Fourier
from nbeats_basis.bases.learned import Learned
from nbeats_basis.bases.polynomial import Polynomial

__all__ = ["BSpline", "Basis", "Concatenate", "Fourier", "Learned", "Polynomial"]
