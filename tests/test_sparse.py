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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threshold", [0.5, -0.0, "each"])
def test_support_selection_of_a_share_each(rng, dtype, threshold):
    """Against sorting: shares from none to all, rows of ties and zeros, a threshold for all or for each code."""
    codes = rng.normal(size=(2, 30, 20)).astype(dtype)
    codes[0, :5], codes[1, :5] = rng.choice([0.0, -1.0, 2.0], size=(5, 20)), 0.0
    threshold = rng.uniform(0, 1, 20).astype(dtype) if threshold == "each" else threshold
    counts = rng.integers(0, 21, (2, 30))
    counts[:, -2:] = 0, 20
    sizes = np.abs(codes)
    nth = np.take_along_axis(-np.sort(-sizes), np.maximum(counts - 1, 0)[..., None], -1)
    exempt = (sizes >= nth) & (counts > 0)[..., None] & (sizes > threshold)
    expected = np.where(exempt, codes, np.sign(codes) * np.maximum(sizes - threshold, 0))
    share = tf.constant(counts / 20, dtype)
    for compiled in (None, False, True):
        call = proximal.support_threshold
        call = call if compiled is None else tf.function(call, jit_compile=compiled)
        np.testing.assert_array_equal(
            call(tf.constant(codes), tf.constant(threshold, dtype), share), expected
        )


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


@pytest.mark.parametrize("solver", ["active_set", "fista", "ista"])
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


@pytest.mark.parametrize("strength", [0.0, -0.0])
@pytest.mark.parametrize("solver", sparse.solvers.SOLVERS)
def test_a_strength_of_0_is_least_squares(problem, solver, strength):
    """Only a residual of no correlation is dual feasible then, else 0: the gap is 0 or the share of squares left."""
    design, values, _ = (p[:70] for p in problem)
    found = sparse.solve(
        design,
        values,
        sparse.L1(tf.constant([strength, strength], "float64")[:1]),
        solver=solver,
        max_iterations=300,
    )
    expected = np.stack([np.linalg.lstsq(d, y, rcond=None)[0] for d, y in zip(design, values, strict=True)])
    np.testing.assert_allclose(found.codes, expected, atol=1e-4)
    left = ((values - np.einsum("blk,bk->bl", design, expected)) ** 2).sum(axis=1) / (values**2).sum(axis=1)
    gap = found.gap.numpy()
    assert np.minimum(np.abs(gap - left), np.abs(gap)).max() < 1e-6 and np.abs(gap - left).min() < 1e-6


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


def relative_gap(design, values, codes, strength, ridge=0.0):
    """Return the duality gap over half the sum of squares by its definition, `(B)`, and the violation of optimality over strength."""
    residual = values - np.einsum("blk,bk->bl", design, codes)
    correlation = np.einsum("blk,bl->bk", design, residual) - ridge * codes
    squares = (residual**2).sum(axis=1) + (ridge * codes**2).sum(axis=1)
    scale = np.minimum(1, 1 / np.abs(correlation / strength).max(axis=1))
    fit = (residual * values).sum(axis=1)
    primal = squares / 2 + (strength * np.abs(codes)).sum(axis=1)
    gap = (primal - scale * fit + scale**2 * squares / 2) / ((values**2).sum(axis=1) / 2)
    violation = np.where(
        codes != 0, np.abs(correlation / strength - np.sign(codes)), np.abs(correlation / strength) - 1
    )
    return gap, violation.max(axis=1)


@pytest.fixture(scope="module")
def wide():
    """1000 signals of 24 points in 40 atoms of their own; in a tenth of the problems half the atoms are there twice."""
    rng = np.random.default_rng(3)
    design = rng.normal(size=(1000, 24, 40))
    design[:100, :, 20:] = design[:100, :, :20]
    values = rng.normal(size=(1000, 24))
    return design, values, 0.1 * np.abs(np.einsum("blk,bl->bk", design, values)).max(axis=1, keepdims=True)


@pytest.mark.parametrize("compiled", [True, False])
def test_active_set_is_optimal_in_thousands_of_problems(wide, compiled):
    design, values, strength = wide if compiled else (x[:150] for x in wide)

    def run(*data):
        return vars(sparse.solve(*data, sparse.L1(tf.constant(strength)), tolerance=1e-11))

    found = (tf.function(run) if compiled else run)(tf.constant(design), tf.constant(values))
    gap, violation = relative_gap(design, values, found["codes"].numpy(), strength)
    assert gap.max() < 2e-11 and found["gap"].numpy().max() <= 1e-11
    assert violation.max() < 1e-4
    for b in range(100, 110):
        peer = Lasso(strength[b, 0] / 24, fit_intercept=False, tol=1e-15, max_iter=100_000)
        np.testing.assert_allclose(found["codes"][b], peer.fit(design[b], values[b]).coef_, atol=1e-6)


def test_active_set_with_weights_and_ridge(wide, rng):
    design, values, strength = (x[:70] for x in wide)
    strength = strength * rng.uniform(0.5, 2, size=(70, 40))
    penalty = sparse.ElasticNet(tf.constant(strength), ridge=0.7)
    codes = sparse.solve(design, values, penalty, tolerance=1e-12).codes.numpy()
    gap, violation = relative_gap(design, values, codes, strength, 0.7)
    assert gap.max() < 2e-12 and violation.max() < 1e-4


def test_active_set_says_what_it_did_not_reach(wide):
    """Nearly collinear atoms: a few iterations are not enough, and the gap is true."""
    design, values, strength = (x[:80].copy() for x in wide)
    design[:, :, 20:] = design[:, :, :20] + 1e-3 * design[:, :, 20:]
    few, many = (sparse.solve(design, values, sparse.L1(0.1 * strength), max_iterations=n) for n in (20, 700))
    for found in (few, many):
        gap, _ = relative_gap(design, values, found.codes.numpy(), 0.1 * strength)
        np.testing.assert_allclose(found.gap, gap, rtol=1e-4, atol=1e-12)
    assert few.gap.numpy().max() > 1e-6 and many.gap.numpy().max() < few.gap.numpy().max()
    assert few.iterations <= 44 and many.iterations <= 740


def test_active_set_at_the_edges(wide):
    design, values, strength = (x[:70] for x in wide)
    lasso = sparse.L1(tf.constant(strength))
    assert not sparse.solve(design, 0 * values, lasso, start=np.ones((70, 40))).codes.numpy().any()
    assert not sparse.solve(design, values, sparse.L1(10.01 * strength)).codes.numpy().any()
    one = sparse.solve(design[..., :1], values, sparse.L1(0.5), tolerance=1e-13).codes.numpy()[:, 0]
    moment, square = (design[..., 0] * values).sum(axis=1), (design[..., 0] ** 2).sum(axis=1)
    np.testing.assert_allclose(one, np.sign(moment) * np.maximum(np.abs(moment) - 0.5, 0) / square, atol=1e-9)
    alone = sparse.solve(design[0], values[0], sparse.L1(strength[0]), tolerance=1e-12).codes
    both = sparse.solve(
        design.reshape(2, 35, 24, 40),
        values.reshape(2, 35, 24),
        sparse.L1(strength.reshape(2, 35, 1)),
        tolerance=1e-12,
    )
    assert both.gap.shape == (2, 35)
    nonzero = np.flatnonzero(design[0].any(axis=0))[:20]
    pairs = (
        alone.numpy()[nonzero] + alone.numpy()[nonzero + 20]
    )  # two of each atom: only their sums are unique
    np.testing.assert_allclose(
        pairs, both.codes[0, 0].numpy()[:20] + both.codes[0, 0].numpy()[20:], atol=1e-5
    )
    small = sparse.solve(design, 1e-25 * values, sparse.L1(1e-25 * strength))
    assert small.gap.numpy().max() <= 1e-6
    none = sparse.solve(design[:0], values[:0], sparse.L1(1.0))
    assert none.codes.shape == (0, 40)


def test_active_set_shared_masked_and_started(wide, rng):
    """One dictionary for all, pieces that do not divide the batch, a dynamic batch, single precision, and a warm start."""
    design, values, _ = wide
    shared, mask = tf.constant(design[500]), rng.random((1000, 24)) < 0.8

    @tf.function(input_signature=[tf.TensorSpec([None, 24], "float64"), tf.TensorSpec([None, 24], "bool")])
    def run(values, mask):
        return vars(sparse.solve(shared, values, sparse.L1(0.7), mask, tolerance=1e-10))

    found = run(values[:777], mask[:777])
    each = np.where(mask[..., None], design[500], 0)[:777]
    gap, _ = relative_gap(each, np.where(mask, values, 0)[:777], found["codes"].numpy(), 0.7)
    assert gap.max() < 2e-10
    again = sparse.solve(
        shared, values[:777], sparse.L1(0.7), mask[:777], tolerance=1e-9, start=found["codes"]
    )
    assert again.iterations == 0
    np.testing.assert_array_equal(again.codes, found["codes"])
    single = sparse.solve(tf.cast(shared, "float32"), values[:50], sparse.L1(0.7), mask[:50], tolerance=1e-5)
    assert single.codes.dtype == "float32"
    gap, _ = relative_gap(each[:50], np.where(mask, values, 0)[:50], single.codes.numpy(), 0.7)
    assert gap.max() < 2e-5


def test_active_set_is_saved_with_a_model(wide, tmp_path):
    design, values, _ = wide

    class Coder(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 24], "float64")])
        def __call__(self, values):
            return sparse.solve(tf.constant(design[500]), values, sparse.L1(0.7)).codes

    tf.saved_model.save(Coder(), tmp_path / "coder")
    codes = tf.saved_model.load(tmp_path / "coder")(values[:100])
    expected = sparse.solve(design[500], values[:100], sparse.L1(0.7), tolerance=1e-10).codes
    np.testing.assert_allclose(codes, expected, atol=1e-2)


def test_solutions_of_active_sets_have_no_silent_gradient(wide):
    design, values, _ = wide
    values = tf.constant(values[:3])
    with tf.GradientTape() as tape:
        tape.watch(values)
        codes = sparse.solve(design[:3], values, sparse.L1(0.5)).codes
    with pytest.raises(LookupError, match="lasso"):
        tape.gradient(codes, values)


@pytest.mark.parametrize("signed", [True, False])
def test_a_prior_of_entropic_codes_may_be_one_for_a_signal(rng, signed):
    design, values = rng.normal(size=(5, 8)), rng.normal(size=(3, 5))
    one, several = (
        sparse.entropic_code(design, values, 0.1, p, signed=signed) for p in (0.01, np.full((3, 1), 0.01))
    )
    np.testing.assert_allclose(one, several, rtol=1e-5, atol=1e-7)


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


def test_no_signals_have_no_codes():
    """Of known and unknown number, eagerly and in a graph."""
    design = np.random.default_rng(0).normal(size=(30, 60))
    found = sparse.solve(design, np.zeros((0, 30)), sparse.L1(0.1))
    assert found.codes.shape == (0, 60) and found.iterations == 0
    spec = tf.TensorSpec((None, 30), "float64")
    code = tf.function(
        lambda values: sparse.solve(design, values, sparse.L1(0.1)).codes, input_signature=[spec]
    )
    assert code(np.zeros((0, 30))).shape == (0, 60)
    assert code(np.ones((3, 30))).shape == (3, 60)


def test_a_window_without_observations_has_codes_and_gradients_of_zero(rng):
    design, values = tf.Variable(rng.normal(size=(6, 3))), tf.constant(rng.normal(size=(2, 6)))
    strength, mask = tf.Variable([[0.1], [0.1]], dtype="float64"), np.ones((2, 6))
    mask[1] = 0

    def gradients(values, strength, mask):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(sparse.lasso(design, values, sparse.L1(strength), mask=mask) ** 2)
        return tape.gradient(total, [design, strength])

    both = gradients(values, strength, mask)
    alone = gradients(values[:1], tf.Variable(strength[:1]), mask[:1])
    np.testing.assert_allclose(both[0], alone[0], rtol=1e-9)
    assert both[1][1] == 0 and alone[1][0] != 0


def test_one_signal_is_coded_in_many_dictionaries(rng):
    designs, values = rng.normal(size=(3, 15, 10)), rng.normal(size=15)
    codes = sparse.lasso(designs, values, sparse.L1(0.3)).numpy()
    for design, code in zip(designs, codes, strict=True):
        np.testing.assert_allclose(code, sparse.lasso(design, values, sparse.L1(0.3)), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_matching_pursuit_leaves_out_atoms_that_are_nowhere_observed(rng, dtype):
    design = rng.normal(size=(20, 8)).astype(dtype)
    design[:12, 3:] = 0  # seen later only
    values, mask = rng.normal(size=20).astype(dtype), (np.arange(20) < 12).astype(dtype)
    codes = sparse.orthogonal_matching_pursuit(design, values, 6, mask).numpy()
    expected = np.linalg.lstsq(design[:12, :3], values[:12], rcond=None)[0]
    np.testing.assert_allclose(codes, np.r_[expected, np.zeros(5)], atol=1e-4 if dtype == "float32" else 1e-9)
