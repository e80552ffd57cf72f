"""The fused optimizer against Keras', steps in one loop against a data set's, and products in bfloat16."""

import gc
from dataclasses import replace
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import QUICK, quick_forecaster

import nbeats_basis as nb
from nbeats_basis import fitting
from nbeats_basis.members import MemberNetwork, faster_precision, products_in
from nbeats_basis.optimizers import Adam
from nbeats_basis.panel import Columns, Panel
from nbeats_basis.training import repeated
from nbeats_basis.windows import Windows


@pytest.fixture(scope="module")
def windows():
    """Windows of five series."""
    df = nb.synthetic.seasonal_panel(5, 40, periods=(4.0,), seed=2)
    return Windows(Panel.from_frame(df, Columns(), 1), 12, 4, batch_size=32)


def small(members=2, seed=5):
    """Return a small network."""
    stacks = [nb.Trend(units=16, num_blocks=2), nb.Generic(3, units=16)]
    return nb.NBeats(stacks, 4, 12, members=members, seed=seed)


def update(optimizer, weight, gradient):
    """Take one step."""
    optimizer.apply([gradient], [weight])


def test_an_epoch_without_a_loss_does_not_hide_later_ones():
    stopping, net = nb.MemberEarlyStopping(), small()
    net.stop_training = False
    stopping.set_model(net)
    stopping.on_train_begin()
    for epoch, loss in enumerate((5.0, np.nan, 1.0)):
        net.validation_losses.assign([loss, 6 - loss])
        stopping.on_epoch_end(epoch, {"val_loss": loss})
    assert stopping.best_epochs_.tolist() == [3, 1]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_adam_takes_the_steps_of_kerass(rng, jit_compile):
    rates = keras.optimizers.schedules.PiecewiseConstantDecay([2], [0.1, 0.02])
    start = rng.normal(size=(2, 3, 4)).astype("float32")
    gradients = rng.normal(size=(5, 2, 3, 4)).astype("float32")
    ends = []
    for kind in (Adam, keras.optimizers.Adam):
        weight, optimizer = keras.Variable(start), kind(rates, beta_1=0.8, beta_2=0.95, epsilon=1e-3)
        optimizer.build([weight])
        step = tf.function(partial(update, optimizer, weight), jit_compile=jit_compile)
        for gradient in gradients:
            step(tf.constant(gradient))
        ends.append(weight.numpy())
    assert np.abs(ends[0] - start).max() > 0.1
    np.testing.assert_allclose(*ends, atol=1e-6)


def test_adam_is_saved_and_refuses_amsgrad():
    thawed = keras.optimizers.deserialize(keras.optimizers.serialize(Adam(0.25, beta_2=0.9)))
    assert type(thawed) is Adam
    assert float(thawed.learning_rate) == 0.25 and thawed.beta_2 == 0.9
    with pytest.raises(ValueError, match="amsgrad"):
        Adam(amsgrad=True)


def rounded(array):
    """Return the numbers rounded to eight significant bits."""
    fraction, exponent = np.frexp(np.asarray(array, "float64"))
    return np.ldexp(np.round(fraction * 256) / 256, exponent)


def test_products_in_bfloat16_round_to_eight_bits(rng):
    network = MemberNetwork(32, 2, 5)
    inputs = rng.normal(size=(2, 7, 9)).astype("float32")
    exact = network(inputs).numpy()
    with products_in("bfloat16"):
        coarse = network(inputs)
    assert coarse.dtype == "float32"
    np.testing.assert_array_equal(network(inputs), exact)
    weights = network.get_weights()
    hidden = rounded(inputs)
    for i in range(0, 6, 2):
        kernel, bias = rounded(weights[i]), rounded(weights[i + 1])
        hidden = rounded(rounded(hidden @ kernel) + bias[:, None])
        hidden = np.maximum(hidden, 0) if i < 4 else hidden
    error = np.abs(coarse - exact).max()
    assert error > 1e-4
    np.testing.assert_allclose(coarse, hidden, atol=error / 4)


@pytest.mark.parametrize("per_execution", [1, 3])
def test_windows_train_as_the_pairs_they_draw(windows, per_execution):
    drawn, given = small(), small()
    for net in (drawn, given):
        net.compile(Adam(1e-2), steps_per_execution=per_execution)
    log = drawn.fit(windows, steps_per_epoch=6, epochs=2, verbose=0).history["loss"]
    given.fit(windows, steps_per_epoch=6, verbose=0)
    pairs = [windows.draw(tf.constant(step), given.member_seeds) for step in range(6, 12)]
    pairs = [(tree["values"] if isinstance(tree, dict) else tree, targets) for tree, targets in pairs]
    dataset = tf.data.Dataset.from_tensor_slices(tuple(tf.stack(each) for each in zip(*pairs, strict=True)))
    after = given.fit(dataset, verbose=0).history["loss"]
    assert given.optimizer.iterations == drawn.optimizer.iterations == 12
    np.testing.assert_allclose(after[-1], log[-1], rtol=1e-5)
    for ours, theirs in zip(drawn.trainable_variables, given.trainable_variables, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    nothing = dataset.map(lambda values, targets: (values, targets * np.nan))  # not the windows of before
    assert drawn.fit(nothing, verbose=0).history["loss"] == [0]


def test_training_in_bfloat16_keeps_weights_and_forecasts_in_float32(windows):
    losses = {}
    for precision in ("float32", "bfloat16"):
        net = small()
        net.compile(Adam(1e-2), precision=precision)
        log = net.fit(windows, epochs=3, steps_per_epoch=10, verbose=0).history["loss"]
        assert {v.dtype for v in [*net.trainable_variables, *net.optimizer.variables[2:]]} == {"float32"}
        losses[precision] = np.array(log)
    values, _ = windows.draw(tf.constant(0), [0, 1])
    coarse = losses["bfloat16"]
    assert 0 < np.abs(coarse - losses["float32"]).max() < 0.05 * coarse[0]
    out = net(values)["params"]
    with products_in("bfloat16"):
        assert np.abs(net(values)["params"] - out).max() > 0
    np.testing.assert_array_equal(net(values)["params"], out)


def test_a_member_trained_in_bfloat16_equals_the_network_alone(windows):
    together = small()
    together.compile(Adam(1e-2), precision="bfloat16")
    together.fit(windows, steps_per_epoch=5, verbose=0)
    alone = small(members=1, seed=6)
    alone.compile(Adam(1e-2), precision="bfloat16")
    alone.fit(windows, steps_per_epoch=5, verbose=0)
    for ours, theirs in zip(together.trainable_variables, alone.trainable_variables, strict=True):
        np.testing.assert_allclose(ours[1], theirs[0], atol=2e-3)


def test_the_faster_precision_is_measured_once_and_used(panel, monkeypatch):
    chosen = faster_precision(2, 32, 16)
    measured = faster_precision.cache_info().misses
    assert chosen in ("float32", "bfloat16") and faster_precision(2, 32, 16) == chosen
    assert faster_precision.cache_info().misses == measured
    monkeypatch.setattr(fitting, "faster_precision", lambda members, rows, units: "bfloat16")
    chosen = "bfloat16"  # whatever this machine prefers
    forecasts = {
        precision: quick_forecaster(training=replace(QUICK, precision=precision))
        .fit(panel, verbose=0)
        .predict()
        for precision in ("auto", chosen)
    }
    assert forecasts["auto"].equals(forecasts[chosen])


def test_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="precision"):
        nb.Training(precision="float16")
    with pytest.raises(ValueError, match="precision"):
        small().compile(precision="half")


def test_the_training_steps_of_many_networks_are_not_warned_of(caplog):
    for _ in range(6):
        count = tf.Variable(0)
        assert repeated(lambda count=count: count.assign_add(1), 3, count.read_value)(None) == 3
    assert "retracing" not in caplog.text


@pytest.mark.parametrize("freq", [1, None])
def test_a_forecaster_let_go_leaves_no_graph_behind(freq):
    """TensorFlow keeps for ever what a function with a gradient of its own is traced in."""
    df, stacks = nb.synthetic.seasonal_panel(4, 40), [nb.Trend(units=8, coefficients="combined")]
    held = []
    for _ in range(3):
        forecaster = nb.Forecaster(4, 12, freq, stacks, members=1, training=nb.Training(steps=2, epochs=1))
        forecaster.fit(df, verbose=0).predict()
        del forecaster
        gc.collect()
        held.append(sum(isinstance(each, tf.Operation) for each in gc.get_objects()))
    assert held[2] == held[1]
