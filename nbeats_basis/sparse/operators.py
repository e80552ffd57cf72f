"""Dictionaries as linear operators, dense or convolutional, and a pass of proximal steps through several in a row."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from nbeats_basis.checks import check_int


class Matrix:
    """A dense dictionary, one atom a column.

    Args:
        matrix: `(L, K)`.
    """

    rank = 1  # of one signal and of its codes

    def __init__(self, matrix):
        self.weight = tf.convert_to_tensor(matrix)

    def apply(self, codes):
        """Return D x, `(..., L)`.

        Args:
            codes: `(..., K)`.
        """
        return tf.tensordot(codes, self.weight, [[-1], [1]])

    def adjoint(self, values):
        """Return D' y, `(..., K)`.

        Args:
            values: `(..., L)`.
        """
        return tf.tensordot(values, self.weight, 1)


class Convolution:
    """A convolutional dictionary: the atoms are the filters at every `stride`-th place.

    The adjoint is the correlation that `keras.layers.Conv1D(padding="same")` computes, with a kernel of the same layout.

    Args:
        kernel: `(width, C, K)`.
        stride: distance of the atoms' places, at least 1. Defaults to 1.
        length: L of the values; None for `stride` times that of the codes. Defaults to None.
    """

    rank = 2

    def __init__(self, kernel, stride: int = 1, length=None):
        self.weight, self.stride, self.length = (
            tf.convert_to_tensor(kernel),
            check_int("stride", stride),
            length,
        )

    def apply(self, codes):
        """Return D x, `(..., L, C)`.

        Args:
            codes: `(..., P, K)`, P the length over the stride, rounded up.
        """
        if len(codes.shape) != 3:
            return _by_batch(self.apply, codes)
        count, places, _ = keras.ops.shape(codes)
        length = places * self.stride if self.length is None else self.length
        shape = (count, length, self.weight.shape[1])
        return tf.nn.conv1d_transpose(codes, self.weight, shape, self.stride, "SAME")

    def adjoint(self, values):
        """Return D' y, `(..., P, K)`.

        Args:
            values: `(..., L, C)`.
        """
        if len(values.shape) != 3:
            return _by_batch(self.adjoint, values)
        return tf.nn.conv1d(values, self.weight, self.stride, "SAME")


def _by_batch(function: Callable, signals):
    """Return a function of `(N, L, C)` at `(..., L, C)`."""
    shape = keras.ops.shape(signals)
    outcome = function(tf.reshape(signals, (-1, *shape[-2:])))
    return tf.reshape(outcome, (*shape[:-2], *keras.ops.shape(outcome)[1:]))


def forward(values, estimates, dictionaries, steps, shrink: Callable, mask=None) -> list:
    """Return codes of all layers by a proximal step in each, from the first to the deepest.

    g_i <- shrink(i, e_i + step_i D_i' (g_{i-1} - D_i e_i)), g_0 being the values.

    Args:
        values: y, `(..., L)` or `(..., L, C)`, 0 where not observed.
        estimates: e_i of every layer, or None for 0.
        dictionaries: `Matrix` or `Convolution`, the first one's values first.
        steps: one a layer, above 0.
        shrink: `shrink(i, codes) -> codes`, i = 0, 1, ...
        mask: as the values, 1 where observed; None for all. Defaults to None.
    """
    codes, below = [], values
    for i, (dictionary, step) in enumerate(zip(dictionaries, steps, strict=True)):
        if estimates is None:
            moved = step * dictionary.adjoint(below)
        else:
            residual = below - dictionary.apply(estimates[i])
            if i == 0 and mask is not None:
                residual *= mask
            moved = estimates[i] + step * dictionary.adjoint(residual)
        below = shrink(i, moved)
        codes.append(below)
    return codes


def back_substitute(deepest, dictionaries) -> list:
    """Return D^(i+1,L) g_L of every layer i = 1, ..., L.

    Args:
        deepest: g_L.
        dictionaries: `Matrix` or `Convolution`.
    """
    codes = [deepest]
    for dictionary in dictionaries[:0:-1]:
        codes.insert(0, dictionary.apply(codes[0]))
    return codes


def extrapolate(codes, previous, momentum):
    """Return the point where an accelerated iteration goes on, and the momentum then.

    Args:
        codes: the latest.
        previous: those before.
        momentum: t_k, 1 at first.

    Source: Beck & Teboulle 2009, equations 4.2 and 4.3.
    """
    after = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
    return codes + (momentum - 1) / after * (codes - previous), after


def flat(signals, rank: int):
    """Return signals or codes as vectors, `(..., N)`.

    Args:
        signals: `(..., N)` or `(..., L, C)`.
        rank: 1 or 2, the axes of one signal.
    """
    shape = keras.ops.shape(signals)
    return tf.reshape(signals, (*shape[:-rank], -1 if rank == 2 else shape[-1]))


def written_out(dictionaries, shape) -> list:
    """Return D^(1,L), D^(2,L), ..., D_L as matrices `(N, K)`, D^(i,L) being D_i ... D_L.

    Args:
        dictionaries: `Matrix` or `Convolution`.
        shape: of the deepest codes of one signal.
    """
    size = int(np.prod(shape))
    unit = tf.reshape(tf.eye(size, dtype=dictionaries[0].weight.dtype), (size, *shape))
    codes = back_substitute(unit, dictionaries)
    images = [dictionaries[0].apply(codes[0]), *codes[:-1]]
    return [tf.transpose(flat(image, dictionaries[0].rank)) for image in images]
