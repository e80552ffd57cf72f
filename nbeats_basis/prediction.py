"""Forecasts, slopes and smooths of a panel, in bounded batches, by functions compiled once."""

from functools import partial

import numpy as np
import tensorflow as tf

from nbeats_basis.atoms import atoms
from nbeats_basis.network import Network
from nbeats_basis.observations import Observations
from nbeats_basis.panel import Panel
from nbeats_basis.queries import Queries

_BATCH = 2048  # windows times members in one batch
_TIMES = 64  # times asked of each window of a full batch
_MATRICES = 2**24  # numbers in the matrices of a batch's regressions


class Predictor:
    """A network's answers to queries of a panel.

    Args:
        net: the network.
        max_points: most observations of a window at irregular times.
    """

    def __init__(self, net: Network, max_points: int):
        self.net, self.max_points = net, max_points
        self._functions: dict = {}
        matrices = [each.members * stack.num_regressed**2 for each in net.networks() for stack in each.stacks]
        self._most = max(1, _MATRICES // max(1, *matrices))

    @property
    def num_traces(self) -> int:
        """How often a function was traced."""
        return sum(f.experimental_get_tracing_count() for f in self._functions.values())

    def forecast(self, panel: Panel, queries: Queries, levels: list[float]) -> dict:
        """Return `mean` `(N,)`, and with levels `quantiles` `(N, Q)`.

        Args:
            panel: the series.
            queries: N times asked.
            levels: Q probabilities in (0, 1).

        Raises:
            ValueError: levels of a point head.
        """
        if not levels:
            return self._answer("forecast", lambda inputs: self._chosen(inputs, ["mean"]), panel, queries)
        if not self.net.head.is_distribution:
            raise ValueError(
                "`level` and `quantiles` need a head that gives a distribution, such as `heads.StudentT()`. "
                f"Received: head={self.net.head!r}"
            )
        names = ["mean", "quantiles"]
        levels = tf.constant(levels, "float64")
        return self._answer(
            "quantiles", lambda inputs, levels: self._chosen(inputs, names, levels), panel, queries, levels
        )

    def components(self, panel: Panel, queries: Queries) -> dict:
        """Return `mean` `(N,)` and `components` `(N, 1 + C)`.

        Args:
            panel: the series.
            queries: N times asked.
        """
        names = ["mean", "components"]
        return self._answer("components", lambda inputs: self._chosen(inputs, names), panel, queries)

    def derivative(self, panel: Panel, queries: Queries, order: int) -> dict:
        """Return the derivatives of `mean` `(N,)` and `components` `(N, 1 + C)`.

        Args:
            panel: the series.
            queries: N times asked.
            order: order of the derivative, at least 1.
        """
        return self._answer(
            f"derivative {order}", lambda inputs: self.net.derivative(inputs, order), panel, queries
        )

    def smooth(self, panel: Panel, first: Queries, second: Queries, share: np.ndarray) -> dict:
        """Return what the stacks explain at times inside the windows: `mean` `(N,)` and `components` `(N, 1 + C)`.

        Args:
            panel: the series, of a `Clock`.
            first: N times asked, not after the windows' ends.
            second: the same times, asked of other windows.
            share: `(N,)`, of the second in the answer.
        """
        answers = [self._answer("smooth", self._smooth, panel, queries) for queries in (first, second)]
        return {
            k: v + np.reshape(share, (-1, *[1] * (v.ndim - 1))) * (answers[1][k] - v)
            for k, v in answers[0].items()
        }

    def atoms(self, panel: Panel, queries: Queries) -> dict:
        """Return the atoms of each window, `(N, M, blocks, atoms, 5)` by component: see `atoms.atoms`.

        Args:
            panel: the series.
            queries: one time asked of each of N windows.
        """
        return self._answer("atoms", lambda inputs: atoms(self.net, inputs), panel, queries)

    def _chosen(self, inputs: dict, names: list[str], levels=()) -> dict:
        """Return some of the forecast; the rest is not computed."""
        forecast = self.net.forecast(inputs, levels)
        return {name: forecast[name] for name in names}

    def _smooth(self, inputs: dict) -> dict:
        """Add the times asked to the window, not observed, and read them off."""
        inputs = dict(inputs)
        query = inputs.pop("query_times")
        inputs["values"] = tf.concat(
            [inputs["values"], tf.fill(tf.shape(query), tf.constant(np.nan, "float64"))], 1
        )
        inputs["times"] = tf.concat([inputs["times"], tf.cast(query, "float32")], 1)
        return {key: value[:, -tf.shape(query)[1] :] for key, value in self.net.smooth(inputs).items()}

    def _answer(self, name: str, function, panel: Panel, queries: Queries, *args) -> dict:
        most = _BATCH if self.net.encoder is not None else 4 * _BATCH  # a grid's windows are small
        size = max(1, most * _TIMES // max(_TIMES, queries.times.shape[-1]) // self.net.members)
        size = min(size, self._most)
        history = self._history(panel, queries)

        def batches():
            for windows, times, starts in queries.batches(size):
                inputs = {**history(windows, starts), "query_times": tf.constant(times, "float64")}
                out = self._compiled(name, function, inputs, args)(inputs, *args)
                yield {key: value.numpy() for key, value in out.items()}

        return queries.collect(batches())

    def _compiled(self, name: str, function, inputs: dict, args):
        """Return the function compiled for batches of any size; one for times shared by the windows, one for others."""
        key = (name, inputs["query_times"].shape.rank)
        if key not in self._functions:
            spec = {k: tf.TensorSpec([None] * v.shape.rank, v.dtype) for k, v in inputs.items()}
            if self.net.encoder is None:
                spec["values"] = tf.TensorSpec((None, self.net.window), tf.float64)
            signature = [spec, *(tf.TensorSpec([None] * a.shape.rank, a.dtype) for a in args)]
            # a partial is no code: TensorFlow counts traces by code, and would warn of the next forecaster's
            self._functions[key] = tf.function(partial(function), input_signature=signature, autograph=False)
        return self._functions[key]

    def _history(self, panel: Panel, queries: Queries):
        """Return a function of windows' ends, and empty windows' times, that gives the network's inputs."""
        if self.net.encoder is not None:
            observations = Observations(panel, self.net.window, self.max_points)
            asked = queries.windows[queries.windows >= 0]
            observations.warn_if_thinned(asked, self.max_points, stacklevel=5)
            return observations.history
        return lambda windows, starts: {"values": tf.constant(panel.tails(self.net.window, windows))}
