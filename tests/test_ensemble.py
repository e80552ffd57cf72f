"""Networks of several kinds as one forecast, presets, and each member's own best weights."""

from dataclasses import replace
from math import ceil

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.optimize
import tensorflow as tf

import nbeats_basis as nb
from nbeats_basis.assembly import resolve
from nbeats_basis.panel import Columns, Panel
from nbeats_basis.presets import plan
from nbeats_basis.weighting import mixture_weights
from nbeats_basis.windows import Windows

FEW = nb.Training(steps=4, epochs=2, batch_size=16)


def panel_frame():
    return nb.synthetic.seasonal_panel(6, 60, seed=0)


@pytest.fixture(scope="module")
def fast():
    return nb.Forecaster(6, preset="fast", freq=1, training=FEW).fit(panel_frame(), verbose=0)


def nets(head=None, members=2):
    stacks = [[nb.Trend(units=8), nb.Seasonality([4], units=8)], [nb.Trend(units=8), nb.Generic(units=8)]]
    return [nb.NBeats(each, 4, 12, head=head, members=members, seed=i) for i, each in enumerate(stacks)]


def test_an_ensemble_of_points_forecasts_the_median_of_all_members():
    values = np.random.default_rng(0).normal(size=(3, 12)).cumsum(axis=1)
    parts = nets(members=3)
    each = np.concatenate([[net.member(k).forecast(values)["mean"] for k in range(3)] for net in parts])
    combined = nb.Ensemble(parts).forecast(values)
    assert np.allclose(combined["mean"], np.median(each, axis=0), rtol=1e-5)
    assert np.allclose(tf.reduce_sum(combined["components"], axis=-1), combined["mean"])


def test_an_ensemble_of_distributions_is_their_mixture():
    values = np.random.default_rng(0).normal(size=(3, 12)).cumsum(axis=1)
    parts = nets(nb.heads.Normal())
    combined = nb.Ensemble(parts).forecast(values, [0.1, 0.9])
    share = 0.0
    for net in parts:
        out = net(values)
        params = tf.concat(
            [
                out["params"][..., :1] * tf.cast(out["scale"], "float32")[..., None, None],
                out["params"][..., 1:],
            ],
            -1,
        )
        law = net.head.distribution(tf.cast(params, "float64"), out["scale"][..., None])
        share += (
            tf.reduce_mean(law.cdf(combined["quantiles"][None, ..., 1] - out["shift"][..., None]), axis=0) / 2
        )
    assert np.allclose(share, 0.9, atol=1e-5)


def test_small_changes_about_a_large_level_are_seen():
    """Values and times reach the networks in float64."""
    ensemble, values = nb.Ensemble(nets()), np.random.default_rng(0).normal(size=(3, 12))
    high = ensemble.forecast(1e9 + values)["mean"].numpy() - 1e9
    np.testing.assert_allclose(high, ensemble.forecast(values)["mean"].numpy(), atol=1e-5)


def test_components_of_one_name_are_one():
    ensemble = nb.Ensemble(nets())
    assert ensemble.component_names == ["trend", "seasonality", "generic"]
    values = np.random.default_rng(0).normal(size=(3, 12))
    trend = [tf.reduce_mean(net(values)["components"][:, :, 0], axis=0) for net in ensemble.nets]
    joined = tf.reduce_mean(ensemble(values)["components"][:, :, 0], axis=0)
    assert np.allclose(joined, np.mean(trend, axis=0), atol=1e-6)


@keras.saving.register_keras_serializable(package="tests")
class Wide(nb.heads.Normal):
    """A head whose spread has an argument of its own."""

    def __init__(self, location="likelihood", width=1.0):
        super().__init__(location)
        self.width = width

    def get_config(self):
        return {**super().get_config(), "width": self.width}

    def _spread(self, params):
        return self.width * super()._spread(params)


def test_heads_that_mean_the_same_fit_together():
    for heads in ((Wide("mae", 2), Wide("change", 2)), (nb.heads.Point("mae"), nb.heads.Point("mase", 4))):
        assert len(nb.Ensemble([nets(head)[0] for head in heads]).nets) == 2


@pytest.mark.parametrize("other", [{"horizon": 5}, {"lookback": 16}, {"head": Wide(width=3)}], ids=str)
def test_networks_that_do_not_fit_together_are_refused(other):
    nets = [
        nb.NBeats([nb.Trend(units=8)], **{"horizon": 4, "lookback": 12, "head": Wide(), **more})
        for more in ({}, other)
    ]
    with pytest.raises(ValueError, match="one horizon, window, encoder and form of head"):
        nb.Ensemble(nets)


def test_an_ensemble_of_ensembles_holds_their_networks(tmp_path):
    first, second, third = *nets(), nets()[0]
    nested = nb.Ensemble([nb.Ensemble([first, second]), third])
    assert nested.networks() == [first, second, third]
    values = np.arange(24.0).reshape(2, 12)
    nested.save(tmp_path / "nested.keras")
    loaded = keras.saving.load_model(tmp_path / "nested.keras")
    np.testing.assert_array_equal(loaded.forecast(values)["mean"], nested.forecast(values)["mean"])


def test_an_ensemble_refuses_one_network_twice_and_training():
    net = nets()[0]
    with pytest.raises(ValueError, match="a network twice"):
        nb.Ensemble([net, nb.Ensemble([net])])
    with pytest.raises(NotImplementedError, match="of each of its networks"):
        nb.Ensemble([net]).fit(np.ones((2, 12)), np.ones((2, 4)))


def test_a_preset_trains_several_kinds_with_members_of_their_own(fast):
    assert [(net.component_names, net.scalings, len(set(net.lookbacks))) for net in fast.model.nets] == [
        (["trend", "generic"], ("std",) * 3 + ("ratio",) * 3, 3),
        (["trend"], ("ratio",) * 2, 2),
    ]
    seeds = [seed for net in fast.model.nets for seed in net.member_seeds]
    assert len(set(seeds)) == fast.model.members == 8
    assert set(fast.history_) == {"loss", "smoothing.loss"}
    shares = [net.shares.numpy() for net in fast.model.nets]
    assert shares[1].sum() == shares[0].sum() == 6


def test_a_preset_answers_like_one_network(fast, tmp_path):
    forecast = fast.predict(level=[80])
    parts = fast.decompose()
    names = ["level", *fast.model.component_names]
    assert np.allclose(parts[names].sum(axis=1), forecast["NBeatsBasis"])
    fast.save(tmp_path / "model")
    loaded = nb.Forecaster.load(tmp_path / "model")
    assert loaded.preset == "fast"
    assert loaded.predict(level=[80]).equals(forecast)
    fast.export(tmp_path / "served", level=[80])
    frame = panel_frame().pivot(index="unique_id", columns="ds", values="y")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"](
        values=tf.constant(frame.to_numpy()),
        times=tf.constant(np.tile(frame.columns.to_numpy("float64"), (len(frame), 1))),
        query_times=tf.constant(frame.columns.max() + np.tile(np.arange(1.0, 7), (len(frame), 1))),
    )
    assert np.allclose(served["mean"].numpy().ravel(), forecast["NBeatsBasis"], rtol=1e-5)


def test_arguments_given_count_for_all_networks_of_a_preset():
    stacks = [nb.Trend(units=8)]
    forecaster = nb.Forecaster(6, 9, 1, stacks, nb.heads.Point(), members=2, training=FEW, preset="best")
    model = forecaster.fit(panel_frame(), verbose=0).model
    assert model.lookbacks == (9, 9) and model.component_names == ["trend"] and model.head == nb.heads.Point()


@pytest.mark.parametrize(("argument", "value"), [("preset", "good"), ("members", "many"), ("members", 0)])
def test_unknown_presets_and_members_are_refused(argument, value):
    with pytest.raises((ValueError, TypeError), match=argument):
        nb.Forecaster(6, freq=1, **{argument: value}).fit(panel_frame(), verbose=0)


def test_each_member_keeps_its_own_best_epoch():
    windows = Windows(Panel.from_frame(panel_frame(), Columns(), 1), 12, 4, 16, holdout=4)

    def trained(epochs, callbacks=()):
        net = nb.NBeats([nb.Trend(units=16)], 4, 12, members=4)
        net.compile("adam")
        net.optimizer.learning_rate = 0.03
        net.fit(
            windows,
            epochs=epochs,
            steps_per_epoch=2,
            validation_data=windows.validation(),
            callbacks=list(callbacks),
            verbose=0,
        )
        return net

    stopping = nb.MemberEarlyStopping(patience=50)
    kept = trained(12, [stopping])
    assert len(set(stopping.best_epochs_)) > 1, "the test needs members that are best at different epochs"
    for member, epoch in enumerate(stopping.best_epochs_):
        alone = trained(int(epoch)).trainable_variables
        for ours, theirs in zip(kept.trainable_variables, alone, strict=True):
            assert np.allclose(ours[member], theirs[member], atol=1e-6)
    inputs, targets = windows.validation().gather(tf.constant(windows.validation().origins))
    losses = kept.losses_of(inputs, targets).numpy()
    for epoch in (1, 6, 12):
        assert (losses <= trained(epoch).losses_of(inputs, targets).numpy() + 1e-6).all()


def test_members_that_get_no_better_stop_training():
    windows = Windows(Panel.from_frame(panel_frame(), Columns(), 1), 12, 4, 16, holdout=4)
    net = nb.NBeats([nb.Trend(units=8)], 4, 12, members=2)
    net.compile("adam")
    net.optimizer.learning_rate = 0.0
    arguments = {"epochs": 9, "steps_per_epoch": 1, "validation_data": windows.validation(), "verbose": 0}
    log = net.fit(windows, callbacks=[nb.MemberEarlyStopping(patience=2)], **arguments)
    assert len(log.epoch) == 3
    with pytest.raises(ValueError, match="val_size"):
        net.fit(windows, steps_per_epoch=1, callbacks=[nb.MemberEarlyStopping()], verbose=0)


@pytest.mark.parametrize(
    ("preset", "longer", "shift", "members", "kinds"),
    [
        (None, None, 0, 12, 1),
        ("fast", 2, 0, 6, 1),
        ("best", 4, 0, 24, 1),
        ("fast", 2, -99, 3, 2),
        ("best", 4, -99, 12, 2),
    ],
)
def test_a_preset_trains_longer_for_errors_relative_to_the_change(preset, longer, shift, members, kinds):
    panel = Panel.from_frame(panel_frame().assign(y=lambda df: df.y + shift), Columns(), 1)
    networks = plan(nb.Forecaster(6, preset=preset).get_params(), panel)
    assert len(networks) == kinds + 1
    for each in networks[:kinds]:
        assert each["training"].steps == (longer and longer * 50) and each["members"] == members
        assert each["head"] == nb.heads.StudentT("change" if preset else "height")
    for each in networks[kinds:]:
        assert each["training"].steps == 100 and each["members"] == 2 and 2 * each["share"] == kinds * members


@pytest.mark.parametrize(("preset", "steps"), [(None, None), ("fast", 1000), ("best", 2000)])
def test_presets_train_large_panels_no_longer_than_helps(preset, steps):
    panel = Panel.from_frame(nb.synthetic.seasonal_panel(700, 100), Columns(), 1)
    assert plan(nb.Forecaster(6, preset=preset).get_params(), panel)[0]["training"].steps == steps
    asked = nb.Forecaster(6, preset=preset, training=nb.Training(steps=3000))
    assert plan(asked.get_params(), panel)[0]["training"].steps == 3000


def test_a_preset_says_how_long_to_train_where_the_training_does_not():
    panel = Panel.from_frame(panel_frame(), Columns(), 1)
    usual = plan(nb.Forecaster(6, preset="fast").get_params(), panel)[0]["training"]
    training = nb.Training(precision="bfloat16", learning_rate=0.01)
    asked = plan(nb.Forecaster(6, preset="fast", training=training).get_params(), panel)[0]["training"]
    assert asked == replace(training, steps=usual.steps)
    few = plan(nb.Forecaster(6, preset="fast", training=FEW).get_params(), panel)[0]["training"]
    assert few == FEW


def test_the_default_has_smoothing_of_half_the_weight_beside_its_network():
    """Smoothing trains for few steps, without callbacks: what they keep and stop is the network's."""
    seen = []
    callback = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: seen.append("begun"))
    training = nb.Training(steps=120, epochs=2, batch_size=4)
    forecaster = nb.Forecaster(6, freq=1, members=3, training=training)
    forecaster.fit(panel_frame(), val_size=6, callbacks=[callback], verbose=0)
    network, smoothing = forecaster.model.nets
    assert [stack.component for stack in smoothing.stacks] == ["smoothing"] and smoothing.scaling == "std"
    assert (network.optimizer.iterations, smoothing.optimizer.iterations) == (120, 100)
    assert set(forecaster.history_) == {"loss", "val_loss", "smoothing.loss", "smoothing.val_loss"}
    np.testing.assert_allclose(forecaster.weights_, [1 / 6] * 3 + [1 / 4] * 2, rtol=1e-6)
    assert seen == ["begun"]


@pytest.mark.parametrize(
    ("kwargs", "shift", "scalings"),
    [
        ({"preset": "best"}, 0, [["std"] * 12 + ["ratio"] * 12, "ratio"]),
        ({"preset": "best", "members": 3}, 0, [["std", "std", "ratio"], "ratio"]),
        ({"preset": "best"}, 1e3, ["std", "std", "std"]),
        ({"preset": "fast"}, 1e3, ["std", "std", "std"]),
        ({"preset": "fast"}, 0, [["std"] * 3 + ["ratio"] * 3, "ratio"]),
        ({"preset": "fast"}, -8, ["std", "std", "std"]),
        ({"preset": "best"}, -8, ["std", "std", "std"]),
        (
            {"preset": "fast", "head": nb.heads.StudentT("mape")},
            0,
            [["level"] * 3 + ["ratio"] * 3, "ratio"],
        ),
        ({"preset": "best", "scaling": "none"}, 0, ["none"] * 3),
        ({"preset": "fast", "members": 1}, 0, [["std"], "ratio"]),
        ({"scaling": ["std", "ratio"]}, 0, [["std", "ratio"]] * 2),
        ({"preset": "best", "freq": None}, 0, ["std"]),
        ({"head": nb.heads.StudentT("mape")}, 0, ["level", "level"]),
        ({}, 0, ["std", "std"]),
        ({"freq": None}, 0, ["std"]),
    ],
)
def test_presets_see_values_as_ratios_where_none_is_negative_and_percentages_matter(kwargs, shift, scalings):
    frame = panel_frame().assign(y=lambda df: df.y.abs() + 1 + shift)
    panel = Panel.from_frame(frame, Columns(), kwargs.get("freq", 1))
    networks = plan(nb.Forecaster(6, **kwargs).get_params(), panel)
    assert [each["scaling"] for each in networks] == scalings
    if isinstance(scalings[0], list) and "preset" in kwargs:  # both halves read as far
        first, half = networks[0], ceil(networks[0]["members"] / 2)
        both = first["lengths"][:half], first["lengths"][half:]
        assert all(a == b for a, b in zip(*both, strict=False)) and len(sum(both, [])) == first["members"]
    total = kwargs.get("members", {"best": 24, "fast": 6}.get(kwargs.get("preset")))
    smoothing = [each for each in networks if "smoothing" in {stack.component for stack in each["stacks"]}]
    assert total in (
        None,
        sum(each["members"] for each in networks) - sum(each["members"] for each in smoothing),
    )
    assert [each["scaling"] for each in smoothing] == scalings[-1:] * (kwargs.get("freq", 1) is not None)
    assert all(each["stacks"][0].multiplicative for each in smoothing)


@pytest.mark.parametrize(
    ("preset", "freq", "size"), [(None, "MS", (128, 4)), ("fast", "QS", (128, 4)), ("best", "MS", (256, 2))]
)
def test_blocks_of_presets_are_flat_and_wide_for_months(preset, freq, size):
    frame = panel_frame()
    frame["ds"] = pd.date_range("2000", periods=60, freq=freq)[frame.ds.to_numpy() - frame.ds.min()]
    networks = plan(nb.Forecaster(6, preset=preset).get_params(), Panel.from_frame(frame, Columns(), freq))
    stacks = [s for each in networks for s in each["stacks"] if s.component != "smoothing"]
    assert {(s.units, s.num_layers) for s in stacks} == {size}


@pytest.mark.parametrize(
    ("freq", "days", "lookback", "seasons", "lookbacks"),
    [
        ("h", 40, None, [24, 168], ([192] * 4, [504, 672])),
        ("30min", 15, None, [48, 336], ([384] * 4, [1008, 1344])),
        ("h", 13, None, [24], ([48] * 4, [48] * 2)),  # too few weeks
        ("h", 40, 335, [24], ([335] * 4, [335] * 2)),
        ("h", 40, 336, [24, 168], ([336] * 4, [336] * 2)),
        ("5min", 40, None, [288], ([576] * 4, [576] * 2)),  # a week of 2,016 steps
        ("D", 300, None, [7], ([14, 18, 24, 30], [24, 36])),
    ],
)
def test_hours_and_parts_of_them_have_days_and_weeks(freq, days, lookback, seasons, lookbacks):
    times = pd.date_range("2024", pd.Timestamp("2024") + pd.Timedelta(days=days), freq=freq)
    panel = Panel.from_frame(
        pd.DataFrame({"unique_id": "a", "ds": times, "y": np.sin(np.arange(len(times)))}), Columns(), freq
    )
    params = nb.Forecaster(6, lookback, members=4).get_params()
    plans = [resolve(each, panel) for each in plan(params, panel)]
    assert list(plans[0]["stacks"][1].periods) == seasons and plans[1]["stacks"][0].periods == seasons
    assert tuple(each["lookback"] for each in plans) == tuple(map(tuple, lookbacks))
    assert plans[0]["training"].steps == (None if freq == "D" else 1000)
    smoothing = plans[1]["stacks"][0]
    assert (smoothing.leads, smoothing.memory) == (
        (1 if freq == "D" else 4),
        (1 if len(seasons) > 1 else None),
    )
    assert plans[0]["head"].location == ("height" if freq == "D" else "likelihood")


def test_a_weekend_is_foreseen_by_default():
    """Steps of four hours, lower at weekends: a forecast of Saturday from a Friday."""
    rng, steps = np.random.default_rng(0), np.arange(6 * 7 * 12)
    level = np.where(steps // 6 % 7 >= 5, 60.0, 100.0) + 10 * np.sin(2 * np.pi * steps / 6)
    df = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2024-01-01", periods=len(steps), freq="4h")})
    df["y"] = level + rng.normal(0, 2, len(steps))
    past = len(steps) - 12  # up to Saturday
    forecast = nb.Forecaster(6, members=2).fit(df[:past], verbose=0).predict().NBeatsBasis
    assert np.abs(forecast - level[past : past + 6]).mean() < 2.5


def test_small_panels_have_more_members_and_large_ones_no_fewer_than_four():
    frame = nb.synthetic.seasonal_panel(400, 60, seed=0)
    for count, members in ((40, 12), (260, 8), (400, 4)):
        panel = Panel.from_frame(frame[frame.unique_id.isin(frame.unique_id.unique()[:count])], Columns(), 1)
        assert plan(nb.Forecaster(6).get_params(), panel)[0]["members"] == members


def test_mixture_weights_are_the_most_likely():
    scores = np.random.default_rng(0).normal(size=(30, 5)) + [0, 0.5, -1, 1, 0]
    weights = mixture_weights(scores)

    def surprise(logits):
        share = np.exp(logits - scipy.special.logsumexp(logits))
        return -np.log(np.exp(scores) @ share).sum() - np.log(share).sum()

    found = scipy.optimize.minimize(surprise, np.zeros(5), tol=1e-12).x
    assert np.allclose(weights, scipy.special.softmax(found), atol=1e-4)
    assert np.allclose(mixture_weights(np.zeros((3, 4))), 0.25)
    scores[:, 1], scores[3, 2:] = np.nan, -np.inf
    broken = mixture_weights(scores)
    assert np.isclose(broken.sum(), 1) and broken.argmin() == 1


def test_a_kind_that_diverges_leaves_the_others_their_forecasts():
    training = nb.Training(steps=20, epochs=2, learning_rate=1e3)
    forecaster = nb.Forecaster(6, 24, 1, members=2, training=training)
    with pytest.warns(nb.TrainingWarning, match="not finite"):
        forecaster.fit(panel_frame(), val_size=6, weights="validation", verbose=0)
    assert np.isclose(forecaster.weights_.sum(), 1)
    assert np.isfinite(forecaster.predict(level=[80]).iloc[:, 2:]).all(axis=None)


@pytest.mark.parametrize("head", [nb.heads.StudentT("change"), nb.heads.Point()])
def test_members_are_weighted_by_what_was_held_out(head, tmp_path):
    kinds = [[nb.Trend(units=8, num_blocks=1)], [nb.Trend(units=8), nb.Seasonality([12], units=16)]]
    training = nb.Training(steps=60, epochs=1, learning_rate=0.01)
    forecaster = nb.Forecaster(6, [12, 24], 1, kinds, head, members=3, training=training)
    df = panel_frame()
    forecaster.fit(df, val_size=6, verbose=0, weights="validation")
    weights, model = forecaster.weights_, forecaster.model
    assert model.component_names == ["trend", "seasonality"] and weights.shape == (6,)
    assert np.isclose(weights.sum(), 1) and weights[3:].sum() > 0.6  # that know the season
    panel = Panel.from_frame(df, Columns(), 1)
    out = model(panel.tails(24, panel.offsets[1:] - 1))
    each = out["params"][..., 0].numpy() * out["scale"].numpy()[..., None] + out["shift"].numpy()[..., None]
    if head.is_distribution:
        expected = np.tensordot(weights, each, 1)
        upper = forecaster.predict(quantiles=[0.9])["NBeatsBasis-q0.9"].to_numpy().reshape(each.shape[1:])
        law = head.distribution(tf.cast(out["params"], "float64"), 1.0)
        units = (upper - out["shift"].numpy()[..., None]) / out["scale"].numpy()[..., None]
        assert np.allclose(np.tensordot(weights, law.cdf(units), 1), 0.9, atol=1e-6)
    else:
        order = np.argsort(each, axis=0)
        until = np.cumsum(weights[order], axis=0)
        expected = np.take_along_axis(each, order, 0)
        expected = np.take_along_axis(expected, (until >= 0.5).argmax(axis=0)[None], 0)[0]
    table = forecaster.decompose()
    assert np.allclose(table.NBeatsBasis, expected.ravel(), rtol=1e-5)
    assert np.allclose(table[["level", *model.component_names]].sum(axis=1), table.NBeatsBasis)
    forecaster.save(tmp_path)
    loaded = nb.Forecaster.load(tmp_path)
    assert np.array_equal(loaded.weights_, weights) and len(loaded.stacks) == 2
    assert np.allclose(loaded.predict().NBeatsBasis, table.NBeatsBasis)


def test_weights_need_a_validation_part_and_kinds_are_lists():
    with pytest.raises(ValueError, match="val_size"):
        nb.Forecaster(6, freq=1).fit(panel_frame(), verbose=0, weights="validation")
    with pytest.raises(ValueError, match="lists of stacks"):
        nb.Forecaster(6, freq=1, stacks=[nb.Trend(), [nb.Trend()]]).fit(panel_frame(), verbose=0)
