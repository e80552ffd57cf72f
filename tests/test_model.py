"""The network against a slow oracle, its members, its training."""

import warnings

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from reference import layers_of, nbeats

import nbeats_basis as nb
from nbeats_basis.calendars import Calendar
from nbeats_basis.draws import uniforms
from nbeats_basis.optimizers import Adam
from nbeats_basis.panel import Columns, Panel
from nbeats_basis.windows import Windows


def small(members=3, seed=5, lookback=(8, 10, 12), head=None, **kwargs):
    """Return a small network of every kind of coefficients."""
    stacks = [
        nb.Trend(units=8, num_blocks=2),
        nb.Seasonality([4], units=8, coefficients="combined"),
        nb.Generic(3, units=8),
        nb.Trend(units=8, coefficients="regression"),
    ]
    return nb.NBeats(stacks, 4, list(lookback), head=head, members=members, window=12, seed=seed, **kwargs)


@pytest.fixture(scope="module")
def windows():
    """Windows of five series with gaps."""
    df = nb.synthetic.seasonal_panel(5, 40, periods=(4.0,), missing=0.1, seed=2)
    return Windows(Panel.from_frame(df, Columns(), 1), 12, 4, batch_size=32)


@pytest.mark.parametrize("horizon", [1, 5, 6])
@pytest.mark.parametrize("kind", ["interpretable", "generic"])
def test_classical_network_matches_the_oracle(kind, horizon, rng):
    if kind == "interpretable":
        stacks = [nb.Trend(2, units=7), nb.Seasonality(units=9)]
    else:
        stacks = [nb.Generic(units=6) for _ in range(4)]
    net = nb.NBeats(stacks, horizon, 11, members=2, scaling="none", seed=1)
    values = rng.normal(size=(3, 11)) + 3
    values[0, :4] = np.nan
    values[1, 6] = np.nan
    described = []
    for m in range(2):
        described.append([])
        for stack in net.stacks:
            (block,) = stack.blocks
            weights = [
                [w[m].squeeze() if w.shape[1] == 1 else w[m] for w in layer]
                for layer in layers_of(block.network)
            ]
            described[m].append((stack.component, stack.num_blocks, weights[:-1], weights[-1], 2))
    out = net(values)
    for m in range(2):
        for b in range(3):
            forecast, parts = nbeats(values[b], described[m], horizon)
            np.testing.assert_allclose(out["params"][m, b, :, 0], forecast, atol=1e-5)
            np.testing.assert_allclose(out["components"][m, b], parts, atol=1e-5)


def test_ratios_are_seen_as_multiples_of_the_level(rng):
    """Two members of other lookbacks: each divides by the mean size of what it reads; the rest is the network's own."""
    stacks = [nb.Trend(2, units=8), nb.Generic(units=8)]
    net = nb.NBeats(stacks, 4, [12, 6], members=2, scaling="ratio", seed=1)
    values = rng.normal(size=(3, 12)) * 10 - 30
    out, raw = (
        net(values),
        nb.NBeats([s.copy() for s in stacks], 4, [12, 6], members=2, scaling="none", seed=1),
    )
    for m, lookback in enumerate((12, 6)):
        level = np.abs(values[:, -lookback:]).mean(axis=1)
        np.testing.assert_allclose(out["scale"][m], level)
        np.testing.assert_allclose(out["shift"][m], 0)
        np.testing.assert_allclose(
            out["params"][m], raw(values / level[:, None])["params"][m], rtol=1e-5, atol=1e-6
        )


def test_members_that_differ_by_scaling_forecast_as_networks_of_one_each(rng):
    """Scalings of a list are taken in turn, constant, single and empty windows included; a member alone keeps its own."""
    kinds = ["std", "ratio", "level", "panel", "none"]
    arguments = {"horizon": 4, "lookback": 12, "members": 5, "seed": 1}
    values = rng.normal(size=(5, 12)) + 3
    values[2], values[3, :-1], values[4] = 7, np.nan, np.nan
    net = nb.NBeats([nb.Trend(units=8)], scaling=kinds, **arguments)
    net.adapt(50.0, 5.0)
    out = net(values)
    for k, scaling in enumerate(kinds):
        alone = nb.NBeats([nb.Trend(units=8)], scaling=scaling, **arguments)
        alone.adapt(50.0, 5.0)
        for each in ("params", "start", "shift", "scale"):
            np.testing.assert_array_equal(out[each][k], alone(values)[each][k])
        assert net.member(k).scalings == (scaling,)
        np.testing.assert_allclose(net.member(k)(values)["shift"][0], out["shift"][k])
    assert nb.NBeats.from_config(net.get_config()).scalings == net.scalings
    assert nb.NBeats([nb.Trend(units=8)], scaling=kinds[:2], **arguments).scalings == (
        "std",
        "ratio",
        "std",
        "ratio",
        "std",
    )


def test_windows_of_no_known_ratio_are_forecast_as_by_level(rng):
    """Constant ones stay constant; empty ones are at the typical level; a single value scales itself."""
    net = nb.NBeats([nb.Trend(units=8)], 3, 5, scaling="ratio")
    net.adapt(50.0, 5.0)
    values = np.full((4, 5), np.nan)
    values[0], values[1], values[2, 3] = 7, 0, -4
    out = net(values)
    forecast = net.forecast(values)["mean"].numpy()
    np.testing.assert_allclose(forecast[:2], [[7] * 3, [0] * 3])
    np.testing.assert_allclose(np.stack([out["shift"][0], out["scale"][0]], 1)[2:], [[0, 4], [50, 5]])
    assert np.isfinite(forecast).all()


def test_paper_configurations():
    net = nb.NBeats.interpretable(6, 12)
    assert [(s.component, s.units, s.num_blocks, s.num_layers, s.shared_weights) for s in net.stacks] == [
        ("trend", 256, 3, 4, True),
        ("seasonality", 2048, 3, 4, True),
    ]
    net = nb.NBeats.generic(3, 6)
    assert len(net.stacks) == 30
    assert {(s.units, s.num_blocks, s.num_layers) for s in net.stacks} == {(512, 1, 4)}


def test_generic_parameter_count_matches_the_paper_monthly():
    lookback, horizon = 90, 18
    first = (lookback + 1) * 512 + 3 * 513 * 512 + 513 * (lookback + horizon)
    assert 30 * first == pytest.approx(26.7e6, rel=0.01)
    net = nb.NBeats([nb.Generic()], horizon, lookback)
    assert net.count_params() - sum(int(np.prod(v.shape)) for v in net.non_trainable_variables) == first


def test_components_add_up_and_are_named(rng):
    for head in (nb.heads.Point(), nb.heads.StudentT()):
        net = small(head=head)
        out = net.forecast(100 * rng.normal(size=(6, 12)).cumsum(axis=1))
        total = out["components"].numpy().sum(axis=-1)
        np.testing.assert_allclose(total, out["mean"], rtol=1e-5, atol=1e-5 * np.abs(total).max())
    assert net.component_names == ["trend", "seasonality", "generic", "trend_2"]


@pytest.mark.parametrize(
    "head",
    [nb.heads.StudentT(["likelihood", "height"]), nb.heads.Point(["smape", "mase", "mape"])],
    ids=["t", "point"],
)
def test_a_member_equals_the_same_network_trained_alone(windows, head):
    together = small(head=head)
    together.compile(keras.optimizers.Adam(1e-2))
    together.fit(windows, steps_per_epoch=12, verbose=0)
    for k in range(3):
        alone = small(members=1, seed=5 + k, lookback=[(8, 10, 12)[k]], head=head.member(k))
        alone.compile(keras.optimizers.Adam(1e-2))
        alone.fit(windows, steps_per_epoch=12, verbose=0)
        for a, b in zip(alone.trainable_variables, together.member(k).trainable_variables, strict=True):
            np.testing.assert_allclose(a, b, atol=2e-4)


def test_members_differ_in_weights_and_windows(windows):
    net = small()
    kernel = net.stacks[0].blocks[0].network.get_weights()[0]
    assert np.abs(kernel[0] - kernel[1]).max() > 0.1
    values, _ = windows.draw(tf.constant(0), net.member_seeds)
    assert not np.array_equal(values[0], values[1], equal_nan=True)
    again, _ = windows.draw(tf.constant(0), net.member_seeds)
    np.testing.assert_array_equal(values, again)
    later, _ = windows.draw(tf.constant(1), net.member_seeds)
    assert not np.array_equal(values, later, equal_nan=True)


def test_windows_are_slices_of_the_series(windows):
    df = nb.synthetic.seasonal_panel(5, 40, periods=(4.0,), missing=0.1, seed=2)
    dense = df.pivot(index="unique_id", columns="ds", values="y").reindex(columns=range(-12, 52)).to_numpy()
    every = np.lib.stride_tricks.sliding_window_view(dense, 16, axis=1).reshape(-1, 16)
    known = {np.nan_to_num(row, nan=-1e9).tobytes() for row in every}
    values, targets = windows.draw(tf.constant(3), (1, 2))
    drawn = np.concatenate([values, targets], axis=-1).reshape(-1, 16)
    assert all(np.nan_to_num(row, nan=-1e9).tobytes() in known for row in drawn)
    assert not np.isnan(drawn[:, 11]).any()


def test_long_gaps_cost_no_memory():
    df = nb.synthetic.seasonal_panel(1, 30)
    df.loc[15:, "ds"] += 10**9
    windows = Windows(Panel.from_frame(df, Columns(), 1), 12, 4)
    assert windows._values.shape[0] < 100


@pytest.mark.parametrize("recent", [None, 7])
@pytest.mark.parametrize("holdout", [0, 5])
@pytest.mark.parametrize("window", [1, 6])
def test_every_window_that_can_be_learned_from_is_drawn_and_no_other(window, holdout, recent):
    """Panels with and without gaps; against a loop over all rows of a dense table."""
    for missing in (0.0, 0.4):
        df = nb.synthetic.seasonal_panel(3, 20, missing=missing, seed=5)
        windows = Windows(Panel.from_frame(df, Columns(), 1), window, 3, 4096, holdout, recent)
        dense = df.pivot(index="unique_id", columns="ds", values="y").reindex(columns=range(-12, 40))
        expected = set()
        for row, (_, group) in zip(dense.to_numpy(), df.groupby("unique_id"), strict=True):
            last = group.ds.max() + 12
            stop = last - holdout
            row[stop + 1 :] = np.nan
            for end in range(12, stop):
                before = row[end - max(window - 1, 1) : end]
                if recent is not None and end <= stop - recent:
                    continue
                if (
                    not np.isnan(row[end])
                    and (~np.isnan(before)).any()
                    and (~np.isnan(row[end + 1 : end + 4])).any()
                ):
                    expected.add(np.nan_to_num(row[end - window + 1 : end + 4], nan=-1e9).tobytes())
        drawn = np.concatenate(windows.draw(tf.constant(0), (0,)), axis=-1)[0]
        assert {np.nan_to_num(row, nan=-1e9).tobytes() for row in drawn} == expected
        assert windows.num_windows == len(expected)


@pytest.mark.parametrize("holdout", [4, 9, 14, 25])
@pytest.mark.parametrize("recent", [None, 12])
def test_what_is_held_out_counts_steps_across_long_gaps(holdout, recent):
    """Gaps longer than windows are shortened where they are stored; against loops over a dense table."""
    gaps = {"a": [*range(20), *range(31, 40)], "b": [*range(30), 38], "c": [0, 1, 2, *range(15, 33)]}
    df = pd.concat([pd.DataFrame({"unique_id": k, "ds": v}) for k, v in gaps.items()], ignore_index=True)
    df["y"] = np.arange(len(df)) + 1.0
    windows = Windows(Panel.from_frame(df, Columns(), 1), 4, 3, 4096, holdout, recent)
    learned, validated = set(), set()
    for _, group in df.groupby("unique_id"):
        last, row = group.ds.max() + 4, np.zeros(70)
        row[group.ds + 4] = group.y
        stop = last - holdout
        for end in range(4, 48):
            window = row[end - 3 : end + 4].copy()
            if end >= stop and end < last and (end - stop) % 3 == 0 and window[4:].any():
                validated.add(window.tobytes())
            window[3 + max(stop - end, 0) + 1 :] = 0
            late = recent is None or end > stop - recent
            if end < stop and late and window[3] and window[:3].any() and window[4:].any():
                learned.add(window.tobytes())

    def found(inputs, targets):
        rows = np.nan_to_num(np.concatenate([inputs, targets], axis=-1)[0])
        return {row.tobytes() for row in rows if row[4:].any()}

    assert found(*windows.draw(tf.constant(0), (0,))) == learned
    held_out = windows.validation()
    assert set().union(*(found(*held_out.gather(o)) for o in held_out.batches())) == validated


def test_what_does_not_fit_is_refused():
    """Another number of targets or values would be broadcast, weights of windows dropped, and "mase" learn nothing."""
    net = nb.NBeats([nb.Trend(units=8)], 4, 8)
    net.compile()
    values = np.ones((6, 8))
    for targets in (np.ones((6, 1)), np.ones(6)):
        with pytest.raises(ValueError, match="windows of 4 values"):
            net.fit(tf.data.Dataset.from_tensors((values, targets)), verbose=0)
    with pytest.raises(ValueError, match="weights of windows"):
        net.fit(tf.data.Dataset.from_tensors((values, np.ones((6, 4)), np.ones(6))), verbose=0)
    with pytest.raises(ValueError, match="hold 8 values"):
        net.forecast(np.ones((6, 1)))
    for wrong in ([0.0], [1.5]):
        with pytest.raises(ValueError, match="`quantiles` must lie"):
            net.forecast(values, wrong)
    with pytest.raises(ValueError, match="lookback=8 of member 0"):
        nb.NBeats([nb.Trend(units=8)], 4, [8, 24], nb.heads.Point("mase", 12), members=2)


def test_arrays_keep_their_precision_in_predict(rng):
    net = nb.NBeats([nb.Trend(units=8)], 4, 8)
    values = 1e9 + rng.normal(size=(40, 8))
    np.testing.assert_array_equal(net.predict(values, verbose=0)["mean"], net.forecast(values)["mean"])


def test_arrays_as_arguments_are_saved(rng, tmp_path):
    stacks = [nb.Smoothing(np.array([4.0])), nb.Seasonality(np.array([4.0, 6.0]), np.array([2, 1]), units=8)]
    net = nb.NBeats(stacks, 4, np.array([8, 12]), members=2, scaling=np.array(["std", "level"]))
    net.save(tmp_path / "net.keras")
    values = rng.normal(size=(3, 12))
    again = keras.models.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(again.forecast(values)["mean"], net.forecast(values)["mean"])


def test_a_member_of_a_network_with_a_frozen_stack(rng):
    net = nb.NBeats([nb.Trend(units=8), nb.Generic(units=8)], 4, 8, members=2)
    net.stacks[0].trainable = False
    values = rng.normal(size=(3, 8))
    for k, same in ((0, 0), (1, 1), (-1, 1)):
        alone = net.member(k).forecast(values)["mean"]
        np.testing.assert_allclose(alone, nb.Ensemble([net.member(same)]).forecast(values)["mean"])
    both = np.stack([net.member(k).forecast(values)["mean"] for k in range(2)])
    np.testing.assert_allclose(np.median(both, axis=0), net.forecast(values)["mean"], rtol=1e-5)
    with pytest.raises(IndexError):
        net.member(2)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_keras_own_default_type_changes_nothing(policy, rng):
    values, forecasts, before = rng.normal(size=(3, 8)), [], keras.config.dtype_policy()
    for each in ("float32", policy):
        keras.config.set_dtype_policy(each)
        try:
            net = nb.NBeats([nb.Trend(units=8, coefficients="combined"), nb.Smoothing()][::-1], 4, 8)
            net.compile()
            net.fit(tf.data.Dataset.from_tensors((values, values[:, :4])), verbose=0)
            forecasts.append(net.forecast(values)["mean"])
        finally:
            keras.config.set_dtype_policy(before)
    np.testing.assert_array_equal(*forecasts)


def test_a_panel_without_gaps_is_drawn_from_as_it_is():
    panel = Panel.from_frame(nb.synthetic.seasonal_panel(4, 30), Columns(), 1)
    windows = Windows(panel, 12, 4)
    assert windows._origins is None and windows._values.shape == panel.steps.shape


def test_learns_a_line_and_a_sine():
    df = nb.synthetic.seasonal_panel(20, 80, noise=0.0, seed=4)
    train, test = df[df.ds < 74], df[df.ds >= 74]
    stacks = [
        nb.Trend(1, units=32, coefficients="combined"),
        nb.Seasonality([12], 2, units=32, coefficients="combined"),
    ]
    training = nb.Training(steps=300, batch_size=64, learning_rate=3e-3)
    forecaster = nb.Forecaster(6, 36, stacks=stacks, head=nb.heads.Point(), members=1, training=training)
    table = forecaster.fit(train, verbose=0).predict().merge(test, on=["unique_id", "ds"])
    naive = train.groupby("unique_id").y.last().reindex(table.unique_id).to_numpy()
    error = (table.NBeatsBasis - table.y).abs().mean()
    assert error < 0.05 * np.abs(naive - table.y).mean()


def test_a_non_finite_loss_stops_and_restores(windows):
    net = small(head=nb.heads.Point("mse"))
    net.compile(keras.optimizers.Adam(1e-2))

    def broken(inputs, targets):
        poison = tf.where(net.optimizer.iterations >= 3, float("nan"), 1.0)
        return nb.NBeats.losses_of(net, inputs, targets) * tf.stack([1.0, poison, 1.0])

    net.losses_of = broken
    before = [v.numpy() for v in net.trainable_variables]
    with pytest.warns(nb.TrainingWarning, match="step 3 in member 1; .* the epoch's beginning"):
        history = net.fit(windows, steps_per_epoch=10, verbose=0)
    assert len(history.history["loss"]) == 1
    assert net.optimizer.iterations.numpy() == 3
    moved = [
        (v.numpy() != b).reshape(3, -1).any(axis=1)
        for v, b in zip(net.trainable_variables, before, strict=True)
    ]
    np.testing.assert_array_equal(np.any(moved, axis=0), [True, False, True])


def test_a_network_can_be_trained_eagerly_and_without_clipping(windows):
    found = []
    for eager in (False, True):
        net = small(head=nb.heads.Point("mse"))
        net.compile(keras.optimizers.SGD(0.01), clip_norm=None, run_eagerly=eager)
        net.fit(windows, steps_per_epoch=2, verbose=0)
        found.append(net.get_weights())
    for graph, eager in zip(*found, strict=True):
        np.testing.assert_allclose(graph, eager, rtol=1e-4, atol=1e-6)
    for wrong in (-1.0, 0, float("nan")):
        with pytest.raises(ValueError, match="clip_norm"):
            net.compile(clip_norm=wrong)


def test_inputs_of_another_name_are_refused():
    values = np.arange(24.0).reshape(2, 12)
    for more in ({"query_time": np.ones(3)}, {"times": values - 24}):
        with pytest.raises(ValueError, match="on a grid of steps are 'values' and, if need be"):
            small().forecast({"values": values, **more})
    with pytest.raises(ValueError, match="are 'values' and"):
        small().forecast({"value": values})


def test_quantiles_of_a_list_are_those_of_a_tensor():
    net, levels = nb.NBeats([nb.Trend(units=8)], 4, 8, head=nb.heads.Normal()), [0.1, 1 - 1e-9]
    values = np.arange(8.0)[None] ** 2
    several = [net.forecast(values, each)["quantiles"] for each in (levels, tf.constant(levels, "float64"))]
    np.testing.assert_array_equal(*several)
    assert np.isfinite(several[0]).all()


def test_windows_are_drawn_alike_by_xla():
    draw = lambda: uniforms(1, 4, 3, (0, 7))  # noqa: E731
    np.testing.assert_array_equal(tf.function(draw)(), tf.function(draw, jit_compile=True)())


def test_a_schedule_set_later_counts():
    decay = keras.optimizers.schedules.PiecewiseConstantDecay
    optimizer = Adam(decay([5], [0.1, 0.2]))
    optimizer.learning_rate = 0.5
    assert float(optimizer.learning_rate) == 0.5
    optimizer.learning_rate = decay([5], [0.01, 0.2])
    assert float(optimizer.learning_rate) == pytest.approx(0.01)


class SetRate(keras.callbacks.Callback):
    """Set the learning rate once, as people do in a callback of their own, and note it."""

    def __init__(self):
        super().__init__()
        self.rates = []

    def on_epoch_begin(self, epoch, logs=None):
        """Set it in the fourth epoch."""
        if epoch == 3:
            self.model.optimizer.learning_rate = 3e-4

    def on_epoch_end(self, epoch, logs=None):
        """Note it."""
        self.rates.append(float(self.model.optimizer.learning_rate))


@pytest.mark.parametrize("optimizer", ["adam", keras.optimizers.SGD(0.01, momentum=0.9)], ids=["adam", "sgd"])
def test_a_saved_network_goes_on_training_where_it_was(optimizer, windows, tmp_path):
    net = small()
    net.compile(optimizer, clip_norm=None, precision="bfloat16")
    net.fit(windows, steps_per_epoch=3, verbose=0)
    net.save(tmp_path / "net.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        loaded = keras.saving.load_model(tmp_path / "net.keras")
    assert loaded.precision == "bfloat16" and loaded.clip_norm == np.inf
    for each in (net, loaded):
        each.fit(windows, steps_per_epoch=2, verbose=0)
    for one, two in zip(net.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)


def test_a_callback_may_set_the_learning_rate():
    df = nb.synthetic.seasonal_panel(5, 40, periods=(4.0,), seed=2)
    setter, training = SetRate(), nb.Training(steps=60, epochs=6, learning_rate=0.01)
    kinds = [nb.Trend(units=8)]
    nb.Forecaster(4, 12, 1, kinds, members=1, training=training).fit(df, callbacks=setter, verbose=0)
    np.testing.assert_allclose(setter.rates, [0.01, 0.01, 0.005, 3e-4, 3e-4, 3e-4], rtol=1e-6)


def test_gradients_are_clipped_for_each_member(windows):
    net = small(head=nb.heads.Point("mse"))
    net.compile(keras.optimizers.SGD(1.0), clip_norm=0.5)
    before = [v.numpy() for v in net.trainable_variables]
    net.fit(windows, steps_per_epoch=1, verbose=0)
    moved = [
        np.sum((v.numpy() - b) ** 2, axis=tuple(range(1, b.ndim)))
        for v, b in zip(net.trainable_variables, before, strict=True)
    ]
    assert (np.sqrt(sum(moved)) <= 0.5 + 1e-4).all()


def test_ordinary_keras_callbacks_and_checkpoints(windows, tmp_path):
    net = small(members=1, lookback=[12])
    net.compile(keras.optimizers.Adam(1e-3), steps_per_execution=2)
    df = nb.synthetic.seasonal_panel(5, 40, periods=(4.0,), seed=2)
    held_out = Windows(Panel.from_frame(df, Columns(), 1), 12, 4, holdout=4).validation()
    history = net.fit(
        windows,
        epochs=4,
        steps_per_epoch=4,
        validation_data=held_out,
        verbose=0,
        callbacks=[
            keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2),
            keras.callbacks.ModelCheckpoint(
                str(tmp_path / "best.keras"), monitor="val_loss", save_best_only=True
            ),
            keras.callbacks.TensorBoard(str(tmp_path / "logs")),
            keras.callbacks.EarlyStopping(monitor="val_loss", patience=10, restore_best_weights=True),
        ],
    )
    assert len(history.history["val_loss"]) == 4
    assert float(net.optimizer.learning_rate) == pytest.approx(1e-3 / 16)
    best = keras.saving.load_model(tmp_path / "best.keras")
    values = np.arange(24.0).reshape(2, 12)
    np.testing.assert_allclose(best.forecast(values)["mean"], net.forecast(values)["mean"], rtol=1e-6)


def test_validation_windows_end_at_the_end():
    df = nb.synthetic.seasonal_panel(3, 40, periods=(4.0,))
    held_out = Windows(Panel.from_frame(df, Columns(), 1), 12, 4, holdout=8).validation()
    inputs, targets = held_out.gather(held_out.origins)
    y = df.y.to_numpy().reshape(3, 40)
    np.testing.assert_array_equal(targets[0, 1], y[0, 36:])
    np.testing.assert_array_equal(inputs[0, 0], y[0, 20:32])


def test_training_never_sees_the_steps_held_out():
    df = nb.synthetic.seasonal_panel(3, 40, periods=(4.0,))
    df["y"] = df.ds.astype(float)
    windows = Windows(Panel.from_frame(df, Columns(), 1), 12, 4, batch_size=512, holdout=8)
    inputs, targets = windows.draw(tf.constant(0), (0,))
    assert np.nanmax(inputs) == 30
    assert np.nanmax(targets) == 31


def test_eager_graph_and_xla_agree(rng):
    net = small(head=nb.heads.StudentT())
    values = rng.normal(size=(4, 12)).cumsum(axis=1)
    eager = net(values)["params"]
    for jit in (False, True):
        compiled = tf.function(lambda v: net(v)["params"], jit_compile=jit)(tf.constant(values))
        np.testing.assert_allclose(compiled, eager, atol=1e-4)


def test_a_training_step_under_xla(windows):
    net = small(head=nb.heads.StudentT())
    net.compile(keras.optimizers.Adam(1e-3), jit_compile=True)
    net.fit(windows, steps_per_epoch=2, verbose=0)
    assert net.optimizer.iterations.numpy() == 2


def test_config_round_trip():
    net = small(head=nb.heads.Point(["mae", "mse"]))
    copy = nb.NBeats.from_config(net.get_config())
    for a, b in zip(net.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert copy.get_config()["stacks"] and copy.head == net.head


def test_bad_arguments_are_refused():
    for kwargs, message in [
        ({"horizon": 0}, "horizon=0"),
        ({"lookback": 0}, "lookback=0"),
        ({"members": 0}, "members=0"),
        ({"stacks": []}, "stacks"),
        ({"scaling": "minmax"}, "scaling='minmax'"),
        ({"scaling": ["std", "minmax"], "members": 2}, "scaling='minmax'"),
        ({"scaling": []}, "`scaling` must name at least one"),
        ({"lookback": []}, "`lookback` must name at least one"),
        ({"window": 3}, "window=3"),
    ]:
        arguments = {"stacks": [nb.Trend(units=4)], "horizon": 2, "lookback": 4, **kwargs}
        with pytest.raises(ValueError, match=message):
            nb.NBeats(**arguments)
    with pytest.raises(ValueError, match="distribution"):
        small().forecast(np.zeros((1, 12)), quantiles=[0.5])
    assert Calendar(1, nb.synthetic.seasonal_panel(1, 3).ds).unit == 1


def test_building_again_adds_no_weights():
    net = nb.NBeats([nb.Trend(units=8)], horizon=4, lookback=8)
    before = [id(weight) for weight in net.weights]
    net.build()
    assert [id(weight) for weight in net.weights] == before
