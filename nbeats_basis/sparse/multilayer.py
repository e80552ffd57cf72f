"""Multi-layer pursuits as layers: networks of dense or convolutional layers with ReLU, unfolded in time without new weights."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from nbeats_basis.checks import check_between, check_int
from nbeats_basis.members import MemberLayer
from nbeats_basis.sparse.operators import Convolution, Matrix, back_substitute, extrapolate, forward
from nbeats_basis.sparse.proximal import nonnegative_threshold, soft_threshold


@keras.saving.register_keras_serializable(package="nbeats_basis")
class MLISTA(MemberLayer):
    """ML-ISTA with learned dictionaries, thresholds and steps: a network of L layers, unfolded in time.

    Without unfoldings it is the plain stack of dense or convolutional layers with ReLU, the bias being minus the threshold and
    the step 1 at first. Each unfolding goes back from the deepest codes to all layers and codes again what is left of the
    values, g_i <- relu(e_i + step_i D_i' (g_{i-1} - D_i e_i) - threshold_i) with e_i = D_{i+1} ... D_L g_L; it adds no weight.

    Dictionaries are drawn normal and scaled to a largest singular value of 1.

    Args:
        atoms: number of atoms or filters of each dictionary, the one next to the values first.
        kernel_sizes: of each dictionary's filters; None for dense dictionaries. Defaults to None.
        strides: of each dictionary's filters; None for 1. Defaults to None.
        unfoldings: T, at least 0. Defaults to 6.
        threshold: of all atoms before training, at least 0, in the codes' unit. Defaults to 0.0.
        nonnegative: True for codes of at least 0, False for soft thresholding of both signs. Defaults to True.

    Call arguments:
        values: `(..., L)` for dense dictionaries, `(B, L, C)` for convolutional; members first, M or 1, where there are any.
        mask: as the values, 1 where observed, 0 elsewhere; None for all. Defaults to None.

    Returns:
        deepest codes: `(..., atoms[-1])`, or `(B, P, atoms[-1])`, P the length over all strides, rounded up each time.

    Raises:
        ValueError: lists of different lengths, or numbers out of range.

    Source: Sulam, Aberdam, Beck & Elad 2020, ML-ISTA as a network.
    """

    accelerated = False

    def __init__(
        self,
        atoms: Sequence[int],
        kernel_sizes: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        unfoldings: int = 6,
        threshold: float = 0.0,
        nonnegative: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.atoms = _integers("atoms", atoms)
        self.kernel_sizes = _integers("kernel_sizes", kernel_sizes, len(self.atoms))
        self.strides = _integers("strides", strides, len(self.atoms))
        if self.strides and not self.kernel_sizes:
            raise ValueError(
                f"`strides` are of filters: give `kernel_sizes` as well. Received: strides={strides!r}"
            )
        self.unfoldings = check_int("unfoldings", unfoldings, 0)
        self.threshold = check_between("threshold", threshold, 0, np.inf)
        self.nonnegative = bool(nonnegative)

    def build(self, values_shape, mask_shape=None):
        """Create the weights: of every dictionary the atoms, a threshold an atom, and a step."""
        below, self.layers = values_shape[-1], []
        for i, atoms in enumerate(self.atoms):
            width = self.kernel_sizes[i : i + 1] if self.kernel_sizes else []
            self.layers.append(
                {
                    "dictionary": self.member_weight(f"dictionary{i}", (*width, below, atoms), _draw),
                    "threshold": self.member_weight(
                        f"threshold{i}", (atoms,), lambda rng, shape: np.full(shape, self.threshold)
                    ),
                    "step": self.member_weight(f"step{i}", (), lambda rng, shape: np.ones(shape)),
                }
            )
            below = atoms

    def call(self, values, mask=None):
        """Return the deepest codes."""
        values = tf.cast(values, self.compute_dtype)
        if mask is not None:
            mask = tf.cast(mask, values.dtype)
            values = tf.where(mask > 0, values, 0)
        weights = [{k: tf.cast(w, values.dtype) for k, w in layer.items()} for layer in self.layers]
        if self.seeds is None:
            return self._code(values, mask, weights)
        members = []
        for m in range(len(self.seeds)):
            own = [{k: w[m] for k, w in layer.items()} for layer in weights]
            members.append(self._code(_member(values, m), None if mask is None else _member(mask, m), own))
        return tf.stack(members)

    def _code(self, values, mask, weights):
        """Return the deepest codes of one member."""
        dictionaries, steps = self._dictionaries(values, weights), [w["step"] for w in weights]
        threshold = nonnegative_threshold if self.nonnegative else soft_threshold

        def shrink(i, codes):
            return threshold(codes, weights[i]["threshold"])

        codes = forward(values, None, dictionaries, steps, shrink)[-1]
        point, momentum = extrapolate(codes, codes, 1.0)
        for _ in range(self.unfoldings):
            estimates, previous = back_substitute(point, dictionaries), codes
            codes = point = forward(values, estimates, dictionaries, steps, shrink, mask)[-1]
            if self.accelerated:
                point, momentum = extrapolate(codes, previous, momentum)
        return codes

    def _dictionaries(self, values, weights) -> list:
        """Return the dictionaries, the convolutional ones with the lengths that belong to the values."""
        if not self.kernel_sizes:
            return [Matrix(w["dictionary"]) for w in weights]
        length, dictionaries = keras.ops.shape(values)[-2], []
        for w, stride in zip(weights, self.strides or [1] * len(weights), strict=True):
            dictionaries.append(Convolution(w["dictionary"], stride, length))
            length = -(-length // stride)
        return dictionaries

    def get_config(self):
        """Return the constructor's arguments."""
        names = ("atoms", "kernel_sizes", "strides", "unfoldings", "threshold", "nonnegative")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="nbeats_basis")
class MLFISTA(MLISTA):
    """`MLISTA` whose unfoldings go on from a point beyond the deepest codes, as FISTA does.

    Source: Sulam, Aberdam, Beck & Elad 2020, ML-FISTA as a network.
    """

    accelerated = True


def _integers(name: str, values, count: int | None = None) -> list[int] | None:
    """Return positive integers as a list of `count`; None stays None where a count is given."""
    if values is None and count is not None:
        return None
    values = [check_int(name, value) for value in values]
    if not values or count not in (None, len(values)):
        wanted = "at least one number" if count is None else f"{count} numbers, one for each of `atoms`"
        raise ValueError(f"`{name}` must have {wanted}. Received: {name}={values}")
    return values


def _draw(rng, shape):
    """Return a normal dictionary, scaled to a largest singular value of 1; a filter's is that of its frequency response."""
    atoms = rng.normal(size=shape)
    response = np.fft.rfft(atoms, 8 * shape[0], axis=0) if len(shape) == 3 else atoms
    return atoms / np.linalg.norm(response, 2, axis=(-2, -1)).max()


def _member(tensor, m: int):
    """Return the slice of member m, or the one for all."""
    return tensor[min(m, tensor.shape[0] - 1)]
