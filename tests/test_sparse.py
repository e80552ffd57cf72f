"""Proximal maps by brute force, penalties by optimality, solvers against scikit-learn, the layer against differences."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import root
from sklearn.linear_model import ElasticNet as SklearnElasticNet
from sklearn.linear_model import Lasso, orthogonal_mp

from nbeats_basis import sparse
from nbeats_basis.sparse import proximal

PENALTIES = {
    "l1": sparse.L1(0.3),
    "nonnegative": sparse.L1(0.3, nonnegative=True),
    "elastic": sparse.ElasticNet(0.3, ridge=0.5),
    "mcp": sparse.MCP(0.3, gamma=2.5),
    "group": sparse.GroupL1(0.3, groups=[0, 0, 1, 1, 2, 2]),
}


@pytest.fixture
def problem(rng):
    """1000 signals in dictionaries of their own, L = 20, K = 6, a tenth of the points masked, two columns collinear in some."""
    design = rng.normal(size=(1000, 20, 6))
    design[:100, :, 3] = design[:100, :, 2]
    design /= np.linalg.norm(design, axis=1, keepdims=True)
    codes = rng.normal(size=(1000, 6)) * (rng.uniform(size=(1000, 6)) < 0.4)
    values = np.einsum("blk,bk->bl", design, codes) + 0.1 * rng.normal(size=(1000, 20))
    return design, values, rng.uniform(size=(1000, 20)) < 0.9


@pytest.mark.parametrize("name", ["l1", "nonnegative", "elastic", "mcp"])
def test_proximal_maps_minimise(name):
    penalty, step = PENALTIES[name], 0.7
    codes = np.linspace(-2, 2, 81)
    grid = np.linspace(-3, 3, 60001) if name != "nonnegative" else np.linspace(0, 3, 30001)
    values = np.array([penalty.value(tf.constant([g])).numpy() for g in grid[::1000]])  # the values broadcast
    assert np.isfinite(values).all()
    cost = penalty.value(tf.constant(grid[:, None])).numpy()
    expected = [grid[np.argmin((grid - c) ** 2 / 2 + step * cost)] for c in codes]
    np.testing.assert_allclose(penalty.prox(tf.constant(codes), step), expected, atol=2e-4)


def test_group_thresholding_keeps_directions(rng):
    penalty, codes = PENALTIES["group"], rng.normal(size=(50, 6))
    out = penalty.prox(tf.constant(codes), 2.0).numpy().reshape(50, 3, 2)
    pairs = codes.reshape(50, 3, 2)
    norms = np.linalg.norm(pairs, axis=-1, keepdims=True)
    np.testing.assert_allclose(out, pairs * np.maximum(0, 1 - 0.6 / norms), atol=1e-12)
    turned = pairs @ np.array([[0.6, -0.8], [0.8, 0.6]])  # other phases, the same selection
    again = penalty.prox(tf.constant(turned.reshape(50, 6)), 2.0).numpy().reshape(50, 3, 2)
    np.testing.assert_allclose(np.linalg.norm(again, axis=-1), np.linalg.norm(out, axis=-1), atol=1e-12)


def test_support_selection(rng):
    codes = rng.normal(size=(30, 20))
    out = proximal.support_threshold(tf.constant(codes), 0.5, 0.1).numpy()
    for row, got in zip(codes, out, strict=True):
        largest = np.argsort(-np.abs(row))[:2]
        expected = np.sign(row) * np.maximum(np.abs(row) - 0.5, 0)
        for k in largest:
            expected[k] = row[k] if abs(row[k]) > 0.5 else expected[k]
        np.testing.assert_allclose(got, expected)
    soft = proximal.soft_threshold(tf.constant(codes), 0.5)
    np.testing.assert_array_equal(proximal.support_threshold(tf.constant(codes), 0.5, 0.0), soft)


def test_the_hierarchical_map_minimises(rng):
    """Brute force over the bound w = M |skip|: given it, weights are clipped and the skip is chosen on a grid."""
    for _ in range(20):
        skip, weights = rng.normal(), rng.normal(size=4)
        threshold, ratio = rng.uniform(0.1, 1), rng.uniform(0.3, 3)
        b, w = proximal.hierarchical_threshold(
            tf.constant(skip, "float64"), tf.constant(weights), threshold, ratio
        )
        grid = np.sign(skip) * np.linspace(0, 4, 40001)
        clipped = np.minimum(np.abs(weights), ratio * np.abs(grid)[:, None])
        cost = (
            (grid - skip) ** 2 / 2
            + ((np.abs(weights) - clipped) ** 2).sum(axis=1) / 2
            + threshold * np.abs(grid)
        )
        best = np.argmin(cost)
        assert b.numpy() == pytest.approx(grid[best], abs=2e-4)
        np.testing.assert_allclose(np.abs(w), clipped[best], atol=1e-3)


@pytest.mark.parametrize("solver", ["fista", "ista"])
@pytest.mark.parametrize("name", PENALTIES)
def test_solutions_are_stationary(problem, name, solver):
    design, values, mask = problem
    penalty = PENALTIES[name]
    solution = sparse.solve(design, values, penalty, mask, solver, tolerance=1e-12, max_iterations=20000)
    codes = solution.codes.numpy()
    gradient = -np.einsum("blk,bl->bk", design, mask * (values - np.einsum("blk,bk->bl", design, codes)))
    distance = penalty.subgradient_distance(solution.codes, tf.constant(gradient)).numpy()
    assert distance.max() < 1e-5 and solution.gap.numpy().max() <= 1e-12
    if name == "nonnegative":
        assert codes.min() >= 0


@pytest.mark.parametrize("ridge", [0.0, 0.4])
def test_the_path_is_that_of_scikit_learn(problem, ridge):
    design, values, mask = (p[100:104] for p in problem)
    penalty = sparse.ElasticNet(1.0, ridge) if ridge else None
    path = tf.function(lambda *data: vars(sparse.lasso_path(*data, num=12, smallest=0.01, tolerance=1e-13)))(
        tf.constant(design), tf.constant(values), penalty, mask
    )
    assert path["gap"].numpy().max() <= 1e-13 and not path["codes"][0].numpy().any()
    for b in range(4):
        x, y = design[b][mask[b]], values[b][mask[b]]
        for strength, codes in zip(path["strengths"][:, b].numpy(), path["codes"][:, b].numpy(), strict=True):
            total = strength + ridge
            peer = SklearnElasticNet(
                total / len(y), l1_ratio=strength / total, fit_intercept=False, tol=1e-14, max_iter=100_000
            )
            np.testing.assert_allclose(codes, peer.fit(x, y).coef_, atol=1e-6)
    np.testing.assert_allclose(path["strengths"][-1] / path["strengths"][0], 0.01)


@pytest.mark.parametrize("ridge", [0.0, 0.4])
def test_solutions_are_those_of_scikit_learn(problem, ridge):
    design, values, mask = (p[100:160] for p in problem)
    penalty = sparse.ElasticNet(0.2, ridge) if ridge else sparse.L1(0.2)
    ours = sparse.solve(design, values, penalty, mask, tolerance=1e-14).codes.numpy()
    for b in range(60):
        x, y = design[b][mask[b]], values[b][mask[b]]
        if ridge:
            peer = SklearnElasticNet(
                (0.2 + ridge) / len(y), l1_ratio=0.2 / (0.2 + ridge), fit_intercept=False
            )
        else:
            peer = Lasso(0.2 / len(y), fit_intercept=False)
        peer.set_params(tol=1e-14, max_iter=100000).fit(x, y)
        np.testing.assert_allclose(ours[b], peer.coef_, atol=1e-6)


def test_matching_pursuit_is_that_of_scikit_learn(problem):
    design, values, mask = (p[100:160] for p in problem)
    ours = sparse.orthogonal_matching_pursuit(design, values, 3, mask).numpy()
    for b in range(60):
        x = design[b][mask[b]]
        norms = np.linalg.norm(x, axis=0)
        peer = orthogonal_mp(x / norms, values[b][mask[b]], n_nonzero_coefs=3) / norms
        np.testing.assert_allclose(ours[b], peer, atol=1e-9)
    exact = sparse.orthogonal_matching_pursuit(design, design[..., 1], 4, tolerance=1e-8).numpy()
    np.testing.assert_allclose(exact, np.eye(6)[np.full(60, 1)], atol=1e-9)


def test_the_gap_bounds_the_objective(problem):
    design, values, _ = (p[:50] for p in problem)

    def objective(codes):
        return ((values - np.einsum("blk,bk->bl", design, codes)) ** 2).sum(axis=1) / 2 + 0.3 * np.abs(
            codes
        ).sum(axis=1)

    best = objective(sparse.solve(design, values, PENALTIES["l1"], tolerance=1e-13).codes.numpy())
    early = sparse.solve(design, values, PENALTIES["l1"], max_iterations=1)
    excess = (objective(early.codes.numpy()) - best) / ((values**2).sum(axis=1) / 2)
    assert (excess <= early.gap.numpy() + 1e-12).all() and excess.max() > 0


def test_strength_above_the_largest_makes_all_zero(problem):
    design, values, _ = problem
    for name in ("l1", "nonnegative", "mcp", "group"):
        correlations = tf.linalg.matvec(design, values, transpose_a=True)
        largest = PENALTIES[name].alpha_max(correlations).numpy()[:, None]
        for factor, zero in ((1.001, True), (0.9, False)):
            codes = sparse.solve(
                design, values, PENALTIES[name].with_strength(factor * largest), tolerance=1e-10
            ).codes
            assert (np.abs(codes.numpy()).max(axis=1)[largest[:, 0] > 0] < 1e-12).all() == zero


def test_one_dictionary_warm_start_and_float32(problem):
    design, values, _ = problem
    shared = sparse.solve(design[200], values, PENALTIES["l1"], tolerance=1e-10)
    each = sparse.solve(np.repeat(design[200:201], 1000, axis=0), values, PENALTIES["l1"], tolerance=1e-10)
    np.testing.assert_allclose(shared.codes, each.codes, atol=1e-9)
    warm = sparse.solve(design[200], values, PENALTIES["l1"], tolerance=1e-10, start=shared.codes)
    assert warm.iterations < shared.iterations
    single = sparse.solve(design[200].astype("float32"), values, PENALTIES["l1"], tolerance=1e-5)
    assert single.codes.dtype == "float32"
    np.testing.assert_allclose(single.codes, shared.codes, atol=5e-3)


def test_the_layer_solves_and_its_gradient_is_exact(rng):
    design, values = rng.normal(size=(5, 12, 7)), rng.normal(size=(5, 12))
    mask = (rng.uniform(size=(5, 12)) < 0.9).astype(float)
    target = rng.normal(size=(5, 7))

    @tf.function
    def loss(design, values, strength, ridge):
        codes = sparse.lasso(design, values, sparse.ElasticNet(strength, ridge), mask, tolerance=1e-10)
        return tf.reduce_sum((codes - target) ** 2, axis=-1)

    inputs = [tf.constant(x) for x in (design, values, np.full((5, 1), 1.1), np.full((5, 1), 0.2))]
    theory, numeric = tf.test.compute_gradient(loss, inputs, delta=1e-6)
    for t, n in zip(theory, numeric, strict=True):
        np.testing.assert_allclose(t, n, atol=1e-7)
    codes = sparse.lasso(design, values, sparse.L1(1.1), mask).numpy()
    assert 0.2 < (codes == 0).mean() < 0.9
    exact = sparse.solve(design, values, sparse.L1(1.1), mask, tolerance=1e-15).codes
    np.testing.assert_allclose(codes, exact, atol=1e-7)  # polished: better than its own tolerance
    compiled = tf.function(lambda d: sparse.lasso(d, values, sparse.L1(1.1), mask))(tf.constant(design))
    np.testing.assert_allclose(compiled, codes, atol=1e-12)


@pytest.mark.parametrize("signed", [True, False])
def test_entropic_codes_are_optimal_and_their_gradient_is_exact(rng, signed):
    """Against SciPy's root of the optimality conditions, and central differences."""
    design, values = rng.normal(size=(3, 12, 5)), rng.normal(size=(3, 12))
    mask, strength, prior = rng.random((3, 12)) < 0.8, 0.2, 0.05
    codes = sparse.entropic_code(design, values, strength, prior, mask, signed).numpy()
    for b in range(3):
        atoms, y = design[b][mask[b]], values[b][mask[b]]
        atoms = np.concatenate([atoms, -atoms], axis=1) if signed else atoms

        def conditions(u, atoms=atoms, y=y):
            return atoms.T @ (atoms @ (prior * np.exp(u)) - y) + strength * u

        found = root(conditions, np.zeros(atoms.shape[1]), tol=1e-13)
        assert np.abs(conditions(found.x)).max() < 1e-9
        w = prior * np.exp(found.x)
        np.testing.assert_allclose(codes[b], w[:5] - w[5:] if signed else w, atol=1e-6)
    arguments = [tf.constant(x, "float64") for x in (design, values, strength, prior)]
    weights = rng.normal(size=codes.shape)

    def value(*arguments):
        return tf.reduce_sum(sparse.entropic_code(*arguments, mask, signed) * weights)

    with tf.GradientTape() as tape:
        tape.watch(arguments)
        total = value(*arguments)
    for i, gradient in enumerate(tape.gradient(total, arguments)):
        change = rng.normal(size=gradient.shape)
        ends = [value(*arguments[:i], arguments[i] + e * change, *arguments[i + 1 :]) for e in (1e-6, -1e-6)]
        numeric = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(np.sum(gradient * change), numeric, rtol=1e-6, atol=1e-8)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="solver='newton'"):
        sparse.solve(np.eye(2), np.ones(2), sparse.L1(1.0), solver="newton")
    with pytest.raises(ValueError, match="gamma=1"):
        sparse.MCP(1.0, gamma=1)
    with pytest.raises(ValueError, match="without gaps"):
        sparse.GroupL1(1.0, groups=[0, 2])
    with pytest.raises(TypeError, match="MCP"):
        sparse.lasso(np.eye(2), np.ones(2), sparse.MCP(1.0))
