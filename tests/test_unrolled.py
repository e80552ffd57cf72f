"""Unrolled pursuits against loops written from the papers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from layer_checks import run_layer_checks

from nbeats_basis import sparse

RNG = np.random.default_rng(0)
L, K = 20, 40
LEARNED = [
    sparse.LISTA,
    sparse.LISTACP,
    sparse.LISTACPSS,
    sparse.TiLISTA,
    sparse.ALISTA,
    sparse.GatedLISTA,
    sparse.GatedALISTA,
    sparse.AdaLISTA,
    sparse.SLISTA,
]


def dictionary(size=(L, K), seed=0):
    atoms = np.random.default_rng(seed).normal(size=size)
    return atoms / np.linalg.norm(atoms, axis=-2, keepdims=True)


def signals(design, count, seed, share=0.1):
    rng = np.random.default_rng(seed)
    codes = rng.normal(size=(count, design.shape[-1])) * (rng.random((count, design.shape[-1])) < share)
    return codes @ design.T, codes


def soft(x, threshold):
    return np.sign(x) * np.maximum(np.abs(x) - threshold, 0)


@pytest.mark.parametrize("kind", [*LEARNED, sparse.HyperLISTA])
def test_layer(kind, tmp_path):
    design = dictionary().astype("float32")
    run_layer_checks(kind(num_layers=3), [signals(design, 5, 1)[0].astype("float32"), design], tmp_path)


@pytest.mark.parametrize("kind", [sparse.LISTA, sparse.LISTACP, sparse.AdaLISTA, sparse.SLISTA])
def test_untrained_is_ista(kind):
    design = dictionary()
    values, _ = signals(design, 6, 2)
    got = kind(num_layers=9, threshold=0.02, dtype="float64")(values, design, return_layers=True).numpy()
    size = 1 / float(sparse.solvers.largest_eigenvalue(tf.constant(design.T @ design)))
    codes = np.zeros((6, K))
    for k in range(9):
        codes = soft(codes + size * (values - codes @ design.T) @ design, 0.02)
        np.testing.assert_allclose(got[k], codes, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", [sparse.LISTA, sparse.LISTACP, sparse.TiLISTA, sparse.SLISTA])
def test_analytic_start_is_the_analytic_step(kind):
    design = dictionary()
    values, _ = signals(design, 6, 2)
    layer = kind(num_layers=4, threshold=0.1, bypass=0.0, start="analytic", dtype="float64")
    got = layer(values, design).numpy()
    gram = design @ design.T
    weight = np.linalg.solve(gram + 1e-6 * np.trace(gram) / L * np.eye(L), design)
    weight /= np.sum(weight * design, axis=0)
    codes = np.zeros((6, K))
    for _ in range(4):
        codes = soft(codes + (values - codes @ design.T) @ weight, 0.1)
    np.testing.assert_allclose(got, codes, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(layer.pursue(values, layer.prepare(design)), got)
    assert kind.from_config(layer.get_config()).start == "analytic"
    with pytest.raises(ValueError, match="`start` must be"):
        kind(start="zero")


def test_lista_is_two_matrices_without_coupling():
    """Codes are eta(W1 y + W2 x) of any W1 and W2: the second is what neither the first nor the design says."""
    design, rng = dictionary(), np.random.default_rng(5)
    values, _ = signals(design, 6, 3)
    layer = sparse.LISTA(num_layers=3, threshold=0.05, dtype="float64")
    layer(values, design)
    codes, size = np.zeros((6, K)), float(sparse.weights.gradient_step(tf.constant(design))[0, 0])
    for weights in layer.layers:
        first, second = rng.normal(size=(K, L)) / L, rng.normal(size=(K, K)) / K
        weights["change"].assign(first.T - size * design)
        weights["free"].assign(second - np.eye(K) + first @ design)
        codes = soft(values @ first.T + codes @ second.T, 0.05)
    np.testing.assert_allclose(layer(values, design), codes, rtol=1e-6, atol=1e-9)


def test_analytic_weight_takes_rows_that_are_not_observed():
    """Those of the observed rows alone, and 0 where there are none."""
    design = dictionary()
    weight, inverse = sparse.analytic_weight(tf.constant(design[: L // 2]), ridge=0)
    rows = np.vstack([design[: L // 2], np.zeros((L - L // 2, K))])
    padded = sparse.analytic_weight(tf.constant([rows, np.zeros((L, K))]), ridge=0)
    for got, expected in zip(padded, (weight, inverse), strict=True):
        np.testing.assert_allclose(got[0, : L // 2], expected, rtol=1e-8)
        assert not np.any(got[0, L // 2 :]) and not np.any(got[1])


def test_analytic_weight_solves_its_problem_and_differentiates():
    """Against the Lagrange conditions of each column's quadratic problem."""
    design = dictionary()
    weight, _ = sparse.analytic_weight(tf.constant(design), ridge=1e-12)
    weight = weight.numpy()
    np.testing.assert_allclose(np.sum(weight * design, axis=0), 1, rtol=1e-9)
    gradient = design @ design.T @ weight  # of |W' A|^2 / 2: a multiple of a_i in every column
    along = np.sum(gradient * design, axis=0)
    np.testing.assert_allclose(gradient, along * design, atol=1e-8)
    target, change = RNG.normal(size=(L, K)), RNG.normal(size=(L, K))

    def value(design):
        return tf.reduce_sum(sparse.analytic_weight(design)[0] * target)

    point = tf.Variable(design)
    with tf.GradientTape() as tape:
        total = value(point)
    step = 1e-6
    numeric = (value(design + step * change) - value(design - step * change)) / (2 * step)
    np.testing.assert_allclose(np.sum(tape.gradient(total, point).numpy() * change), numeric, rtol=1e-6)


def test_hyperlista_is_the_papers_loop():
    design = dictionary((50, 100))
    values, _ = signals(design, 4, 3)
    got = sparse.HyperLISTA(num_layers=6, dtype="float64")(values, design).numpy()
    gram = design @ design.T + 1e-6 * np.eye(50) * np.trace(design @ design.T) / 50
    inverse = np.linalg.solve(gram, design)
    weight = inverse / np.sum(inverse * design, axis=0)
    mu = np.abs(weight.T @ design - np.diag(np.diag(weight.T @ design))).max()
    for n in range(4):
        x = before = np.zeros(100)
        for _ in range(6):
            residual = values[n] - design @ x
            left = np.abs(inverse.T @ residual).sum()
            beta = 0.0169 * mu * np.count_nonzero(x)
            moved = x + weight.T @ residual + beta * (x - before)
            share = np.clip(65.9 * np.log(np.abs(inverse.T @ values[n]).sum() / left) / 100, 0, 1)
            keep = np.argsort(-np.abs(moved))[: round(share * 100)]
            threshold = 0.0718 * mu * left
            before, x = x, soft(moved, threshold)
            keep = keep[np.abs(moved[keep]) > threshold]
            x[keep] = moved[keep]
        np.testing.assert_allclose(got[n], x, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "plain"), [(sparse.GatedLISTA, sparse.LISTACPSS), (sparse.GatedALISTA, sparse.ALISTA)]
)
def test_gates(kind, plain):
    """Closed gates leave the pursuit as it is; open ones are the paper's, here with the threshold as a factor of its own."""
    design, theta = dictionary(), 0.05
    values, _ = signals(design, 5, 4)
    gated, step = kind(3, theta, dtype="float64"), plain(1, theta, dtype="float64")
    np.testing.assert_allclose(gated(values, design), plain(3, theta, dtype="float64")(values, design))
    step(values, design)
    given = step.adapt({**step.prepare(design), "values": tf.constant(values)})
    codes = np.zeros((5, K))
    for k, weights in enumerate(gated.layers):
        gain, slope, overshoot = 0.3 + k, 2.0, -1.5
        weights["gain"].assign(gain * theta)
        weights["slope"].assign(slope)
        weights["overshoot"].assign(overshoot * theta / 0.1)
        gained = codes * (1 + gain * theta * np.maximum(1 - np.maximum(slope * np.abs(codes), 0), 0))
        own = {name: tf.convert_to_tensor(weight) for name, weight in step.layers[0].items()}
        outcome = step.step(k, tf.constant(gained), None, given, own).numpy()
        share = 1 - overshoot * theta / (np.abs(outcome - codes) + 0.1)
        codes = share * outcome + (1 - share) * codes
    np.testing.assert_allclose(gated(values, design), codes, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", [*LEARNED, sparse.HyperLISTA])
def test_masked_points_do_not_count_and_designs_may_differ(kind):
    designs = np.stack([dictionary(seed=s) for s in range(3)])
    values = np.stack([signals(design, 1, 5)[0][0] for design in designs])
    mask = np.ones((3, L))
    mask[:, [3, 11]] = 0
    layer = kind(num_layers=4, dtype="float64")
    plain = layer(values, designs, mask).numpy()
    spoiled = np.where(mask > 0, values, np.nan)
    np.testing.assert_allclose(layer(spoiled, designs * np.where(mask > 0, 1, 7)[..., None], mask), plain)
    assert np.abs(plain).max() > 0.1
    one_by_one = [layer(v[None], d[None], m[None])[0] for v, d, m in zip(values, designs, mask, strict=True)]
    np.testing.assert_allclose(one_by_one, plain, rtol=1e-6, atol=1e-9)
    if kind not in (sparse.LISTA, sparse.LISTACP, sparse.LISTACPSS, sparse.TiLISTA, sparse.GatedLISTA):
        rows = mask[0] > 0  # nothing is learned in the space of observations
        fewer = kind(num_layers=4, dtype="float64")(values[:, rows], designs[:, rows])
        np.testing.assert_allclose(fewer, plain, rtol=1e-4, atol=1e-5)


def test_members_have_weights_of_their_own():
    design = dictionary().astype("float32")
    values = np.broadcast_to(signals(design, 4, 6)[0].astype("float32"), (2, 4, L))
    for kind in LEARNED:
        layer = kind(num_layers=3)
        layer.assign_members((0, 1), "pursuit")
        codes = layer(values, design).numpy()
        np.testing.assert_allclose(codes[0], codes[1])
        layer.layers[1]["threshold"].assign([0.07, 0.3])
        changed = layer(values, design).numpy()
        np.testing.assert_allclose(changed[0], codes[0])
        assert np.abs(changed[1] - codes[1]).max() > 1e-3


def test_stagewise_training_learns_and_keeps_the_best():
    design = tf.constant(dictionary((30, 60)), "float32")

    def draw(step):
        seeds = tf.stack([step, tf.constant(7, "int64")])
        codes = tf.random.stateless_normal((64, 60), seeds) * tf.cast(
            tf.random.stateless_uniform((64, 60), seeds + 1) < 0.1, "float32"
        )
        return tf.matmul(codes, design, transpose_b=True), design, codes

    def validation(seed):
        return tuple(np.float32(x) for x in signals(design.numpy(), 300, seed))

    (values, codes), (test, truth) = validation(8), validation(9)
    layer = sparse.ALISTA(num_layers=5)
    before = float(sparse.decibels(layer(test, design), truth))
    history = sparse.train_stagewise(
        layer, draw, (values, design, codes), steps=150, patience=100, learning_rate=0.01
    )
    after = float(sparse.decibels(layer(test, design), truth))
    ista = sparse.LISTACP(num_layers=5)(test, design)
    assert [row["layers"] for row in history] == [1, 2, 3, 4, 5]
    assert after < before - 2 and after < float(sparse.decibels(ista, truth)) - 6
    np.testing.assert_allclose(
        float(sparse.decibels(layer(values, design), codes)), history[-1]["validation"], rtol=1e-4
    )


def test_pairs_are_chosen_by_amplitude():
    """Cosines and sines over whole periods: turning a signal's phases turns its codes and nothing else."""
    rng, t = np.random.default_rng(3), np.arange(48) / 48
    waves = np.exp(2j * np.pi * np.outer(t, np.arange(1, 9)))
    design = np.concatenate([np.ones((48, 1)), waves.real, waves.imag], axis=1)
    design /= np.linalg.norm(design, axis=0)
    layer = sparse.LISTACPSS(6, threshold=0.8, bypass=0.05)
    layer.pair(np.arange(1, 9), np.arange(9, 17), 17)
    codes = rng.normal(size=(1, 8)) + 1j * rng.normal(size=(1, 8))
    found = []
    for turn in (1, np.exp(1j * rng.uniform(0, 6, 8))):
        values = np.concatenate([[[0.2]], (codes * turn).real, -(codes * turn).imag], axis=1) @ design.T
        x = layer(values, design).numpy()
        found.append((x[:, 0], (x[:, 1:9] - 1j * x[:, 9:]) / turn))
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-9)
    assert found[0][0] == 0 and 0 < (found[0][1] == 0).sum() < 8
    plain = sparse.SLISTA(1, threshold=0.3)
    plain.pair(np.arange(1, 9), np.arange(9, 17), 17)
    groups = np.eye(17)[:, :9] + np.pad(np.eye(8), ((9, 0), (1, 0)))
    size = 1 / sparse.solvers.largest_eigenvalue(tf.constant(design.T @ design))
    expected = sparse.proximal.group_threshold(size * tf.constant(values @ design), 0.3, tf.constant(groups))
    np.testing.assert_allclose(plain(values, design), expected, atol=1e-6)


@pytest.mark.parametrize("kind", [sparse.LISTA, sparse.LISTACPSS, sparse.AdaLISTA])
def test_tied_layers_share_their_weights(kind):
    """One layer's weights whatever their number, repeated they give the untied layer's codes, and stages train them."""
    design = dictionary().astype("float32")
    values, codes = (x.astype("float32") for x in signals(design, 16, 1))
    tied, free = kind(3, tied=True), kind(3)
    for layer in (tied, free):
        layer(values, design)
    assert len(tied.weights) == len(tied.layers[0]) + len(tied.shared) < len(free.weights)
    history = sparse.train_stagewise(
        tied, lambda step: (values, design, codes), (values, design, codes), steps=50, patience=50
    )
    assert history[-1]["validation"] < history[0]["validation"]
    for ours, theirs in zip(tied.layers, free.layers, strict=True):
        for name, weight in theirs.items():
            weight.assign(ours[name])
    for name, weight in free.shared.items():
        weight.assign(tied.shared[name])
    np.testing.assert_allclose(tied(values, design), free(values, design), atol=1e-6)
    assert kind.from_config(tied.get_config()).tied


def test_pairs_are_saved_with_a_model(tmp_path):
    layer = sparse.SLISTA(4, threshold=0.05)
    layer.pair([0, 2], [1, 3], K)
    inputs = keras.Input((L,)), keras.Input((L, K))
    model = keras.Model(inputs, layer(*inputs))
    model.save(tmp_path / "model.keras")
    design, values = np.tile(dictionary(), (3, 1, 1)), RNG.normal(size=(3, L))
    expected = model([values, design]).numpy()
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded([values, design]), expected)
    unpaired = sparse.SLISTA(4, threshold=0.05)
    assert np.abs(unpaired(values, design) - expected).max() > 1e-3


def test_stagewise_training_takes_no_more_steps_than_asked_and_needs_weights():
    design = tf.constant(dictionary((10, 20)), "float32")

    def draw(step):
        codes = tf.random.stateless_normal((8, 20), tf.stack([step, tf.constant(7, "int64")]))
        return tf.matmul(codes, design, transpose_b=True), design, codes

    validation = draw(tf.constant(99, "int64"))
    history = sparse.train_stagewise(sparse.SLISTA(1), draw, validation, steps=30)
    assert history[-1]["steps"] == 3 * 30
    with pytest.raises(ValueError, match="HyperLISTA has no weights"):
        sparse.train_stagewise(sparse.HyperLISTA(3), draw, validation, steps=30)
