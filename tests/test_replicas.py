"""Training shared by two replicas, in a fresh process with two logical devices."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import quick_forecaster

import nbeats_basis as nb

SETUP = """
import sys, warnings
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import nbeats_basis as nb
from nbeats_basis.panel import Columns, Panel
from nbeats_basis.windows import Windows

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
df = nb.synthetic.seasonal_panel(6, 60, seed=3)[["unique_id", "ds", "y"]]

def network():
    stacks = [nb.Trend(units=8), nb.Seasonality([12], units=8, coefficients="combined")]
    return nb.NBeats(stacks, 4, 12, nb.heads.Point("mse"), members=2, seed=1)
"""

SHARES = """
windows = Windows(Panel.from_frame(df, Columns(), 1), 12, 4, batch_size=8)
whole = windows.draw(tf.constant(3), (1, 2))
shared = strategy.run(lambda: windows.draw(tf.constant(3), (1, 2)))
for one, parts in zip(whole, shared):
    parts = strategy.experimental_local_results(parts)
    assert [p.shape[1] for p in parts] == [4, 4]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), one)
odd = Windows(Panel.from_frame(df, Columns(), 1), 12, 4, batch_size=9)
try:
    strategy.run(lambda: odd.draw(tf.constant(3), (1, 2)))
except ValueError as error:
    assert "batch_size=9" in str(error)
else:
    raise SystemExit("an odd batch was shared")
"""

GRADIENTS = """
# all horizons are full, so that the mean over replicas is that of the batch
windows = Windows(Panel.from_frame(df, Columns(), 1), 12, 4, batch_size=16)
starts, counts, *bounds = windows._series
windows._series, nets = [starts, counts - 3, *bounds], []
for scope in (tf.distribute.get_strategy(), strategy):
    with scope.scope():
        net = network()
        net.compile(keras.optimizers.SGD(float(sys.argv[2])), clip_norm=float(sys.argv[1]), steps_per_execution=2)
    log = net.fit(windows, steps_per_epoch=4, verbose=0).history
    nets.append((net, log["loss"][0]))
(alone, loss), (shared, mean) = nets
assert shared.optimizer.iterations.numpy() == 4
np.testing.assert_allclose(mean, loss, rtol=1e-4)
moved = 0
for start, one, two in zip(network().trainable_variables, alone.trainable_variables, shared.trainable_variables):
    np.testing.assert_allclose(two.numpy(), one.numpy(), rtol=1e-4, atol=1e-5)
    moved = max(moved, np.abs(one.numpy() - start.numpy()).max())
    copies = strategy.experimental_local_results(two.value)
    np.testing.assert_array_equal(*[c.numpy() for c in copies])
assert moved > 1e-2
"""

NOT_FINITE = """
with strategy.scope():
    net = network()
    net.compile(keras.optimizers.Adam(1e-2), steps_per_execution=5)
windows = Windows(Panel.from_frame(df, Columns(), 1), 12, 4, batch_size=8)

def broken(inputs, targets):
    first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
    poison = tf.where((net.optimizer.iterations >= limit) & first, float("nan"), 1.0)
    return nb.NBeats.losses_of(net, inputs, targets) * tf.stack([1.0, poison])

net.losses_of, limit = broken, 2
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    net.fit(windows, steps_per_epoch=10, verbose=0)
assert any("step 2 in member 1" in str(w.message) for w in caught), [str(w.message) for w in caught]
assert net.optimizer.iterations.numpy() == 2
with strategy.scope():
    same = network()
    same.compile(keras.optimizers.Adam(1e-2))
same.fit(windows, steps_per_epoch=2, verbose=0)
for one, two, start in zip(net.trainable_variables, same.trainable_variables, network().trainable_variables):
    np.testing.assert_allclose(one.numpy()[0], two.numpy()[0], atol=1e-6)
    np.testing.assert_array_equal(one.numpy()[1], start.numpy()[1])
"""

FORECASTER = """
training = nb.Training(steps=20, batch_size=32, epochs=2, steps_per_execution=5)
settings = dict(horizon=6, lookback=[12, 18], members=2, training=training)
forecasts = []
for each in (None, strategy):
    forecaster = nb.Forecaster(**settings, stacks=[nb.Trend(units=16), nb.Seasonality([12], units=16)])
    forecaster.fit(df, val_size=6, verbose=0, strategy=each)
    assert len(forecaster.history_["val_loss"]) == 2
    forecasts.append(forecaster.predict(level=[80]))
alone, shared = (f.iloc[:, 2:].to_numpy() for f in forecasts)
assert np.abs(alone - shared).max() < 0.1 * df.y.std()
forecaster.save(sys.argv[1])
again = nb.Forecaster.load(sys.argv[1]).predict(level=[80])
np.testing.assert_allclose(again.iloc[:, 2:].to_numpy(), shared, rtol=1e-6)
days = df.assign(ds=df.ds + 0.25)
small = [nb.Trend(units=8, coefficients="combined")]
settings |= {"horizon": 4.0, "lookback": 12.0, "freq": None, "stacks": small}
irregular = nb.Forecaster(**settings).fit(days, verbose=0, strategy=strategy)
assert np.isfinite(irregular.predict().iloc[:, 2].to_numpy()).all()
"""


def test_a_single_replica_changes_nothing(panel):
    forecasts = []
    for strategy in (
        None,
        tf.distribute.MirroredStrategy(["CPU:0"]),
        tf.distribute.OneDeviceStrategy("CPU:0"),
    ):
        forecaster = quick_forecaster(training=nb.Training(steps=4, epochs=2)).fit(
            panel, verbose=0, val_size=6, strategy=strategy
        )
        forecasts.append(forecaster.predict().NBeatsBasis)
    np.testing.assert_array_equal(forecasts[1], forecasts[0])
    np.testing.assert_array_equal(forecasts[2], forecasts[0])


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (SHARES, []),
        (GRADIENTS, [1e9, 0.02]),
        (GRADIENTS, [0.1, 0.5]),
        (NOT_FINITE, []),
        pytest.param(FORECASTER, [], marks=pytest.mark.slow),
    ],
    ids=["shares", "gradients", "clipped", "not finite", "forecaster"],
)
def test_two_replicas(code, arguments, tmp_path):
    """Replicas draw different windows, their gradients' mean moves all copies of the weights, a bad step is taken back."""
    command = [sys.executable, "-c", SETUP + code, *map(str, arguments or [tmp_path / "model"])]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
