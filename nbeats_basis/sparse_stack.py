"""Sparse blocks: the residual's coefficients are its sparse code in a dictionary, found by a pursuit."""

from types import NoneType

import keras
import tensorflow as tf

from nbeats_basis.bases import Basis, Fourier, Polynomial
from nbeats_basis.blocks import BasisBlock
from nbeats_basis.checks import check_int, check_type
from nbeats_basis.encoders import encode
from nbeats_basis.regression import expand
from nbeats_basis.sparse.unrolled import SLISTA, Unrolled
from nbeats_basis.stacks import Expansion


@keras.saving.register_keras_serializable(package="nbeats_basis")
class SparseBlock(BasisBlock):
    """One block whose coefficients are a sparse code: few functions of the dictionary explain the residual, the others get 0.

    The dictionary is evaluated at the times observed in each window, its functions scaled to unit norm there, cosine and sine of
    an oscillation by one factor: they are chosen together, by their amplitude, whatever the phase. The code serves backcast and
    forecast. Where a head needs more than a location, the network proposes the rest.

    Args:
        basis: the dictionary.
        pursuit: a layer of `nb.sparse`, unbuilt.
        units: width of the network. Defaults to 256.
        num_layers: number of ReLU layers, at least 1. Defaults to 4.
        num_params: P, parameters of the forecast's distribution, at least 1. Defaults to 1.

    Raises:
        ValueError: when built to read irregular times, with a pursuit that learns a row of weights for each observation.
    """

    def __init__(
        self,
        basis: Basis,
        pursuit: Unrolled,
        units: int = 256,
        num_layers: int = 4,
        num_params: int = 1,
        **kwargs,
    ):
        kwargs["coefficients"] = "regression"  # the location is found, not proposed
        super().__init__(basis, None, units, num_layers, num_params=num_params, **kwargs)
        self.pursuit = pursuit

    def build(self, times_shape, values_shape, observed_shape, query_times_shape, context_shape=None):
        """Create the weights of pursuit, dictionary and network."""
        if context_shape is not None and not self.pursuit.any_times:
            raise ValueError(
                f"`{type(self.pursuit).__name__}` learns a row of weights for each observation, so it needs a grid of steps. At "
                "irregular times use a pursuit that takes any, such as `SLISTA` or `ALISTA`."
            )
        super().build(times_shape, values_shape, observed_shape, query_times_shape, context_shape)
        self.pursuit.assign_members(self.seeds, f"{self.scope}/pursuit")
        cosines, sines, *_ = self.basis.oscillations()
        self.pursuit.pair(cosines, sines, self.basis.num_terms)
        self.pursuit.build(values_shape, (*values_shape, self.basis.num_terms))

    def _regresses(self, context_shape) -> bool:
        return False

    def designs(self, times, observed, query_times, origin=None, order: int = 0) -> dict:
        """Return the dictionary at all times, its norms at the observed ones, and what the pursuit reads of it there.

        Args:
            times: `(M or 1, B or 1, L)`.
            observed: `(M, B, L)`.
            query_times: `(M or 1, B or 1, H)`.
            origin: absolute time of t = 0, `(M or 1, B)`, for bases of calendar phase. Defaults to None.
            order: order of the forecast's derivative. Defaults to 0.
        """
        designs = super().designs(times, observed, query_times, origin, order)
        seen = designs["past"] * observed[..., None]
        squares = tf.reduce_sum(seen**2, axis=-2)
        squares = (squares + tf.gather(squares, self.pursuit.partner, axis=-1)) / 2
        safe = tf.sqrt(tf.where(squares > 1e-12, squares, 1))
        return {**designs, "given": self.pursuit.prepare(seen / safe[..., None, :]), "norms": safe}

    def codes(self, values, designs):
        """Return the sparse code `(M, B, K)`, of the functions as they are.

        Args:
            values: `(M, B, L)`, the residual, 0 where not observed.
            designs: of `designs`.
        """
        return self.pursuit.pursue(values, designs["given"]) / designs["norms"]

    def explain(self, values, designs: dict, context: dict | None = None) -> tuple:
        """Return the backcast and the codes, those of further parameters proposed.

        Args:
            values: `(M, B, L)`, the residual, 0 where not observed.
            designs: of `designs`.
            context: of an encoder. Defaults to None.
        """
        theta = [self.codes(values, designs)]
        if self.network is not None:
            read = values
            if context is not None:
                seen = tf.broadcast_to(designs["norms"] / (1 + designs["norms"]), tf.shape(theta[0]))
                read = tf.concat([theta[0], seen, encode(context, values)], axis=-1)
            theta += tf.split(self.network(read), self.num_params - 1, axis=-1)
        return expand(designs["past"], theta[0]), theta

    def get_config(self):
        """Return the constructor's arguments."""
        config = super().get_config()
        for name in ("backcast_basis", "coefficients", "offset"):
            del config[name]
        return {**config, "pursuit": keras.saving.serialize_keras_object(self.pursuit)}

    @classmethod
    def from_config(cls, config):
        """Rebuild dictionary and pursuit."""
        thaw = keras.saving.deserialize_keras_object
        return cls(**{**config, **{name: thaw(config[name]) for name in ("basis", "pursuit")}})


@keras.saving.register_keras_serializable(package="nbeats_basis")
class Sparse(Expansion):
    """Few functions out of a large dictionary, chosen anew for every window.

    Args:
        dictionary: a basis; None for a constant and harmonics of twice the length of window and horizon, finer than the window can tell
            apart. It should hold a constant: the residual of a window is counted from its last value. Defaults to None.
        pursuit: an unbuilt layer of `nb.sparse`; None for `nb.sparse.SLISTA`. Its thresholds are in the unit of the scaled
            values times the square root of their number. At irregular times one that learns no matrix. Defaults to None.
        atoms: harmonics' functions where no dictionary is given, at least 2. Defaults to 64.
        component: name of the component. Defaults to "sparse".
        num_blocks: number of blocks. Defaults to 1.
        units: width of the blocks' networks. Defaults to 128.
        num_layers: ReLU layers of the blocks' networks. Defaults to 4.
        shared_weights: True for one set of weights for all blocks. Defaults to False.

    Example:
        >>> import nbeats_basis as nb
        >>> nb.Sparse(atoms=32).component
        'sparse'
    """

    is_sparse = True  # most coefficients are 0

    basis_types = (Basis, NoneType)

    def __init__(
        self,
        dictionary: Basis | None = None,
        pursuit: Unrolled | None = None,
        atoms: int = 64,
        component: str = "sparse",
        num_blocks: int = 1,
        units: int = 128,
        num_layers: int = 4,
        shared_weights: bool = False,
        **kwargs,
    ):
        check_type("dictionary", dictionary, self.basis_types, "a basis")
        super().__init__(
            dictionary, component, num_blocks, units, num_layers, shared_weights, "regression", **kwargs
        )
        check_type("pursuit", pursuit, (Unrolled, NoneType), "an unrolled pursuit")
        self.pursuit, self.atoms = pursuit, check_int("atoms", atoms, 2)

    def copy(self, time_unit: str | None = None) -> "Sparse":
        """Return an unbuilt stack of the same arguments.

        Args:
            time_unit: unit that the dictionary counts durations in; None for its own. Defaults to None.
        """
        fresh = type(self).from_config(self.get_config())
        fresh.basis = self.basis and self.basis.copy(time_unit)
        return fresh

    def make_bases(self, lookback: float, horizon: float):
        """Return the dictionary."""
        if self.basis is not None:
            return self.basis.copy(), None
        return Polynomial(0) + Fourier([2.0 * (lookback + horizon)], self.atoms // 2), None

    def make_block(self, lookback: float, horizon: float, num_params: int) -> SparseBlock:
        """Return one block.

        Args:
            lookback: length of the window: L steps, an integer, or units of time, a float.
            horizon: length of the forecast: H steps, an integer, or units of time, a float.
            num_params: P, parameters of the forecast's distribution.
        """
        pursuit = self.pursuit or SLISTA(8, threshold=0.3)
        return SparseBlock(
            self.make_bases(lookback, horizon)[0],
            type(pursuit).from_config(pursuit.get_config()),
            units=self.units,
            num_layers=self.num_layers,
            num_params=num_params,
            dtype=self.dtype_policy,
        )

    def get_config(self):
        """Return the constructor's arguments."""
        config = keras.layers.Layer.get_config(self)
        names = ("atoms", "component", "num_blocks", "units", "num_layers", "shared_weights")
        freeze = keras.saving.serialize_keras_object
        return {
            **config,
            "dictionary": self.basis and freeze(self.basis),
            "pursuit": self.pursuit and freeze(self.pursuit),
            **{name: getattr(self, name) for name in names},
        }

    @classmethod
    def from_config(cls, config):
        """Rebuild dictionary and pursuit."""
        thaw = keras.saving.deserialize_keras_object
        parts = {name: config[name] and thaw(config[name]) for name in ("dictionary", "pursuit")}
        return cls(**{**config, **parts})
