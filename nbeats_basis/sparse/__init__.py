"""Sparse coding: proximal maps, penalties, solvers, and the lasso as a layer."""

from nbeats_basis.sparse.implicit import lasso
from nbeats_basis.sparse.penalties import L1, MCP, ElasticNet, GroupL1, Penalty
from nbeats_basis.sparse.pursuit import orthogonal_matching_pursuit
from nbeats_basis.sparse.solvers import Solution, solve

__all__ = [
    "L1",
    "MCP",
    "ElasticNet",
    "GroupL1",
    "Penalty",
    "Solution",
    "lasso",
    "orthogonal_matching_pursuit",
    "solve",
]
