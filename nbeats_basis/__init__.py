"""Forecasts as sums of basis expansions of continuous time."""
from nbeats_basis import bases

