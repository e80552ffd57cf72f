"""Dictionaries learned from signals: free atoms by alternating updates, functions of time by gradient."""

import keras
import numpy as np
import tensorflow as tf

from nbeats_basis.bases.base import Basis
from nbeats_basis.checks import check_choice, check_int, check_positive
from nbeats_basis.sparse.first_order import synthesise
from nbeats_basis.sparse.penalties import L1, Penalty
from nbeats_basis.sparse.solvers import solve

METHODS = ("online", "neural")
_GAP, _ITERATIONS = 1e-4, 1000  # of codes while their dictionary still changes
_STEPS = 25  # of a call of the compiled training step


def learn_dictionary(
    values,
    num_atoms: int,
    strength: float = 0.1,
    method: str = "online",
    mask=None,
    epochs: int = 20,
    batch_size: int = 256,
    start=None,
    seed: int = 0,
    verbose: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return a dictionary in which signals have sparse codes, and how the objective fell.

    "online" minimises the mean of |y - D x|^2 / 2 + strength |x|_1 over codes and over atoms of norm at most 1: codes by
    `solve`, then one pass over the atoms, each put where the last codes of all signals want it. "neural" codes by one
    hard-thresholded product D'y and moves each atom along the residuals of its signals, signed by their codes: faster, and
    right where atoms are incoherent, codes very sparse and their sizes above twice `strength`. An atom that no
    signal of an epoch used becomes a signal drawn at random.

    Args:
        values: signals y, `(N, L)`.
        num_atoms: K, at least 1 and at most N.
        strength: correlation with the residual ("online") or the signal ("neural") below which an atom is not used, above
            0, in units of the signals. Defaults to 0.1.
        method: "online" or "neural". Defaults to "online".
        mask: `(N, L)`, 1 where observed, 0 elsewhere; for "online" only; None for all. Defaults to None.
        epochs: passes over the signals. Defaults to 20.
        batch_size: signals between updates. Defaults to 256.
        start: `(L, K)`, dictionary to start from; None for signals drawn at random. Defaults to None.
        seed: of the draws: equal seeds give equal dictionaries on one machine. Defaults to 0.
        verbose: 1 for a progress bar over epochs. Defaults to 0.

    Returns:
        dictionary `(L, K)`, and the mean over each epoch of the objective, for "neural" of |y - D x|^2 / 2, `(epochs,)`.

    Raises:
        ValueError: numbers out of range, values not finite where observed, or a mask for "neural".

    Source: Mairal et al. 2010, algorithms 1 and 2, section 3.4 (the old code of a signal that comes again is forgotten,
    unused atoms are replaced); Arora et al. 2015, algorithm 2 (neural update rule).
    """
    check_choice("method", method, METHODS)
    check_positive("strength", strength)
    values, mask = _checked(values, num_atoms, mask)
    size = min(check_int("batch_size", batch_size), len(values))
    rng = np.random.default_rng(seed)
    atoms = _drawn(values, num_atoms, rng) if start is None else np.array(start, values.dtype)
    if atoms.shape != (values.shape[1], num_atoms):
        raise ValueError(
            f"`start` must be {(values.shape[1], num_atoms)}, (L, num_atoms). Received: shape {atoms.shape}"
        )
    atoms = atoms / np.maximum(np.linalg.norm(atoms, axis=0), 1e-30)
    learner = (_Online if method == "online" else _Neural)(values, mask, strength, atoms)
    bar, history = keras.utils.Progbar(check_int("epochs", epochs), verbose=verbose, unit_name="epoch"), []
    for epoch in range(1, epochs + 1):
        order = np.resize(
            rng.permutation(len(values)), (-(-len(values) // size), size)
        )  # the last is filled up
        mean, uses = learner.epoch(tf.constant(order), tf.constant(epoch, values.dtype))
        history.append(float(mean))
        bar.update(epoch, [("objective", history[-1])])
        unused = np.flatnonzero(uses.numpy() == 0)
        if len(unused) and epoch < epochs:
            learner.replace(unused, _drawn(values, len(unused), rng))
    return learner.dictionary.numpy(), np.array(history)


def update_atoms(dictionary, second, cross):
    """Return the dictionary after one pass over its atoms, each the minimiser for the others held, in the unit ball.

    With second moments of each point's own, the step is that of the point of most; the objective falls all the same.

    Args:
        dictionary: D, `(L, K)`.
        second: A, sum of x x' over signals, `(1, K, K)`; or over those observed at each point, `(L, K, K)`.
        cross: B, sum of y x', `(L, K)`.

    Source: Mairal et al. 2010, algorithm 2.
    """

    def body(j, dictionary):
        weights = second[:, :, j]
        slope = cross[:, j] - tf.reduce_sum(dictionary * weights, axis=1)
        atom = dictionary[:, j] + tf.math.divide_no_nan(slope, tf.reduce_max(weights[:, j]))
        atom /= tf.maximum(tf.norm(atom), 1)
        chosen = tf.one_hot(j, dictionary.shape[1], dtype=dictionary.dtype)
        return j + 1, dictionary + (atom - dictionary[:, j])[:, None] * chosen

    count = dictionary.shape[1]
    return tf.while_loop(lambda j, dictionary: j < count, body, (tf.constant(0), dictionary))[1]


def neural_step(dictionary, values, threshold, rate):
    """Return the dictionary after one step of the neural rule, and the codes before it.

    x = D'y where that is at least the threshold in size, else 0; each atom moves by the sum of (y - D x) sign(x) over the
    sum of |x|, times the rate, and is scaled to norm 1.

    Args:
        dictionary: D, `(L, K)`, atoms of norm 1.
        values: y, `(B, L)`.
        threshold: half the size of the smallest code.
        rate: in (0, 1].

    Source: Arora et al. 2015, algorithm 2, its step in units of the mean size of an atom's codes.
    """
    codes = tf.matmul(values, dictionary)
    codes = tf.where(tf.abs(codes) >= threshold, codes, 0)
    left = values - tf.matmul(codes, dictionary, transpose_b=True)
    change = tf.matmul(left, tf.sign(codes), transpose_a=True)
    moved = dictionary + rate * tf.math.divide_no_nan(change, tf.reduce_sum(tf.abs(codes), axis=0))
    return tf.math.l2_normalize(moved, axis=0, epsilon=1e-30), codes


def fit_dictionary(
    basis: Basis,
    times,
    values,
    penalty: Penalty,
    mask=None,
    steps: int = 500,
    learning_rate: float = 0.01,
    verbose: int = 0,
) -> np.ndarray:
    """Train a basis' weights, such as frequencies and decays, to give signals sparse codes; return the objective at each step.

    Adam minimises the mean of |W (y - Phi x)|^2 / 2 + penalty(x), x being the codes of the signals in the present basis. At
    those the objective does not change with x, so its gradient is that for x held, whatever the penalty.

    Args:
        basis: with trainable weights; changed in place.
        times: `(L,)`, or `(N, L)` where signals have times of their own.
        values: signals y, `(N, L)`.
        penalty: as for `solve`.
        mask: `(N, L)`, 1 where observed, 0 elsewhere; None for all. Defaults to None.
        steps: of Adam. Defaults to 500.
        learning_rate: of Adam, falling to 0 along a cosine, in units of the weights. Defaults to 0.01.
        verbose: 1 for a progress bar over steps. Defaults to 0.

    Returns:
        `(steps,)`.

    Raises:
        ValueError: numbers or shapes that do not fit, values not finite where observed, or a basis without trainable weights.

    Source: Mairal et al. 2010, section 4 (the gradient, by Danskin's theorem).
    """
    times, values = np.asarray(times, "float64"), np.asarray(values, "float64")
    if values.ndim != 2 or times.shape not in (values.shape, values.shape[1:]):
        raise ValueError(
            "`values` must be signals (N, L), `times` (L,) or (N, L). "
            f"Received: shapes {values.shape} and {times.shape}"
        )
    values, mask = _checked(values, 1, mask)
    basis(times)
    if not basis.trainable_variables:
        raise ValueError(f"`basis` must have weights to train, such as learnable=True. Received: {basis!r}")
    check_int("steps", steps)
    variables = basis.trainable_variables
    rate = keras.optimizers.schedules.CosineDecay(check_positive("learning_rate", learning_rate), steps)
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(variables)

    @tf.function
    def train(count, codes):
        losses = tf.TensorArray("float64", count)
        for i in tf.range(count):
            with tf.GradientTape() as tape:
                design = basis(times)
                codes = solve(tf.stop_gradient(design), values, penalty, mask, start=codes).codes
                loss = tf.reduce_mean(objective(design, values, codes, penalty, mask))
            optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
            losses = losses.write(i, loss)
        return losses.stack(), codes

    bar = keras.utils.Progbar(steps, verbose=verbose, unit_name="step")
    codes, history = tf.zeros((len(values), basis.num_terms), "float64"), []
    for done in range(0, steps, _STEPS):
        losses, codes = train(tf.constant(min(_STEPS, steps - done)), codes)
        history.extend(losses.numpy())
        bar.update(len(history), [("objective", history[-1])])
    return np.array(history)


def objective(design, values, codes, penalty: Penalty, mask=None):
    """Return |W (y - Phi x)|^2 / 2 + penalty(x) of each signal, `(...)`.

    Args:
        design: Phi, `(..., L, K)` or `(L, K)`.
        values: y, `(..., L)`.
        codes: x, `(..., K)`.
        penalty: as for `solve`.
        mask: `(..., L)`, 1 where observed; None for all. Defaults to None.
    """
    left = values - synthesise(design, codes)
    if mask is not None:
        left = tf.where(tf.cast(mask, "bool"), left, 0)
    return tf.reduce_sum(left**2, axis=-1) / 2 + penalty.value(codes)


class _Online:
    """Codes by the lasso, atoms by descent in the statistics of the last code of every signal."""

    def __init__(self, values, mask, strength, atoms):
        (length, count), dtype = atoms.shape, values.dtype
        self.values, self.mask = tf.constant(values), mask if mask is None else tf.constant(mask)
        self.penalty = L1(tf.constant(strength, dtype))
        self.dictionary = tf.Variable(atoms)
        self.codes = tf.Variable(tf.zeros((len(values), count), dtype))
        self.second = tf.Variable(tf.zeros((1 if mask is None else length, count, count), dtype))
        self.cross = tf.Variable(tf.zeros_like(atoms))

    @tf.function
    def epoch(self, order, number):
        """Return the mean objective and how many signals use each atom, after all batches."""
        total = tf.zeros([], self.values.dtype)
        for batch in order:
            values, old = tf.gather(self.values, batch), tf.gather(self.codes, batch)
            mask = None if self.mask is None else tf.gather(self.mask, batch)
            codes = solve(self.dictionary, values, self.penalty, mask, "fista", _GAP, _ITERATIONS, old).codes
            total += tf.reduce_mean(objective(self.dictionary, values, codes, self.penalty, mask))
            self.second.assign_add(_second(codes, mask) - _second(old, mask))
            self.cross.assign_add(tf.matmul(values, codes - old, transpose_a=True))
            self.codes.scatter_nd_update(batch[:, None], codes)
            self.dictionary.assign(update_atoms(self.dictionary, self.second, self.cross))
        uses = tf.math.count_nonzero(self.codes, axis=0)
        return total / tf.cast(tf.shape(order)[0], total.dtype), uses

    def replace(self, unused, atoms):
        """Put other atoms in place of the unused, and leave nothing of those in the statistics."""
        second, cross = self.second.numpy(), self.cross.numpy()
        second[:, unused], second[:, :, unused], cross[:, unused] = 0, 0, 0
        self.second.assign(second)
        self.cross.assign(cross)
        _replace(self.dictionary, unused, atoms)


class _Neural:
    """Codes by one thresholded product, atoms by signed residuals, in steps that get shorter."""

    def __init__(self, values, mask, strength, atoms):
        if mask is not None:
            raise ValueError('`mask` is for method="online": products D\'y need all values. Received: a mask')
        self.values, self.threshold = tf.constant(values), tf.constant(strength, values.dtype)
        self.dictionary = tf.Variable(atoms)

    @tf.function
    def epoch(self, order, number):
        """Return the mean of half the squared error and how many signals used each atom, after all batches."""
        total, uses = tf.zeros([], self.values.dtype), tf.zeros(self.dictionary.shape[1:], "int64")
        for batch in order:
            values, before = tf.gather(self.values, batch), self.dictionary.read_value()
            after, codes = neural_step(before, values, self.threshold, 1 / (1 + number))
            self.dictionary.assign(after)
            left = values - tf.matmul(codes, before, transpose_b=True)
            total += tf.reduce_mean(tf.reduce_sum(left**2, axis=-1)) / 2
            uses += tf.math.count_nonzero(codes, axis=0)
        return total / tf.cast(tf.shape(order)[0], total.dtype), uses

    def replace(self, unused, atoms):
        """Put other atoms in place of the unused."""
        _replace(self.dictionary, unused, atoms)


def _replace(dictionary, unused, atoms):
    changed = dictionary.numpy()
    changed[:, unused] = atoms
    dictionary.assign(changed)


def _second(codes, mask):
    """Return the sum of x x', `(1, K, K)`, or with a mask of those observed at each point, `(L, K, K)`."""
    if mask is None:
        return tf.matmul(codes, codes, transpose_a=True)[None]
    return tf.einsum("bl,bj,bk->ljk", mask, codes, codes)


def _checked(values, num_atoms, mask):
    """Return the values as floating point, 0 where not observed, and the mask in their dtype or None."""
    values = np.array(values)
    values = values if values.dtype.kind == "f" else values.astype("float64")
    if values.ndim != 2 or len(values) < check_int("num_atoms", num_atoms):
        raise ValueError(
            f"`values` must be signals (N, L), N at least `num_atoms`. Received: shape {values.shape}, num_atoms={num_atoms}"
        )
    if mask is not None:
        mask = np.array(np.asarray(mask) > 0, values.dtype)
        if mask.shape != values.shape:
            raise ValueError(f"`mask` must have the shape {values.shape} of `values`. Received: {mask.shape}")
        values[mask == 0] = 0
    if not np.isfinite(values).all():
        row, point = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(
            f"`values` must be finite where observed. Received: {values[row, point]} in signal {row} at point {point}"
        )
    return values, mask


def _drawn(values, count, rng):
    """Return different signals drawn at random, as atoms of norm 1, `(L, count)`; those of 0 are drawn last."""
    norms = np.linalg.norm(values, axis=1)
    chosen = rng.permutation(len(values))
    chosen = chosen[np.argsort(norms[chosen] == 0, kind="stable")][:count]
    return values[chosen].T / np.maximum(norms[chosen], 1e-30)
