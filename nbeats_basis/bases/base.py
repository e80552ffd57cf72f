"""The contract of a basis: K functions of continuous time, with derivatives."""

import keras
import numpy as np
from keras import ops

from nbeats_basis.checks import check_int
from nbeats_basis.members import MemberLayer


class Basis(MemberLayer):
    r"""K real functions of time, b_1(t), ..., b_K(t), defined for every real t.

    A new basis sets `num_terms` and implements `evaluate(times, order)`; this class gives it the call, the derivative,
    `+` and the checks. A basis that depends on absolute time implements `evaluate_from` instead. Weights, if any, are
    made in `build` with `member_weight`; inside a network they carry a leading member axis, and so do the values: times
    `(M or 1, B or 1, T)` give `(M, B or 1, T, K)`.

    Call arguments:
        times: `(..., T)` floating point, any unit; the result has the same dtype.
        origin: absolute time of t = 0, `(...)`, float64; only bases of calendar phase read it. Defaults to None, 0.

    Returns:
        `(..., T, K)`.
    """

    @property
    def num_terms(self) -> int:
        """K, the number of functions."""
        raise NotImplementedError(f"{type(self).__name__} must define `num_terms`.")

    def evaluate(self, times, order: int):
        """Return the `order`-th derivative of every function at `times`, `(..., T, K)`.

        Args:
            times: tensor `(..., T)`.
            order: order of the derivative, 0 for the functions themselves.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `evaluate`.")

    def evaluate_from(self, times, order: int, origin):
        """Return `evaluate(times, order)`; a basis of calendar phase overrides this.

        Args:
            times: tensor `(..., T)`.
            order: order of the derivative, 0 for the functions themselves.
            origin: absolute time of t = 0, `(...)`, or None for 0.
        """
        return self.evaluate(times, order)

    def pieces(self, times, order: int, origin) -> list:
        """Return `evaluate_from(times, order, origin)` as a list of `(..., k, T)`, the K functions in order.

        A basis computed function by function overrides this, so that a sum of bases copies its values once.

        Args:
            times: tensor `(..., T)`.
            order: order of the derivative, 0 for the functions themselves.
            origin: absolute time of t = 0, `(...)`, or None for 0.
        """
        return [ops.swapaxes(self.evaluate_from(times, order, origin), -1, -2)]

    def __call__(self, times, origin=None):
        """Return the functions at `times`, `(..., T, K)`; lists and integers are welcome, as float32: give larger than 2^24 as float64."""
        return super().__call__(_as_float(times), origin)

    def call(self, times, origin=None):
        """Return the functions at `times`, `(..., T, K)`."""
        return self.evaluate_from(times, 0, origin)

    def derivative(self, times, order: int = 1, origin=None):
        """Return the derivatives at `times`, `(..., T, K)`, per unit of time to the power `order`.

        Args:
            times: tensor `(..., T)`.
            order: order of the derivative, at least 0. Defaults to 1.
            origin: as for a call. Defaults to None.
        """
        times = _as_float(times)
        if not self.built:
            self(times)
        return self.evaluate_from(times, check_int("order", order, 0), origin)

    def oscillations(self) -> tuple:
        """Return which functions are cosine and sine of one oscillation, and how it turns and decays; none unless overridden.

        Returns:
            numbers of the cosines and of the sines, `(n,)` each, and frequencies and decays per unit of time, `(n,)` or, where
            members learn their own, `(M, n)`.
        """
        return np.zeros(0, int), np.zeros(0, int), ops.zeros((0,)), ops.zeros((0,))

    def copy(self, time_unit: str | None = None) -> "Basis":
        """Return an unbuilt basis of the same arguments.

        Args:
            time_unit: unit that durations such as "7D" are counted in; None keeps the basis' own. Defaults to None.
        """
        return type(self).from_config(self.get_config())

    def build(self, times_shape, origin_shape=None):
        """Create no weights; a basis with weights overrides this."""

    def compute_output_shape(self, times_shape, origin_shape=None):
        """Return `(..., T, K)`."""
        members = () if self.seeds is None or not self.weights else (len(self.seeds),)
        return (*members, *times_shape[len(members) :], self.num_terms)

    def __add__(self, other: "Basis") -> "Concatenate":
        """Return the basis of the functions of both."""
        if not isinstance(other, Basis):
            return NotImplemented
        return Concatenate([*_parts(self), *_parts(other)])


@keras.saving.register_keras_serializable(package="nbeats_basis")
class Concatenate(Basis):
    """The functions of several bases, one after another: what `+` returns.

    Args:
        bases: list of bases, at least one.

    Example:
        >>> import nbeats_basis as nb
        >>> basis = nb.bases.Polynomial(1) + nb.bases.Fourier([12], harmonics=2)
        >>> basis.num_terms
        6
    """

    def __init__(self, bases: list[Basis], **kwargs):
        super().__init__(**kwargs)
        self.bases = list(bases)

    @property
    def num_terms(self) -> int:
        """Sum of the parts' numbers of functions."""
        return sum(basis.num_terms for basis in self.bases)

    def assign_members(self, seeds, scope: str) -> None:
        """Assign the members to every part."""
        super().assign_members(seeds, scope)
        for i, basis in enumerate(self.bases):
            basis.assign_members(seeds, f"{scope}/{i}")

    def copy(self, time_unit: str | None = None) -> "Concatenate":
        """Return an unbuilt basis of the same arguments.

        Args:
            time_unit: as for any basis. Defaults to None.
        """
        return Concatenate([basis.copy(time_unit) for basis in self.bases])

    def build(self, times_shape, origin_shape=None):
        """Build the parts."""
        for basis in self.bases:
            if not basis.built:
                basis.build(times_shape)

    def evaluate_from(self, times, order: int, origin):
        """Concatenate the parts' values on the last axis."""
        return join([piece for basis in self.bases for piece in basis.pieces(times, order, origin)])

    def oscillations(self) -> tuple:
        """Return the oscillations of all parts."""
        parts = [basis.oscillations() for basis in self.bases]
        first = np.cumsum([0, *(basis.num_terms for basis in self.bases)])
        cosines, sines = (
            np.concatenate([start + part[i] for start, part in zip(first, parts, strict=False)])
            for i in (0, 1)
        )
        members = max(tuple(part[2].shape[:-1]) for part in parts)
        rates = [
            ops.concatenate(
                [ops.broadcast_to(part[i], (*members, part[i].shape[-1])) for part in parts], axis=-1
            )
            for i in (2, 3)
        ]
        return cosines, sines, *rates

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "bases": [keras.saving.serialize_keras_object(b) for b in self.bases]}

    @classmethod
    def from_config(cls, config):
        """Rebuild the parts from their configurations."""
        bases = [keras.saving.deserialize_keras_object(b) for b in config["bases"]]
        return cls(**{**config, "bases": bases})


def join(pieces: list):
    """Return the functions of pieces `(..., k, T)` together, `(..., T, K)`, a function's values side by side in memory.

    Args:
        pieces: list of tensors, at least one.
    """
    return ops.swapaxes(ops.concatenate(_same_batch(pieces), axis=-2), -1, -2)


def _parts(basis: Basis) -> list[Basis]:
    return basis.bases if isinstance(basis, Concatenate) else [basis]


def _same_batch(values: list) -> list:
    """Return the values with leading axes of size 1 repeated where a part has more: members, or windows' origins."""
    for axis in range(len(values[0].shape) - 2):
        sizes = [v.shape[axis] for v in values]
        if len(set(sizes)) > 1:
            widest = values[next(i for i, size in enumerate(sizes) if size != 1)]
            count = ops.shape(widest)[axis]
            values = [v if v.shape[axis] != 1 else ops.repeat(v, count, axis=axis) for v in values]
    return values


def _as_float(times):
    times = ops.convert_to_tensor(times)
    return times if keras.backend.is_float_dtype(times.dtype) else ops.cast(times, "float32")
