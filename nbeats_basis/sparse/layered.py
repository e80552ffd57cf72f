"""Multi-layer sparse coding: y = D_1 g_1, g_1 = D_2 g_2, ..., every g_i sparse, the dictionaries dense or convolutional.

D^(i,L) is D_i ... D_L. A multi-layer basis pursuit minimises over the deepest codes g_L
|y - D^(1,L) g_L|^2 / 2 + sum over i < L of penalty_i(D^(i+1,L) g_L) + penalty_L(g_L).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from nbeats_basis.checks import check_choice, check_int
from nbeats_basis.sparse.operators import (
    Convolution,
    Matrix,
    back_substitute,
    extrapolate,
    flat,
    forward,
    written_out,
)
from nbeats_basis.sparse.penalties import Penalty
from nbeats_basis.sparse.proximal import in_dtype
from nbeats_basis.sparse.solvers import solve


@dataclass(frozen=True)
class MultilayerSolution:
    """Codes of all layers, and how the objective fell.

    Attributes:
        codes: g_1, ..., g_L, each `(..., K)` or `(..., P, K)`. Every one has been thresholded, so that g_i is only near
            D_(i+1) g_(i+1).
        objective: `(iterations, ...)`, of the deepest codes alone after every iteration.
    """

    codes: tuple
    objective: tf.Tensor


def multilayer_pursuit(
    values,
    dictionaries: Sequence,
    penalties: Sequence[Penalty],
    mask=None,
    solver: str = "fista",
    iterations: int = 100,
    steps: Sequence[float] | None = None,
) -> MultilayerSolution:
    """Return the codes of a multi-layer basis pursuit by nested proximal steps, from 0.

    The threshold of layer i is step_1 ... step_i times the strength of its penalty. The iteration ends near a fixed point; that
    is a minimiser for one dictionary, and the nearer to one the smaller the steps before the deepest layer.

    Args:
        values: y, `(..., L)`, or `(..., L, C)` for convolutional dictionaries.
        dictionaries: the one next to the values first, floating point; matrices `(L, K)`, or kernels `(width, C, K)`, or
            `Convolution` for a stride.
        penalties: one a dictionary; of convolutional codes at each place, where a strength of each signal is `(..., 1, 1)`.
        mask: as the values, 1 where observed, 0 elsewhere; None for all. Defaults to None.
        solver: "fista", accelerated, or "ista". Defaults to "fista".
        iterations: at least 1. Defaults to 100.
        steps: one a dictionary, above 0; None for 1 / |D_i|^2. Defaults to None.

    Raises:
        ValueError: an unknown solver, numbers out of range, or penalties or steps that are not as many as the dictionaries.

    Source: Sulam, Aberdam, Beck & Elad 2020, algorithms 1 (ML-ISTA) and 2 (ML-FISTA).
    """
    check_choice("solver", solver, ("fista", "ista"))
    check_int("iterations", iterations)
    dictionaries, values, mask = _prepare(values, dictionaries, penalties, mask)
    if steps is not None and len(steps) != len(dictionaries):
        raise ValueError(
            f"`steps` must be one for each of {len(dictionaries)} dictionaries. Received: {steps!r}"
        )

    def shrink(i, codes):
        return penalties[i].prox(codes, totals[i])

    def body(k, codes, point, momentum, objective):
        following = forward(values, back_substitute(point, dictionaries), dictionaries, steps, shrink, mask)
        deepest, objective = following[-1], objective.write(k, value(following[-1]))
        if solver == "ista":
            return k + 1, following, deepest, momentum, objective
        return k + 1, following, *extrapolate(deepest, codes[-1], momentum), objective

    def value(deepest):
        return _objective(values, deepest, dictionaries, penalties, mask)

    start = _zeros(values, dictionaries)
    if steps is None:
        steps = [_step(d, codes) for d, codes in zip(dictionaries, start, strict=True)]
    steps = [in_dtype(step, values.dtype) for step in steps]
    totals = tf.unstack(tf.math.cumprod(tf.stack(steps)))
    _, codes, _, _, objective = tf.while_loop(
        lambda k, *_: k < iterations,
        body,
        (0, start, start[-1], tf.ones([], values.dtype), tf.TensorArray(values.dtype, iterations)),
    )
    return MultilayerSolution(tuple(codes), objective.stack())


def layered_pursuit(
    values,
    dictionaries: Sequence,
    penalties: Sequence[Penalty],
    mask=None,
    tolerance: float = 1e-6,
    max_iterations: int = 10_000,
) -> tuple:
    """Return the codes of all layers by a lasso in each: those of one layer are the values of the next.

    A convolutional dictionary is written out as a matrix of all places.

    Args:
        values: as for `multilayer_pursuit`.
        dictionaries: as for `multilayer_pursuit`.
        penalties: one a dictionary, on all codes of a layer as one vector.
        mask: as the values, 1 where observed, 0 elsewhere; None for all. Defaults to None.
        tolerance: largest gap in any layer, as for `solve`. Defaults to 1e-06.
        max_iterations: most iterations in a layer. Defaults to 10000.

    Raises:
        ValueError: numbers out of range, or penalties that are not as many as the dictionaries.

    Source: Papyan, Romano & Elad 2017, layered basis pursuit.
    """
    dictionaries, below, mask = _prepare(values, dictionaries, penalties, mask)
    limits, all_codes = {"tolerance": tolerance, "max_iterations": max_iterations}, []
    for dictionary, zero, penalty in zip(dictionaries, _zeros(below, dictionaries), penalties, strict=True):
        shape, rank = keras.ops.shape(zero), dictionary.rank
        design = written_out([dictionary], shape[-rank:])[0]
        observed = None if mask is None or all_codes else flat(mask, rank)
        codes = solve(design, flat(below, rank), penalty, observed, **limits).codes
        below = tf.reshape(codes, shape)
        all_codes.append(below)
    return tuple(all_codes)


def holistic_projection(values, dictionaries: Sequence, support, zeros: Sequence, mask=None):
    """Return the deepest codes that fit best among those of a support for which given codes of the layers before are 0.

    Minimises |W (y - D^(1,L) g)|^2 over g_j = 0 outside S and (D^(i+1,L) g)_j = 0 in Lambda_i, the shortest such g where several
    are. With s codes in S and zero rows of rank r on them, noise enters by s - r numbers instead of s. The gradient in values and
    dictionaries is exact for changes that keep that rank.

    Args:
        values: as for `multilayer_pursuit`.
        dictionaries: as for `multilayer_pursuit`.
        support: S, `(..., K)` or `(..., P, K)`, 1 where the deepest codes may differ from 0.
        zeros: Lambda_i for every layer but the deepest, as its codes, 1 where they are 0.
        mask: as the values, 1 where observed, 0 elsewhere; None for all. Defaults to None.

    Raises:
        ValueError: `zeros` that are not one fewer than the dictionaries.

    Source: Aberdam, Sulam & Elad 2019, the projection of holistic pursuit.
    """
    dictionaries, values, mask = _prepare(values, dictionaries, None, mask)
    if len(zeros) != len(dictionaries) - 1:
        raise ValueError(
            f"`zeros` must be one for every layer but the deepest of {len(dictionaries)}. Received: {len(zeros)}"
        )
    rank, shape = dictionaries[0].rank, keras.ops.shape(support)[-dictionaries[0].rank :]
    vectors = [flat(tf.cast(x, values.dtype), rank) for x in (values, support, *zeros)]
    batch = tf.shape(vectors[0])[:-1]
    for x in vectors[1:]:
        batch = tf.broadcast_dynamic_shape(batch, tf.shape(x)[:-1])
    values, support, *zeros = (tf.broadcast_to(x, tf.concat([batch, tf.shape(x)[-1:]], 0)) for x in vectors)
    design, *rows = written_out(dictionaries, shape)
    if mask is not None:
        design *= flat(mask, rank)[..., None]
    rows = [row / tf.reduce_max(tf.abs(row)) for row in rows]  # beside the ones of the support
    rows = [zero[..., None] * row * support[..., None, :] for zero, row in zip(zeros, rows, strict=True)]
    rows = tf.concat([tf.linalg.diag(1 - support), *rows], axis=-2)
    codes = _constrained_least_squares(design, rows, values)
    return tf.reshape(codes * support, tf.concat([batch, shape], 0))


def _constrained_least_squares(design, rows, values):
    """Return the shortest x that minimises |y - Phi x|^2 over A x = 0, `(..., K)`.

    The solution is found with all held fixed and followed by a Newton step, which changes nothing but carries the gradient of
    the optimality conditions Phi'(y - Phi x) = A' nu, A x = 0.

    Args:
        design: Phi, `(..., L, K)`.
        rows: A, `(..., R, K)`, R >= K.
        values: y, `(..., L)`.
    """
    matvec, adjoint = tf.linalg.matvec, lambda matrix, x: tf.linalg.matvec(matrix, x, transpose_a=True)
    held, signals = tf.stop_gradient(design), tf.stop_gradient(values)
    singular, left, right = tf.linalg.svd(tf.stop_gradient(rows))
    tolerance = 10 * rows.shape[-2] * np.finfo(values.dtype.as_numpy_dtype).eps * singular[..., :1]
    kept = tf.cast(singular > tolerance, values.dtype)
    scaled = right * (kept / tf.where(kept > 0, singular, 1))[..., None, :]
    inverse = tf.matmul(scaled, left, transpose_b=True)  # A^+
    free = right * (1 - kept)[..., None, :]  # A x = 0 is their span
    solver = tf.matmul(free, tf.linalg.pinv(tf.matmul(held, free)))  # x = H y; H H' inverts the Hessian
    codes = matvec(solver, signals)
    force = adjoint(inverse, adjoint(held, signals - matvec(held, codes)))  # nu
    uphill = adjoint(design, values - matvec(design, codes)) - adjoint(rows, force)  # 0
    astray = matvec(inverse, matvec(rows, codes))  # 0
    return codes + matvec(solver, adjoint(solver, uphill) + matvec(held, astray)) - astray


def _prepare(values, dictionaries, penalties, mask) -> tuple:
    """Return dictionaries as operators, values that are 0 where not observed, and the mask, in their dtype."""
    if penalties is not None and len(penalties) != len(dictionaries):
        raise ValueError(
            f"`penalties` must be one for each of {len(dictionaries)} dictionaries. Received: {len(penalties)}"
        )
    operators = [_operator(d) for d in dictionaries]
    if len({operator.rank for operator in operators}) != 1:
        raise ValueError(
            "`dictionaries` must be one or more, all dense or all convolutional. "
            f"Received: {[type(operator).__name__ for operator in operators]}"
        )
    values = in_dtype(values, operators[0].weight.dtype)
    if mask is not None:
        mask = tf.cast(mask, values.dtype)
        values = tf.where(mask > 0, values, 0)
    length, bound = keras.ops.shape(values)[-operators[0].rank], []
    for operator in operators:
        if isinstance(operator, Convolution):
            operator = Convolution(operator.weight, operator.stride, length)
            length = -(-length // operator.stride)
        bound.append(operator)
    return bound, values, mask


def _operator(dictionary):
    """Return a matrix or a kernel as an operator."""
    if isinstance(dictionary, (Matrix, Convolution)):
        return dictionary
    dictionary = tf.convert_to_tensor(dictionary)
    if dictionary.shape.rank not in (2, 3):
        raise ValueError(
            "A dictionary must be a matrix (L, K) or a kernel (width, C, K). "
            f"Received one of shape {tuple(dictionary.shape)}"
        )
    return (Matrix if dictionary.shape.rank == 2 else Convolution)(dictionary)


def _zeros(values, dictionaries) -> list:
    """Return codes of 0 of every layer."""
    codes = [values]
    for dictionary in dictionaries:
        codes.append(tf.zeros_like(dictionary.adjoint(codes[-1])))
    return codes[1:]


def _step(dictionary, codes):
    """Return 1 / |D|^2, |D|^2 2 % above what a power iteration finds for codes like these."""
    shape = keras.ops.shape(codes)[-dictionary.rank :]
    vector = tf.random.stateless_normal((1, *shape), (0, 0), dtype=codes.dtype)
    (vector,) = tf.while_loop(
        lambda vector: True,
        lambda vector: (dictionary.adjoint(dictionary.apply(vector / tf.norm(vector))),),
        (vector,),
        maximum_iterations=100,
    )
    return 1 / (1.02 * tf.norm(vector))


def _objective(values, deepest, dictionaries, penalties, mask):
    """Return the objective of multi-layer basis pursuit, `(...)`."""
    codes = back_substitute(deepest, dictionaries)
    residual = values - dictionaries[0].apply(codes[0])
    if mask is not None:
        residual *= mask
    total = tf.reduce_sum(flat(residual, dictionaries[0].rank) ** 2, axis=-1) / 2
    for penalty, code in zip(penalties, codes, strict=True):
        cost = penalty.value(code)
        total += tf.reduce_sum(cost, axis=-1) if dictionaries[0].rank == 2 else cost
    return total
