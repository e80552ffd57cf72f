"""Heads and losses against SciPy and formulas."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize, stats

import nbeats_basis as nb
from nbeats_basis.losses import member_losses

HEADS = [
    nb.heads.Point(),
    nb.heads.Point(["mae", "mase"], 4),
    nb.heads.Normal(),
    nb.heads.StudentT(),
    nb.heads.StudentT(["height", "change"]),
]


def softplus(x):
    """Return log(1 + e^x)."""
    return np.log1p(np.exp(x))


@pytest.mark.parametrize("head", HEADS, ids=repr)
def test_config_round_trip(head):
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(head)) == head


def test_log_densities_match_scipy(rng):
    params, y = rng.normal(size=(1, 5, 3, 3)).astype("float32"), rng.normal(size=(1, 5, 3)).astype("float32")
    loc, scale = params[..., 0], softplus(params[..., 1]) + 1e-3
    freedom = 2 + softplus(params[..., 2] + 2) + 1e-3
    weights = np.ones_like(y)
    normal = member_losses(nb.heads.Normal(), params[..., :2], y, weights, {})
    student = member_losses(nb.heads.StudentT(), params, y, weights, {})
    np.testing.assert_allclose(normal, [-stats.norm.logpdf(y, loc, scale).mean()], rtol=1e-4)
    np.testing.assert_allclose(student, [-stats.t.logpdf(y, freedom, loc, scale).mean()], rtol=1e-4)


@pytest.mark.parametrize("head", [nb.heads.Normal(), nb.heads.StudentT()], ids=repr)
def test_log_densities_and_their_gradients_are_those_of_the_distribution(head, rng):
    params = tf.constant(5 * rng.normal(size=(200, head.num_params)), "float32")
    if head.num_params == 3:  # up to 1,000 degrees of freedom
        params = tf.concat([params[:, :2], 10 ** tf.constant(rng.uniform(-1, 3, (200, 1)), "float32")], -1)
    y = tf.constant(rng.normal(size=200), "float32")
    answers = []
    for law in (head.log_prob, lambda params, y: head.distribution(params).log_prob(y)):
        with tf.GradientTape() as tape:
            tape.watch(params)
            density = law(params, y)
        answers.append((density, tape.gradient(density, params)))
    for ours, theirs in zip(*answers, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("head", [nb.heads.Normal(), nb.heads.StudentT()], ids=repr)
@pytest.mark.parametrize("spread", [0.1, 30.0])
def test_mixture_quantiles_invert_the_mixtures_distribution_function(head, spread, rng):
    params = rng.normal(size=(4, 3, 2, head.num_params))
    params[..., 0] *= spread  # members that agree, and members far apart
    scale = rng.uniform(0.5, 2, (4, 3, 2))
    levels = np.array([0.025, 0.1, 0.5, 0.9, 0.975])
    shares = np.array([0.1, 0.4, 0.2, 0.3])
    quantiles = head.quantile(*(tf.constant(x) for x in (params, scale, levels, shares))).numpy()
    assert (np.diff(quantiles) > 0).all()
    width = (softplus(params[..., 1]) + 1e-3) * scale
    freedom = 2 + softplus(params[..., 2] + 2) + 1e-3 if head.num_params == 3 else np.inf + width
    for b, h, q in np.ndindex(3, 2, 5):

        def excess(x, b=b, h=h, q=q):
            return stats.t.cdf(x, freedom[:, b, h], params[:, b, h, 0], width[:, b, h]) @ shares - levels[q]

        root = optimize.brentq(excess, -1e4, 1e4, xtol=1e-12)
        assert abs(excess(quantiles[b, h, q])) < 1e-6
        if spread < 1:  # far apart, the distribution function is flat between members
            assert quantiles[b, h, q] == pytest.approx(root, abs=1e-3)


def test_quantiles_of_one_member_are_those_of_scipy(rng):
    params = tf.constant(3 * rng.normal(size=(1, 50, 1, 3)))
    levels = np.array([1e-5, 0.001, 0.2, 0.5, 0.9, 0.9999])
    scale = tf.constant(rng.uniform(0.1, 100, (1, 50, 1)))
    quantiles = nb.heads.StudentT().quantile(params, scale, tf.constant(levels), tf.ones(1, "float64"))[:, 0]
    width, freedom = softplus(params[0, :, :, 1]) + 1e-3, 2 + softplus(params[0, :, :, 2] + 2) + 1e-3
    expected = stats.t.ppf(levels, freedom, params[0, :, :, 0], width * scale[0])
    np.testing.assert_allclose(quantiles, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("head", [nb.heads.Normal(), nb.heads.StudentT()], ids=repr)
def test_members_without_spread_are_steps_of_the_mixture(head, rng):
    params = rng.normal(size=(2, 4, 1, head.num_params))
    params[..., 0] = [[[-1.0]], [[1.0]]]
    levels, shares = tf.constant([0.1, 0.7], "float64"), tf.constant([0.4, 0.6], "float64")
    scale = np.ones((2, 4, 1)) * [[[0.0]], [[0.0]]]
    quantiles = head.quantile(tf.constant(params), tf.constant(scale), levels, shares)[:, 0]
    np.testing.assert_allclose(quantiles, [[-1, 1]] * 4, atol=1e-6)


def test_a_head_needs_only_its_distribution(rng):
    class Laplace(nb.heads.Distribution):
        num_params = 2

        def distribution(self, params, scale=1.0):
            import tensorflow_probability as tfp

            return tfp.distributions.Laplace(params[..., 0], self._spread(params) * scale)

    levels, shares = np.array([0.001, 0.1, 0.5, 0.9, 0.999]), np.array([0.1, 0.4, 0.2, 0.3])
    params, scale = rng.normal(size=(4, 50, 2, 2)) * [1, 3], rng.uniform(0.1, 10, (4, 50, 2))
    quantiles = Laplace().quantile(*(tf.constant(x) for x in (params, scale, levels, shares)))
    width = (softplus(params[..., 1]) + 1e-3) * scale
    reached = stats.laplace.cdf((quantiles - params[..., :1]) / width[..., None])
    np.testing.assert_allclose(
        np.tensordot(shares, reached, 1), np.broadcast_to(levels, (50, 2, 5)), rtol=1e-6
    )


def test_quantiles_beside_narrow_members_are_found():
    """Members of widths from 1e-4 to 100: beside a narrow one steps are short, and stay inside their bracket."""
    rng, levels, shares = np.random.default_rng(0), np.array([0.01, 0.3, 0.5, 0.9]), np.full(6, 1 / 6)
    params, scale = rng.normal(size=(6, 4000, 1, 3)) * [1, 3, 4], rng.uniform(0.1, 10, (6, 4000, 1))
    quantiles = nb.heads.StudentT().quantile(*(tf.constant(x) for x in (params, scale, levels, shares)))
    width, freedom = (softplus(params[..., 1]) + 1e-3) * scale, 2 + softplus(params[..., 2] + 2) + 1e-3
    units = (quantiles - params[..., :1]) / width[..., None]
    reached = stats.t.cdf(units, freedom[..., None]).mean(axis=0)
    np.testing.assert_allclose(reached, np.broadcast_to(levels, reached.shape), rtol=1e-6)


@pytest.mark.parametrize("constant", [[], [0], [0, 1], [0, 1, 2]], ids=str)
def test_quantiles_of_many_are_found_in_few_steps(constant, rng, monkeypatch):
    """Also where a window is constant, or its end, which the shorter lookbacks read."""
    head, count = nb.heads.StudentT(), []
    params, scale = rng.normal(size=(3, 300, 6, 3)) * [0.3, 1, 1], np.ones((3, 300, 6))
    level = 6.835972487871987  # the mean of three is another number
    params[..., 0] += level
    scale[constant, 7], params[constant, 7, :, 0] = 0, level
    cumulative = head.cumulative

    def counted(*args):
        law = cumulative(*args)
        return lambda distances: count.append(1) or law(distances)

    monkeypatch.setattr(head, "cumulative", counted)
    levels, shares = np.array([0.025, 0.5, 0.9, 0.975]), np.array([0.25, 0.35, 0.4])
    quantiles = head.quantile(*(tf.constant(x) for x in (params, scale, levels, shares))).numpy()
    assert len(count) <= 25
    if constant:
        width, freedom = softplus(params[:, 7, :, 1]) + 1e-3, 2 + softplus(params[:, 7, :, 2] + 2) + 1e-3
        for h, q in np.ndindex(6, 4):
            at = quantiles[7, h, q] + np.array([-1e-6, 1e-6])
            units = (at - params[:, 7, h, :1]) * np.where(scale[:, 7, h] > 0, 1 / width[:, h], 1e99)[:, None]
            below, above = shares @ stats.t.cdf(units, freedom[:, h, None])
            assert below <= levels[q] <= above


def test_a_distribution_that_is_none_has_no_quantiles():
    params = tf.constant([[[[0.0, 0.0, np.inf]]], [[[0.0, 0.0, 0.0]]]], "float64")
    levels = tf.constant([0.1, 0.9], "float64"), tf.constant([0.5, 0.5], "float64")
    assert np.isnan(nb.heads.StudentT().quantile(params, tf.ones((2, 1, 1), "float64"), *levels)).all()


def test_point_losses_match_their_formulas(rng):
    values, y, f = rng.uniform(5, 9, (1, 2, 8)), rng.uniform(5, 9, (1, 2, 3)), rng.uniform(5, 9, (1, 2, 3))
    shift, scale = values[..., -1:], values.std(axis=-1, keepdims=True)
    window = {
        "values": tf.constant((values - shift) / scale, "float32"),
        "observed": tf.ones((1, 2, 8)),
        "level": tf.constant((shift / scale)[..., 0], "float32"),
    }
    weights = np.array([[[1, 1, 0], [1, 1, 1]]], "float32")
    error = np.abs(y - f)
    moved = (np.abs(y - shift) * weights).sum(axis=-1, keepdims=True) / weights.sum(axis=-1, keepdims=True)
    lowest = np.minimum(values.min(axis=-1), np.where(weights > 0, y, np.inf).min(axis=-1))[..., None]
    naive = np.abs(values[..., 4:] - values[..., :-4]).mean(axis=-1, keepdims=True)
    expected = {
        "mae": error / scale,
        "mse": (error / scale) ** 2,
        "smape": 200 * error / (y + f),
        "mape": 100 * error / y,
        "mase": error / naive,
        "change": error / (scale / 2 + moved),
        "height": error / (scale / 2 + y - lowest),
    }
    params = tf.constant(((f - shift) / scale)[..., None], "float32")
    targets = tf.constant((y - shift) / scale, "float32")
    for name, errors in expected.items():
        loss = member_losses(nb.heads.Point(name, season_length=4), params, targets, weights, window)
        np.testing.assert_allclose(loss, [(errors * weights).sum() / weights.sum()], rtol=1e-4)


def test_members_take_the_losses_in_turn(rng):
    params, y = rng.normal(size=(4, 2, 3, 1)).astype("float32"), rng.normal(size=(4, 2, 3)).astype("float32")
    window = {"values": tf.ones((4, 2, 5)), "observed": tf.ones((4, 2, 5)), "level": tf.ones((4, 2))}
    losses = member_losses(nb.heads.Point(["mse", "mae"]), params, y, np.ones_like(y), window)
    error = np.abs(params[..., 0] - y)
    expected = [(error[k] ** 2 if k % 2 == 0 else error[k]).mean() for k in range(4)]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_members_take_what_trains_the_location_in_turn(rng):
    names = ["height", "likelihood", "change"]
    params, y = rng.normal(size=(4, 2, 3, 3)).astype("float32"), rng.normal(size=(4, 2, 3)).astype("float32")
    values = rng.normal(size=(4, 2, 5)).astype("float32")
    head, ones = nb.heads.StudentT(names), np.ones_like(y)
    window = {"values": values, "observed": np.ones_like(values), "level": np.ones((4, 2), "float32")}
    losses = member_losses(head, params, y, ones, window)
    for k in range(4):
        own = (x[k : k + 1] for x in (params, y, ones))
        part = {key: value[k : k + 1] for key, value in window.items()}
        assert head.member(k) == nb.heads.StudentT(names[k % 3])
        np.testing.assert_allclose(member_losses(head.member(k), *own, part)[0], losses[k], rtol=1e-5)


def test_smape_stops_the_gradient_in_its_denominator():
    f = tf.constant([[[[1.0]]]])
    window = {"values": tf.zeros((1, 1, 2)), "observed": tf.ones((1, 1, 2)), "level": tf.zeros((1, 1))}
    with tf.GradientTape() as tape:
        tape.watch(f)
        loss = member_losses(nb.heads.Point("smape"), f, tf.constant([[[3.0]]]), tf.ones((1, 1, 1)), window)
    assert float(tape.gradient(loss, f)[0, 0, 0, 0]) == pytest.approx(-200 / 4)


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match="loss='huber'"):
        nb.heads.Point("huber")
    with pytest.raises(ValueError, match="location='huber'"):
        nb.heads.StudentT(["change", "huber"])
    with pytest.raises(ValueError, match="at least one name"):
        nb.heads.StudentT([])


@pytest.mark.parametrize("location", ["mae", "smape", "mape", "change", "height"])
def test_the_location_learns_from_its_own_loss_and_the_spread_from_likelihood(location):
    rng = np.random.default_rng(3)
    params = tf.constant(rng.normal(size=(2, 3, 4, 3)), "float32")
    y = tf.constant(rng.normal(size=(2, 3, 4)), "float32")
    weights, window = (
        tf.ones_like(y),
        {
            "level": tf.fill((2, 3), 5.0),
            "values": tf.constant(rng.normal(size=(2, 3, 6)), "float32"),
            "observed": tf.ones((2, 3, 6)),
        },
    )

    def gradient(head):
        with tf.GradientTape() as tape:
            tape.watch(params)
            loss = member_losses(head, params, y, weights, window)
        return tape.gradient(loss, params).numpy()

    mixed, likelihood = gradient(nb.heads.StudentT(location)), gradient(nb.heads.StudentT())
    alone = gradient(nb.heads.Point(location))[..., :1]
    unit = mixed[..., :1].sum(axis=(1, 2, 3), keepdims=True) / alone.sum(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(mixed[..., :1], unit * alone, rtol=1e-4)  # but for one factor a member
    assert location != "mae" or np.allclose(unit, 1)
    np.testing.assert_allclose(mixed[..., 1:], likelihood[..., 1:], rtol=1e-5)
    assert np.abs(mixed[..., 0] - likelihood[..., 0]).max() > 1e-3
    assert nb.heads.StudentT.from_config(nb.heads.StudentT(location).get_config()) == nb.heads.StudentT(
        location
    )
