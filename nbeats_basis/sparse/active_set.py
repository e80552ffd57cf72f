"""Many lassos at once: proximal steps in single precision find each support, conjugate gradients solve its equations."""

import os
from typing import NamedTuple

import tensorflow as tf

from nbeats_basis.sparse.first_order import (
    correlate,
    product,
    proximal_gradient,
    relative_gap,
    statistics,
    synthesise,
)
from nbeats_basis.sparse.penalties import L1

_STEPS = 20  # proximal steps of a round, the first 8 of a start from 0 at falling strengths
_FALLING = 8
_CONJUGATE = 24  # most conjugate gradient steps of a round
_REDUCTION = 1e-3  # of the residual at which they end; the next round corrects the rest
_ROUNDS = 15  # of a problem; what is left then is for FISTA
_PIECE = 512  # most problems of one compiled call
_MOST_STREAMS = 16  # of calls that run side by side
_AT_ONCE = 16  # of a compiled round: few enough that their designs stay in the cache
_FEW = 64  # fewer problems than these are not worth a compilation


class Designs(NamedTuple):
    """Problems given by their designs: no Gram matrix is formed.

    Attributes:
        design: `(B, L, K)` or `(L, K)`.
        values: `(B, L)`, 0 where masked.
        mask: `(B, L)`, 1 where observed.
        ridge: `(B, 1)` or `(B, K)`.
    """

    design: tf.Tensor
    values: tf.Tensor
    mask: tf.Tensor
    ridge: tf.Tensor

    def moments(self):
        """Return Phi' W y, `(B, K)`."""
        return correlate(self.design, self.values)

    def energy(self):
        """Return y' W y, `(B)`."""
        return tf.reduce_sum(self.values**2, axis=-1)

    def image(self, codes):
        """Return (Phi' W Phi + ridge I) x.

        Args:
            codes: `(B, K)`.
        """
        return correlate(self.design, self.mask * synthesise(self.design, codes)) + self.ridge * codes

    def normal(self) -> tuple:
        """Return Phi' W Phi + ridge I `(B, K, K)`, Phi' W y `(B, K)` and y' W y `(B)`."""
        gram, moment, energy = statistics(self.design, self.values, self.mask)
        return tf.linalg.set_diag(gram, tf.linalg.diag_part(gram) + self.ridge), moment, energy


class Grams(NamedTuple):
    """Problems given by their normal equations.

    Attributes:
        gram: `(B, K, K)` or `(K, K)`.
        moment: `(B, K)`.
        squares: `(B)`, y' W y.
        ridge: `(B, 1)` or `(B, K)`.
    """

    gram: tf.Tensor
    moment: tf.Tensor
    squares: tf.Tensor
    ridge: tf.Tensor

    def moments(self):
        """Return Phi' W y, `(B, K)`."""
        return self.moment

    def energy(self):
        """Return y' W y, `(B)`."""
        return self.squares

    def image(self, codes):
        """Return (G + ridge I) x.

        Args:
            codes: `(B, K)`.
        """
        return product(self.gram, codes) + self.ridge * codes

    def normal(self) -> tuple:
        """Return G + ridge I `(B, K, K)`, Phi' W y `(B, K)` and y' W y `(B)`."""
        shape = tf.concat([tf.shape(self.moment), tf.shape(self.gram)[-1:]], 0)
        gram = tf.broadcast_to(self.gram, shape)
        return tf.linalg.set_diag(gram, tf.linalg.diag_part(gram) + self.ridge), self.moment, self.squares


def active_set(
    problems: Designs | Grams, strength, nonnegative: bool, tolerance: float, max_iterations: int, start
) -> tuple:
    """Return codes `(B, K)`, gap `(B)` and iterations of lassos.

    A round is accelerated proximal steps, with step sizes by backtracking, then conjugate gradients on the equations of the
    active set, as far as no code changes its sign. Both are in single precision; codes, residuals and gaps are in that of the
    data, so that rounds refine the codes as far as it goes. Every round takes the first problems that are not done. FISTA
    finishes those that rounds cannot. In a graph, many problems are solved in pieces, side by side, compiled by XLA.

    Args:
        problems: B of them.
        strength: `(B, 1)` or `(B, K)`.
        nonnegative: True to ask for codes of at least 0.
        tolerance: largest gap.
        max_iterations: most iterations, at least 1.
        start: `(B, K)` to start from; None for 0.

    Source: Wen, Yin, Goldfarb & Zhang 2010 (FPC_AS: shrinkage, continuation and subspace optimisation).
    """
    shape = tf.concat([tf.shape(strength)[:1], tf.shape(problems[0])[-1:]], 0)
    codes = tf.zeros(shape, strength.dtype) if start is None else start
    rounds = min(_ROUNDS, -(-max_iterations // (_STEPS + _CONJUGATE)))
    options = nonnegative, start is not None, tolerance, rounds
    few = strength.shape[0] is not None and strength.shape[0] < _FEW
    if tf.executing_eagerly() or few:
        at_once = strength.shape[0] if few else None
        codes, gap, iterations = _in_rounds(problems, strength, codes, *options, at_once)
    else:
        none = codes, tf.zeros_like(strength[:, 0]), tf.zeros(shape[:1], tf.int32)
        codes, gap, iterations = tf.cond(
            shape[0] > 0, lambda: _in_pieces(problems, strength, codes, *options), lambda: none
        )
    left = max_iterations - rounds * (_STEPS + _CONJUGATE)
    if left <= 0:
        return codes, gap, _most(iterations)

    def finish(problems, strength, codes):
        lasso = L1(strength, nonnegative)
        return proximal_gradient(*problems.normal(), lasso, True, tolerance, left, codes)

    codes, gap, more = _in_turns(finish, problems, strength, codes, gap, tolerance, 1, _AT_ONCE)
    return codes, gap, _most(iterations + more)


def _most(iterations):
    """Return the largest number, 0 of none."""
    return tf.maximum(tf.reduce_max(iterations), 0)


def _in_pieces(problems, strength, codes, *options):
    """Return what `_in_rounds` does; pieces of one size are compiled once, and run side by side, one a processor."""
    count = strength.shape[0] or tf.shape(strength)[0]
    streams = min(os.cpu_count() or 1, _MOST_STREAMS)
    size = -(-count // streams)
    size = min(_PIECE, size) if isinstance(count, int) else tf.clip_by_value(size, 1, _PIECE)
    groups = -(-count // (size * streams))
    firsts = tf.minimum(tf.range(groups * streams) * size, count - size)
    at_once = _PIECE if problems[0].shape.rank == 2 else _AT_ONCE

    def piece(first):
        def part(x):
            return tf.slice(x, [first, *[0] * (x.shape.rank - 1)], [size, *[-1] * (x.shape.rank - 1)])

        return _compiled(_own(problems, part), part(strength), part(codes), *options, at_once)

    def group(firsts):
        found = [piece(first) for first in tf.unstack(firsts, streams)]
        return tuple(tf.stack(parts) for parts in zip(*found, strict=True))

    signature = (strength.dtype, strength.dtype, tf.int32)
    found = tf.map_fn(group, tf.reshape(firsts, [-1, streams]), fn_output_signature=signature)
    # the last pieces begin inside one before where pieces do not divide the problems
    which = tf.range(count) // size
    index = tf.stack([which, tf.range(count) - tf.gather(firsts, which)], axis=-1)
    return tuple(tf.gather_nd(tf.reshape(x, tf.concat([[-1], tf.shape(x)[2:]], 0)), index) for x in found)


def _in_rounds(problems, strength, codes, nonnegative, started, tolerance, rounds, at_once):
    """Return codes, gap and iterations of each problem after as many rounds as it needs."""
    energy = problems.energy()
    codes = tf.where(energy[:, None] > 0, codes, 0)
    gap = tf.where(energy <= 0, tf.zeros_like(energy), energy.dtype.max)
    if started:
        gap = relative_gap(
            problems.image(codes), problems.moments(), energy, L1(strength, nonnegative), codes
        )

    def improve(problems, strength, codes):
        return _round(problems, L1(strength, nonnegative), codes)

    return _in_turns(improve, problems, strength, codes, gap, tolerance, rounds, at_once)


_compiled = tf.function(_in_rounds, jit_compile=True, autograph=False)


def _in_turns(improve, problems, strength, codes, gap, tolerance, rounds, at_once):
    """Return codes, gap and iterations of problems improved, `at_once` of them at a time (None: all), until they are done.

    `improve` maps some problems, their strengths and codes to codes, gap and iterations, one number.
    """
    if at_once:
        at_once = min(at_once, gap.shape[0]) if gap.shape[0] else tf.minimum(at_once, tf.size(gap))
    order = tf.cast(tf.range(tf.size(gap), 0, -1), "float32")

    def unfinished(gap, tried):
        return (tried < rounds) & ~(gap <= tolerance)

    def body(codes, gap, tried, iterations):
        todo = unfinished(gap, tried)
        if at_once is None:
            chosen = tf.cast(tf.where(todo)[:, 0], "int32")
        else:  # of a size known in advance; done ones may be among the last
            chosen = tf.math.top_k(tf.where(todo, order, 0), at_once).indices
        some = _own(problems, lambda x: tf.gather(x, chosen))
        better, found, used = improve(some, tf.gather(strength, chosen), tf.gather(codes, chosen))
        index = chosen[:, None]
        return (
            tf.tensor_scatter_nd_update(codes, index, better),
            tf.tensor_scatter_nd_update(gap, index, found),
            tf.tensor_scatter_nd_add(tried, index, tf.ones_like(chosen)),
            tf.tensor_scatter_nd_add(iterations, index, tf.zeros_like(chosen) + used),
        )

    none = tf.zeros_like(gap, "int32")
    codes, gap, _, iterations = tf.while_loop(
        lambda codes, gap, tried, iterations: tf.reduce_any(unfinished(gap, tried)),
        body,
        (codes, gap, none, none),
    )
    return codes, gap, iterations


def _own(problems, part):
    """Return some of the problems; a matrix that all share stays."""
    matrix = problems[0] if problems[0].shape.rank == 2 else part(problems[0])
    return type(problems)(matrix, *map(part, problems[1:]))


def _round(problems, penalty: L1, codes) -> tuple:
    """Return codes after proximal steps and a move towards the minimum of their orthant, gap and iterations."""
    low, dtype = tf.float32, codes.dtype
    moment, energy = problems.moments(), problems.energy()
    unit = tf.sqrt(tf.where(energy > 0, energy, 1))[:, None]  # of values: single precision has a short range
    rough = type(problems)(*(tf.cast(x, low) for x in problems))
    strength = tf.cast(penalty.strength / unit, low)
    before = tf.cast(codes / unit, low)
    after = _proximal_steps(rough, tf.cast(moment / unit, low), penalty.with_strength(strength), before)
    same = tf.reduce_all(tf.sign(after) == tf.sign(before), axis=-1, keepdims=True)
    codes = tf.where(same, codes, unit * tf.cast(after, dtype))  # nothing to find: go on refining
    slope = moment - problems.image(codes) - penalty.strength * tf.sign(codes)
    active = tf.cast(codes != 0, low)
    move, count = _conjugate_gradients(rough, active, tf.cast(slope / unit, low))
    move = unit * tf.cast(move, dtype)
    reach = tf.where(codes * move < 0, -_ratio(codes, move), 1)
    share = tf.minimum(tf.reduce_min(reach, axis=-1, keepdims=True), 1)
    codes = tf.where((reach > share) | (share >= 1), codes + share * move, 0)
    gap = relative_gap(problems.image(codes), moment, energy, penalty, codes)
    return codes, gap, _STEPS + count


def _proximal_steps(problems, moment, penalty: L1, codes):
    """Return codes after FISTA's steps with backtracking: a step that was too long is taken again, shorter."""
    largest = penalty.dual_norm(moment)[:, None]
    fresh = tf.reduce_all(codes == 0, axis=-1, keepdims=True)
    rise = tf.where(fresh, tf.maximum(0.7 * largest, 1), 1)
    curvature = tf.maximum(0.6 * _ratio(_dot(moment, problems.image(moment)), _dot(moment, moment)), 1e-30)

    def body(i, codes, image, point, point_image, momentum, curvature):
        exponent = tf.nn.relu(1 - tf.cast(i + 1, codes.dtype) / _FALLING)
        eased = penalty.with_strength(tf.math.multiply_no_nan(rise**exponent, penalty.strength))
        trial = eased.prox(point + (moment - point_image) / curvature, 1 / curvature)
        trial_image = problems.image(trial)
        step = trial - point
        found = _ratio(_dot(step, trial_image - point_image), _dot(step, step))
        good = found <= 1.0001 * curvature
        momentum = tf.where(_dot(point - trial, trial - codes) <= 0, momentum, 1)
        following = (1 + tf.sqrt(1 + 4 * momentum**2)) / 2
        onward = (momentum - 1) / following
        ahead = trial + onward * (trial - codes), trial_image + onward * (trial_image - image)
        new, old = (trial, trial_image, *ahead, following), (codes, image, point, point_image, momentum)
        kept = (tf.where(good, n, o) for n, o in zip(new, old, strict=True))
        return i + 1, *kept, tf.where(good, curvature, 1.05 * found)

    image = problems.image(codes)
    state = tf.constant(0), codes, image, codes, image, tf.ones_like(largest), curvature
    return tf.while_loop(lambda i, *_: i < _STEPS, body, state)[1]


def _conjugate_gradients(problems, active, right) -> tuple:
    """Return an approximate solution of G_SS x = b_S, 0 outside S, where `active` is 1, and the number of steps."""
    residual = right * active
    first = _dot(residual, residual)

    def going(i, codes, residual, direction, squares):
        return (i < _CONJUGATE) & tf.reduce_any(squares > _REDUCTION**2 * first)

    def body(i, codes, residual, direction, squares):
        image = problems.image(direction) * active
        length = _ratio(squares, _dot(direction, image))
        codes, residual = codes + length * direction, residual - length * image
        now = _dot(residual, residual)
        return i + 1, codes, residual, residual + _ratio(now, squares) * direction, now

    count, codes, *_ = tf.while_loop(
        going, body, (tf.constant(0), tf.zeros_like(right), residual, residual, first)
    )
    return codes, count


def _dot(left, right):
    return tf.reduce_sum(left * right, axis=-1, keepdims=True)


_ratio = tf.math.divide_no_nan
