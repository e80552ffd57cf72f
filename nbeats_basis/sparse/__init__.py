"""Sparse coding: proximal maps, penalties, solvers, and the lasso as a layer."""

from nbeats_basis.sparse.analytic import ALISTA, HyperLISTA
from nbeats_basis.sparse.continuous import ContinuousOMP, matrix_pencil
from nbeats_basis.sparse.entropy import entropic_code
from nbeats_basis.sparse.gated import GatedALISTA, GatedLISTA
from nbeats_basis.sparse.implicit import lasso
from nbeats_basis.sparse.layered import (
    MultilayerSolution,
    holistic_projection,
    layered_pursuit,
    multilayer_pursuit,
)
from nbeats_basis.sparse.learning import fit_dictionary, learn_dictionary
from nbeats_basis.sparse.lista import LISTA, LISTACP, LISTACPSS, AdaLISTA, TiLISTA
from nbeats_basis.sparse.multilayer import MLFISTA, MLISTA
from nbeats_basis.sparse.operators import Convolution
from nbeats_basis.sparse.path import Path, lasso_path
from nbeats_basis.sparse.penalties import L1, MCP, ElasticNet, GroupL1, Penalty
from nbeats_basis.sparse.pursuit import orthogonal_matching_pursuit
from nbeats_basis.sparse.solvers import Solution, solve
from nbeats_basis.sparse.stagewise import decibels, train_stagewise
from nbeats_basis.sparse.unrolled import SLISTA
from nbeats_basis.sparse.weights import analytic_weight

__all__ = [
    "ALISTA",
    "L1",
    "LISTA",
    "LISTACP",
    "LISTACPSS",
    "SLISTA",
    "MCP",
    "MLFISTA",
    "MLISTA",
    "AdaLISTA",
    "ContinuousOMP",
    "Convolution",
    "ElasticNet",
    "GatedALISTA",
    "GatedLISTA",
    "GroupL1",
    "HyperLISTA",
    "MultilayerSolution",
    "Path",
    "Penalty",
    "Solution",
    "TiLISTA",
    "analytic_weight",
    "decibels",
    "entropic_code",
    "fit_dictionary",
    "holistic_projection",
    "lasso",
    "lasso_path",
    "learn_dictionary",
    "layered_pursuit",
    "matrix_pencil",
    "multilayer_pursuit",
    "orthogonal_matching_pursuit",
    "solve",
    "train_stagewise",
]
