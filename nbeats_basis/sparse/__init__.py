"""Sparse coding: proximal maps, penalties, solvers, and the lasso as a layer."""

from nbeats_basis.sparse.analytic import ALISTA, HyperLISTA, analytic_weight
from nbeats_basis.sparse.continuous import ContinuousOMP, matrix_pencil
from nbeats_basis.sparse.entropy import entropic_code
from nbeats_basis.sparse.implicit import lasso
from nbeats_basis.sparse.path import Path, lasso_path
from nbeats_basis.sparse.penalties import L1, MCP, ElasticNet, GroupL1, Penalty
from nbeats_basis.sparse.pursuit import orthogonal_matching_pursuit
from nbeats_basis.sparse.solvers import Solution, solve
from nbeats_basis.sparse.stagewise import decibels, train_stagewise
from nbeats_basis.sparse.unrolled import LISTA, LISTACP, LISTACPSS, SLISTA, AdaLISTA, GatedLISTA, TiLISTA

__all__ = [
    "ALISTA",
    "L1",
    "LISTA",
    "LISTACP",
    "LISTACPSS",
    "SLISTA",
    "MCP",
    "AdaLISTA",
    "ContinuousOMP",
    "ElasticNet",
    "GatedLISTA",
    "GroupL1",
    "HyperLISTA",
    "Path",
    "Penalty",
    "Solution",
    "TiLISTA",
    "analytic_weight",
    "decibels",
    "entropic_code",
    "lasso",
    "lasso_path",
    "matrix_pencil",
    "orthogonal_matching_pursuit",
    "solve",
    "train_stagewise",
]
