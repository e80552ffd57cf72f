"""Multi-layer pursuits against loops and constrained least squares written from the papers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from layer_checks import run_layer_checks
from scipy.linalg import null_space

from nbeats_basis import sparse


def unit(atoms, axes):
    return atoms / np.linalg.norm(atoms, axis=axes, keepdims=True)


def written_out(kernel, length, stride=1):
    """Return the matrix of a kernel's atoms at every place: those of "same" padding, by loops."""
    width, channels, atoms = kernel.shape
    places = -(-length // stride)
    before = max((places - 1) * stride + width - length, 0) // 2
    matrix = np.zeros((length, channels, places, atoms))
    for p in range(places):
        for w in range(width):
            if 0 <= p * stride - before + w < length:
                matrix[p * stride - before + w, :, p, :] = kernel[w]
    return matrix.reshape(length * channels, places * atoms)


def shrink(x, threshold, nonnegative):
    return np.maximum(x - threshold, 0) if nonnegative else np.sign(x) * np.maximum(np.abs(x) - threshold, 0)


def slow_pursuit(y, matrices, thresholds, steps, unfoldings, accelerated, nonnegative):
    """Return the deepest codes of one signal after 1 + T iterations from 0; ML-ISTA and ML-FISTA line by line."""
    codes = z = np.zeros(matrices[-1].shape[1])
    t = 1.0
    for _ in range(1 + unfoldings):
        estimates = [z]
        for matrix in matrices[:0:-1]:
            estimates.insert(0, matrix @ estimates[0])
        below = y
        for estimate, matrix, mu, b in zip(estimates, matrices, steps, thresholds, strict=True):
            below = shrink(estimate - mu * matrix.T @ (matrix @ estimate - below), b, nonnegative)
        after = (1 + np.sqrt(1 + 4 * t**2)) / 2
        z = below + (t - 1) / after * (below - codes) if accelerated else below
        codes, t = below, after
    return codes


def sparse_filters(seed, atoms=8):
    """Return two kernels of unit atoms, 16 and 8 wide, those of the second of three taps, so that g_1 = D_2 g_2 is sparse."""
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(16, 1, atoms)), np.zeros((8, atoms, atoms))
    for k in range(atoms):
        second[rng.integers(8, size=3), rng.integers(atoms, size=3), k] = rng.uniform(0.5, 1.5, 3)
    return unit(first, (0, 1)), unit(second, (0, 1))


def test_convolution_is_its_matrix():
    rng = np.random.default_rng(0)
    for length, stride, width in [(20, 1, 5), (23, 3, 4), (24, 4, 3), (9, 2, 16)]:
        kernel = rng.normal(size=(width, 3, 4))
        matrix = written_out(kernel, length, stride)
        dictionary = sparse.Convolution(kernel, stride, length)
        values = rng.normal(size=(2, 5, length, 3))
        codes = dictionary.adjoint(values).numpy()
        np.testing.assert_allclose(codes.reshape(2, 5, -1), values.reshape(2, 5, -1) @ matrix, atol=1e-12)
        image = dictionary.apply(codes).numpy()
        np.testing.assert_allclose(image.reshape(2, 5, -1), codes.reshape(2, 5, -1) @ matrix.T, atol=1e-11)


@pytest.mark.parametrize("kind", [sparse.MLISTA, sparse.MLFISTA])
def test_layer(kind, tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 30, 2)).astype("float32")
    if kind is sparse.MLISTA:
        layer = kind((6, 8), (7, 4), (2, 1), unfoldings=3)
    else:
        values, layer = values[..., 0], kind((24, 40, 12), unfoldings=2, threshold=0.02, nonnegative=False)
    run_layer_checks(layer, [values, np.ones_like(values)], tmp_path)


def test_without_unfoldings_it_is_the_plain_stack_bit_for_bit():
    rng = np.random.default_rng(1)
    for shape, arguments in [((7, 41, 3), ((8, 12, 5), (9, 5, 4), (2, 1, 3))), ((7, 41), ((30, 50, 20),))]:
        values = rng.normal(size=shape).astype("float32")
        layers = [sparse.MLISTA(*arguments, unfoldings=T) for T in (0, 6)]
        plain = values
        outcomes = [layer(values).numpy() for layer in layers]
        assert [v.shape for v in layers[0].variables] == [v.shape for v in layers[1].variables]
        assert np.abs(outcomes[0] - outcomes[1]).max() > 1e-3
        for i, weights in enumerate(layers[0].layers):
            weights["threshold"].assign(rng.normal(0, 0.1, weights["threshold"].shape))
            size, width = arguments[0][i], arguments[1][i] if len(shape) == 3 else None
            layer = keras.layers.Dense(size, activation="relu")
            if width:
                strides = arguments[2][i]
                layer = keras.layers.Conv1D(size, width, strides, padding="same", activation="relu")
            layer.build(plain.shape)
            layer.set_weights([weights["dictionary"].numpy(), -weights["threshold"].numpy()])
            plain = layer(plain)
        assert np.array_equal(layers[0](values).numpy(), plain.numpy())
        assert 0 < np.mean(plain.numpy() > 0) < 1


@pytest.mark.parametrize("nonnegative", [True, False])
@pytest.mark.parametrize("kind", [sparse.MLISTA, sparse.MLFISTA])
def test_layer_is_the_papers_loop(kind, nonnegative):
    rng = np.random.default_rng(2)
    settings = {"unfoldings": 4, "nonnegative": nonnegative, "dtype": "float64"}
    for shape, arguments in [((3, 22, 2), ((5, 6), (6, 3), (2, 1))), ((3, 22), ((30, 40),))]:
        layer, values = kind(*arguments, **settings), rng.normal(size=shape)
        layer(values)
        for weights in layer.layers:
            weights["threshold"].assign(rng.uniform(0, 0.05, weights["threshold"].shape))
            weights["step"].assign(rng.uniform(0.5, 0.9))
        weights = [{k: v.numpy() for k, v in layer.items()} for layer in layer.layers]
        matrices, thresholds = [w["dictionary"] for w in weights], [w["threshold"] for w in weights]
        if len(shape) == 3:
            matrices = [written_out(m, n, s) for m, n, s in zip(matrices, (22, 11), (2, 1), strict=True)]
            thresholds = [np.tile(t, 11) for t in thresholds]
        steps = [w["step"] for w in weights]
        for value, code in zip(values, layer(values).numpy(), strict=True):
            accelerated = kind is sparse.MLFISTA
            slow = slow_pursuit(value.ravel(), matrices, thresholds, steps, 4, accelerated, nonnegative)
            np.testing.assert_allclose(code.ravel(), slow, atol=1e-10)
            assert np.abs(slow).max() > 0.01


def test_masked_points_do_not_count():
    rng = np.random.default_rng(3)
    values, mask = rng.normal(size=(3, 20, 1)), rng.random((3, 20, 1)) > 0.2
    layer = sparse.MLISTA((6, 8), (7, 4), dtype="float64")
    plain = layer(values, mask).numpy()
    assert np.array_equal(layer(np.where(mask, values, np.nan), mask).numpy(), plain)
    assert np.abs(layer(np.where(mask, values, 0.0)).numpy() - plain).max() > 1e-3  # 0 is not "not observed"
    np.testing.assert_allclose(layer(values, np.ones_like(mask)), layer(values), atol=1e-15)


def test_members_have_weights_of_their_own():
    values = np.random.default_rng(4).normal(size=(1, 5, 20, 1)).astype("float32")
    layer = sparse.MLFISTA((6, 8), (7, 4), unfoldings=2)
    layer.assign_members((3, 8), "encoder")
    codes = layer(values).numpy()
    assert codes.shape == (2, 5, 20, 8)
    for m, seed in enumerate((3, 8)):
        single = sparse.MLFISTA((6, 8), (7, 4), unfoldings=2)
        single.assign_members((seed,), "encoder")
        np.testing.assert_allclose(single(values)[0], codes[m], atol=1e-6)
        np.testing.assert_allclose(layer(np.repeat(values, 2, axis=0))[m], codes[m], atol=1e-6)


def test_batch_and_length_may_be_unknown_and_a_model_reloads(tmp_path):
    inputs = keras.Input((None, 1))
    model = keras.Model(inputs, sparse.MLISTA((4, 6), (5, 3), (2, 3), unfoldings=2)(inputs))
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    for count, length, places in [(2, 17, 3), (3, 24, 4)]:
        values = np.random.default_rng(5).normal(size=(count, length, 1)).astype("float32")
        codes = model(values).numpy()
        assert codes.shape == (count, places, 6)
        np.testing.assert_allclose(copy(values), codes, atol=1e-6)
        np.testing.assert_allclose(tf.function(model)(values), codes, atol=1e-6)


def test_objective_falls_and_acceleration_pays():
    """Two convolutional dictionaries, nonnegative codes, a noise of 20 dB."""
    first, second = sparse_filters(0)
    rng = np.random.default_rng(6)
    codes = (rng.random((4, 100, 8)) < 0.01) * rng.uniform(1, 2, (4, 100, 8))
    middle = sparse.Convolution(second).apply(codes)
    assert np.mean(middle.numpy() > 0) < 0.05
    values = sparse.Convolution(first).apply(middle).numpy()
    values += rng.normal(size=values.shape) * values.std() / 10
    penalties = [sparse.L1(0.1, nonnegative=True)] * 2
    ista = sparse.multilayer_pursuit(values, [first, second], penalties, solver="ista", iterations=200)
    fista = sparse.multilayer_pursuit(values, [first, second], penalties, iterations=60)
    fall = ista.objective.numpy()
    assert np.all(np.diff(fall, axis=0) <= 1e-9 * fall[0]) and np.all(fall[-1] < 0.8 * fall[0])
    assert np.all(fista.objective.numpy().min(axis=0) <= fall[-1])
    deepest = ista.codes[-1].numpy()
    matrices = [written_out(first, 100), written_out(second, 100)]
    for value, code, last in zip(values, deepest, fall[-1], strict=True):
        middle = matrices[1] @ code.ravel()
        rest = value.ravel() - matrices[0] @ middle
        cost = rest @ rest / 2 + 0.1 * (np.abs(middle).sum() + np.abs(code).sum())
        np.testing.assert_allclose(last, cost, rtol=1e-10)


def test_near_fixed_points_come_near_the_minimum_as_steps_shrink():
    """The minimum by the alternating direction method on g and D_2 g."""
    rng = np.random.default_rng(7)
    first, second = unit(rng.normal(size=(15, 20)), 0), unit(rng.normal(size=(20, 25)), 0)
    both, strengths = first @ second, (0.05, 0.1)
    y = both @ (rng.normal(size=25) * (rng.random(25) < 0.2))

    def objective(g):
        costs = (np.sum((y - both @ g) ** 2) / 2, np.abs(second @ g).sum(), np.abs(g).sum())
        return costs[0] + strengths[0] * costs[1] + strengths[1] * costs[2]

    stacked, limit = np.vstack([second, np.eye(25)]), np.repeat(strengths, (20, 25))
    inverse, split, dual = np.linalg.inv(both.T @ both + stacked.T @ stacked), np.zeros(45), np.zeros(45)
    for _ in range(20_000):
        g = inverse @ (both.T @ y + stacked.T @ (split - dual))
        split = shrink(stacked @ g + dual, limit, False)
        dual += stacked @ g - split
    least = objective(g)
    penalties, excess = [sparse.L1(s) for s in strengths], []
    steps = np.array([1 / np.linalg.norm(d, 2) ** 2 for d in (first, second)])

    @tf.function(jit_compile=True)
    def run(steps):
        steps = tf.unstack(steps)
        return sparse.multilayer_pursuit(y, [first, second], penalties, None, "fista", 10_000, steps).codes[
            -1
        ]

    for scale in (1, 0.1, 0.01):
        excess.append(objective(run(steps * [scale, 1]).numpy()) / least - 1)
    assert excess[0] > excess[1] > excess[2] > -1e-9 and excess[2] < 1e-3, excess


def both_layers(seed, count, first, second):
    """Return values at 20 dB and deepest codes of 30 nonzero numbers for which 26 codes of the layer before are 0."""
    rng = np.random.default_rng(seed)
    codes = np.zeros((count, second.shape[1]))
    for code in codes:
        support = rng.choice(code.size, 30, replace=False)
        rows = rng.choice(len(second), 26, replace=False)
        free = null_space(second[np.ix_(rows, support)])
        code[support] = free @ rng.normal(size=free.shape[1])
        code /= np.linalg.norm(code) / np.sqrt(30)
    values = codes @ (first @ second).T
    return values + rng.normal(size=values.shape) * values.std() / 10, codes


def test_support_is_found_better_than_by_thresholding_or_one_layer():
    """Strengths, and the size from which g_1 counts, are chosen for each method on signals of their own."""
    rng = np.random.default_rng(0)
    first, second = unit(rng.normal(size=(50, 70)), 0), unit(rng.normal(size=(70, 60)), 0)
    (seen, known), (values, truth) = both_layers(1, 200, first, second), both_layers(2, 200, first, second)

    @tf.function(jit_compile=True)
    def run(y, strengths, count):
        penalties = [sparse.L1(s) for s in tf.unstack(strengths)]
        return sparse.multilayer_pursuit(y, [first, second], penalties, iterations=count).codes

    def scores(y, codes, strengths, count, one_layer):
        """Return F1 of both supports by the size from which g_1 counts, `(cuts, 2)`."""
        middle, deepest = (x.numpy() for x in run(y, tf.constant(strengths, "float64"), count))
        middle = deepest @ second.T if one_layer else middle
        pairs = [(np.abs(middle) > cut, np.abs(codes @ second.T) > 1e-9) for cut in (0, 0.05, 0.1, 0.2)]
        f1 = [2 * np.sum(f & t) / (f.sum() + t.sum()) for f, t in [*pairs, (deepest != 0, codes != 0)]]
        return np.stack([f1[:-1], np.full(4, f1[-1])], axis=-1)

    def tuned(first_strengths, count, one_layer=False):
        grid = [(a, b) for a in first_strengths for b in (0.01, 0.02, 0.05)]
        tried = np.array([scores(seen, known, strengths, count, one_layer) for strengths in grid])
        best, cut = np.unravel_index(np.argmax(tried.sum(axis=-1)), tried.shape[:2])
        return scores(values, truth, grid[best], count, one_layer)[cut]

    pursuit = tuned((0.01, 0.02, 0.05), 200)
    one_layer = tuned((0.0,), 200, one_layer=True)  # without a cost of g_1: ISTA with D_1 D_2
    thresholding = tuned((0.0, 0.05, 0.1, 0.2, 0.4), 1)
    assert np.all(pursuit >= one_layer + [0.01, 0]), (pursuit, one_layer)
    assert np.all(pursuit >= thresholding + 0.03), (pursuit, thresholding)


def test_layered_pursuit_is_a_lasso_in_each_layer():
    """By the optimality conditions of each."""
    rng = np.random.default_rng(8)
    kernels = [unit(rng.normal(size=(6, 1, 3)), (0, 1)), unit(rng.normal(size=(4, 3, 5)), (0, 1))]
    values, mask = rng.normal(size=(3, 16, 1)), np.ones((3, 16, 1))
    mask[:, 5] = 0
    dense = [unit(rng.normal(size=(16, 20)), 0), unit(rng.normal(size=(20, 30)), 0)]
    problems = [
        (values, kernels, [written_out(k, 16) for k in kernels], mask),
        (values[..., 0], dense, dense, mask[..., 0]),
    ]
    for signals, dictionaries, matrices, observed in problems:
        penalties = [sparse.L1(0.2), sparse.L1(0.1, nonnegative=True)]
        codes = sparse.layered_pursuit(signals, dictionaries, penalties, observed, tolerance=1e-8)
        below, weight = signals.reshape(3, -1), observed.reshape(3, -1)
        for code, matrix, strength, nonnegative in zip(
            codes, matrices, (0.2, 0.1), (False, True), strict=True
        ):
            code = code.numpy().reshape(3, -1)
            correlation = (weight * (below - code @ matrix.T)) @ matrix
            np.testing.assert_allclose(correlation[code != 0], strength * np.sign(code[code != 0]), atol=2e-3)
            size = correlation if nonnegative else np.abs(correlation)
            assert (
                size.max() < strength + 2e-3 and np.any(code != 0) and np.all(code >= 0) | (not nonnegative)
            )
            below, weight = code, 1


def least_squares(y, matrices, support, zeros, weight):
    """Return the constrained least squares of one signal by an explicit basis of the codes that are allowed."""
    deepest = np.zeros(support.size)
    chosen = np.flatnonzero(support)
    rows, below = [], matrices[-1]
    for matrix, zero in zip(matrices[-2::-1], zeros[::-1], strict=True):
        rows.append(below[zero > 0][:, chosen])
        below = matrix @ below
    free = null_space(np.vstack(rows)) if sum(map(len, rows)) else np.eye(chosen.size)
    deepest[chosen] = free @ np.linalg.lstsq(weight[:, None] * below[:, chosen] @ free, weight * y)[0]
    return deepest


def test_holistic_projection_is_constrained_least_squares():
    rng = np.random.default_rng(9)
    dense = [unit(rng.normal(size=s), 0) for s in ((40, 50), (50, 45), (45, 60))]
    support = rng.random((4, 60)) < 0.3
    zeros = [rng.random((4, n)) < p for n, p in ((50, 0.06), (45, 0.1))]
    values, mask = rng.normal(size=(4, 40)), rng.random((4, 40)) > 0.1
    codes = sparse.holistic_projection(values, dense, support, zeros, mask).numpy()
    for n in range(4):
        slow = least_squares(values[n], dense, support[n], [z[n] for z in zeros], mask[n].astype(float))
        np.testing.assert_allclose(codes[n], slow, atol=1e-9)
    single = [d.astype("float32") for d in dense]
    got = sparse.holistic_projection(values, single, support, zeros, mask)
    assert got.dtype == tf.float32
    np.testing.assert_allclose(got, codes, atol=2e-4 * np.abs(codes).max())
    plain = sparse.holistic_projection(values, [dense[0]], support[0, :50], []).numpy()
    np.testing.assert_allclose(
        plain[1], least_squares(values[1], [dense[0]], support[0, :50], [], np.ones(40))
    )

    first, second = sparse_filters(3)
    codes = (rng.random((2, 3, 20, 8)) < 0.05) * rng.normal(size=(2, 3, 20, 8))
    middle = sparse.Convolution(second).apply(codes)
    values = sparse.Convolution(first).apply(middle).numpy() + 0.1 * rng.normal(size=(2, 3, 20, 1))
    got = sparse.holistic_projection(values, [first, second], codes != 0, [middle == 0]).numpy()
    matrices, inside = [written_out(k, 20) for k in (first, second)], (1, 2)
    slow = least_squares(
        values[inside].ravel(),
        matrices,
        codes[inside].ravel() != 0,
        [middle.numpy()[inside].ravel() == 0],
        np.ones(20),
    )
    np.testing.assert_allclose(got[inside].ravel(), slow, atol=1e-9)


def test_holistic_projection_differentiates():
    rng = np.random.default_rng(10)
    tensors = [rng.normal(size=s) for s in ((3, 20), (20, 25), (25, 30))]
    changes, target = [rng.normal(size=t.shape) for t in tensors], rng.normal(size=(3, 30))
    support, zeros = rng.random((3, 30)) < 0.3, [rng.random((3, 25)) < 0.15]

    def value(values, *dictionaries):
        return tf.reduce_sum(sparse.holistic_projection(values, dictionaries, support, zeros) * target)

    variables = [tf.Variable(t) for t in tensors]
    with tf.GradientTape() as tape:
        total = value(*variables)
    gradients, step = tape.gradient(total, variables), 1e-6
    for i, change in enumerate(changes):
        ends = []
        for sign in (1, -1):
            moved = list(tensors)
            moved[i] = tensors[i] + sign * step * change
            ends.append(value(*moved))
        numeric = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(np.sum(gradients[i].numpy() * change), numeric, rtol=1e-5)


@pytest.mark.parametrize("zero_rows", [4, 8, 15])
def test_noise_enters_by_support_less_rank(zero_rows):
    """The squared error of the projection over that of least squares on the support alone, 200 draws."""
    rng = np.random.default_rng(zero_rows)
    first, second = unit(rng.normal(size=(300, 60)), 0), unit(rng.normal(size=(60, 80)), 0)
    size, count = 20, 200
    codes, support, zeros = np.zeros((count, 80)), np.zeros((count, 80)), np.zeros((count, 60))
    for n in range(count):
        chosen = rng.choice(80, size, replace=False)
        rows = rng.choice(60, zero_rows, replace=False)
        free = null_space(second[np.ix_(rows, chosen)])
        codes[n, chosen] = free @ rng.normal(size=free.shape[1])
        support[n, chosen] = zeros[n, rows] = 1
    values = codes @ (first @ second).T + 0.1 * rng.normal(size=(count, 300))
    errors = [
        np.sum((sparse.holistic_projection(values, [first, second], support, [z]).numpy() - codes) ** 2)
        for z in (zeros, 0 * zeros)
    ]
    np.testing.assert_allclose(errors[0] / errors[1], (size - zero_rows) / size, rtol=0.1)


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match="one for each of `atoms`"):
        sparse.MLISTA((4, 5), (3,))
    with pytest.raises(ValueError, match="give `kernel_sizes`"):
        sparse.MLISTA((4, 5), strides=(1, 1))
    with pytest.raises(ValueError, match="unfoldings"):
        sparse.MLISTA((4, 5), unfoldings=-1)
    first, second = np.eye(4), np.eye(4)
    with pytest.raises(ValueError, match="`penalties` must be one for each of 2"):
        sparse.multilayer_pursuit(np.ones(4), [first, second], [sparse.L1(0.1)])
    with pytest.raises(ValueError, match="`steps` must be one for each of 2"):
        sparse.multilayer_pursuit(np.ones(4), [first, second], [sparse.L1(0.1)] * 2, steps=[1.0])
    with pytest.raises(ValueError, match="all dense or all convolutional"):
        sparse.layered_pursuit(np.ones(4), [first, np.ones((3, 4, 2))], [sparse.L1(0.1)] * 2)
    with pytest.raises(ValueError, match="matrix"):
        sparse.multilayer_pursuit(np.ones(4), [np.ones(4)], [sparse.L1(0.1)])
    with pytest.raises(ValueError, match="every layer but the deepest"):
        sparse.holistic_projection(np.ones(4), [first, second], np.ones(4), [])
