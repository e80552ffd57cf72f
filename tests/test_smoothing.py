"""Exponential smoothing in closed form: against a slow oracle, its invariances, and in forecasters of every kind."""

import numpy as np
import pandas as pd
import pytest
import reference
import tensorflow as tf

import nbeats_basis as nb
from nbeats_basis.smoothing import PRECISION, in_order, seasonal, smooth

HALF_LIVES = 0.5 ** np.arange(1, 6)
STOPPED = "error::nbeats_basis.TrainingWarning"


def run(values, times, log_prior=None, share=0.5, leads=(1,)):
    """Smooth one window; NaN where not observed. Return value, slope and error of the line of the last lead time."""
    values, times = (np.asarray(x, "float32")[None, None] for x in (values, times))
    observed = np.isfinite(values).astype("float32")
    log_prior = np.zeros(len(HALF_LIVES)) if log_prior is None else log_prior
    log_prior = np.tile(log_prior, (1, len(leads), 1)).astype("float32")
    series = in_order(np.nan_to_num(values), tf.constant(observed), tf.constant(times))
    out = smooth(*series, HALF_LIVES, leads, log_prior, np.full((1, len(leads)), share, "float32"))
    return np.array([x.numpy()[0, 0, -1] for x in out])


@pytest.fixture
def walk(rng):
    """Times of one window, and a random walk with drift there."""
    times = np.sort(rng.uniform(-1, 0, 60))
    return times - times[-1], 3 * times + np.cumsum(rng.normal(size=60)) * 0.1


@pytest.mark.parametrize("lead", [0, 0.005, 0.05, 0.3])
@pytest.mark.parametrize("share", [0.1, 0.9])
def test_smoothing_agrees_with_a_slow_oracle(walk, rng, share, lead):
    times, values = walk
    prior = rng.dirichlet(np.ones(len(HALF_LIVES)))
    expected = reference.smoothed(times, values, HALF_LIVES, lead, prior, share, PRECISION)
    found = run(values, times, np.log(prior), share, (0.001, lead) if lead else (0.001,))
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)


def test_a_lead_time_on_a_grid_is_so_many_steps(rng):
    values, steps = np.cumsum(rng.normal(size=60)), np.arange(-59.0, 1)
    at_once = [run(values, steps / 60, leads=(1 / 60, lead / 60)) for lead in (7, 7.01, 6.99)]
    expected = reference.smoothed(steps / 60, values, HALF_LIVES, 6.999 / 60, np.ones(5) / 5, 0.5, PRECISION)
    np.testing.assert_allclose(at_once[0], expected, rtol=1e-3, atol=1e-3)
    assert abs(at_once[1][0] - at_once[0][0]) > 10 * abs(at_once[2][0] - at_once[0][0])


def test_order_and_absent_observations_do_not_matter(walk, rng):
    times, values = walk
    plain = run(values, times)
    order = rng.permutation(len(times))
    np.testing.assert_allclose(run(values[order], times[order]), plain, atol=1e-5)
    padded = np.concatenate([values, np.full(9, np.nan)]), np.concatenate([times, rng.uniform(-1, 0, 9)])
    np.testing.assert_allclose(run(*padded), plain, atol=1e-5)


def test_a_grid_with_gaps_needs_no_order(rng):
    times = tf.linspace(-1.0, 0.0, 40)[None, None]
    observed = tf.constant(rng.uniform(size=(1, 5, 40)) < 0.7, "float32")
    series = tf.constant(rng.normal(size=(1, 5, 40)).cumsum(-1), "float32") * observed, observed, times
    leads = (1 / 39, 4 / 39)
    rest = HALF_LIVES, leads, np.zeros((1, 2, len(HALF_LIVES)), "float32"), np.full((1, 2), 0.5, "float32")
    for plain, sorted_ in zip(smooth(*series, *rest), smooth(*in_order(*series), *rest), strict=True):
        np.testing.assert_allclose(plain, sorted_, atol=1e-5)


def test_a_straight_line_goes_on(walk):
    times, _ = walk
    constant, slope, error = run(2 + 5 * times, times)
    assert abs(constant - 2) < 1e-3 and abs(slope - 5) < 5e-3 and error < 1e-3


def test_a_constant_a_single_value_and_nothing_are_kept():
    times = np.linspace(-1, 0, 20)
    assert np.allclose(run(np.full(20, 3.0), times), [3, 0, 0], atol=1e-5)
    assert np.allclose(run(np.where(times == -1, 3.0, np.nan), times), [3, 0, 0], atol=1e-5)
    assert np.allclose(run(np.full(20, np.nan), times), 0, atol=1e-5)


def test_a_long_gap_leaves_a_level(rng):
    times = np.concatenate([np.linspace(-1, -0.999, 10), [0.0]])
    out = run(np.concatenate([np.full(10, 1.0), [2.0]]), times)
    assert np.isfinite(out).all() and 1 <= out[0] <= 2


def test_noise_has_no_season_and_a_season_is_found(rng):
    times = np.arange(-71.0, 1)
    fourier = nb.bases.Fourier([12], 6)
    design = tf.concat([nb.bases.BSpline(knots=range(-72, 1, 12), degree=1)(times), fourier(times)], axis=-1)
    design = tf.cast(design, "float32")[None, None]
    observed = np.ones((1, 400, 72), "float32")
    noise = rng.normal(size=(1, 400, 72)).astype("float32")
    wave = np.cos(2 * np.pi * times / 12).astype("float32")
    sizes = design.shape[-1] - fourier.num_terms, fourier.num_terms
    theta = seasonal(noise, observed, design, sizes).numpy()[0]
    assert (theta == 0).all(axis=1).mean() > 0.4 and (theta**2).sum(axis=1).mean() < 0.15
    theta = seasonal(0.1 * noise + 3 * wave, observed, design, sizes).numpy()[0]
    assert np.abs(theta[:, 0] - 3).mean() < 0.05 and np.abs(theta[:, 1:]).mean() < 0.02


def frame(rng, multiplicative: bool, freq):
    """Return twelve series with a season, all positive."""
    parts = []
    for i in range(12):
        ds = np.arange(96.0) if freq else np.sort(rng.uniform(0, 96, 80))
        trend, season = 10 + 0.1 * ds, np.sin(2 * np.pi * ds / 12 + i)
        y = trend * (1 + 0.3 * season) if multiplicative else trend + 3 * season
        noise = 1 + 0.01 * rng.normal(size=len(ds))
        parts.append(
            pd.DataFrame({"unique_id": f"s{i:02}", "ds": ds.astype(int) if freq else ds, "y": y * noise})
        )
    return pd.concat(parts, ignore_index=True)


def forecaster(multiplicative: bool, freq, leads: int = 1, **kwargs):
    unit = int if freq else float
    return nb.Forecaster(
        unit(12),
        unit(72),
        freq,
        [nb.Smoothing([12], None, None, leads, multiplicative, units=8)],
        members=2,
        scaling="ratio" if multiplicative else "std",
        training=nb.Training(steps=20, epochs=1, batch_size=32),
        **kwargs,
    )


@pytest.mark.filterwarnings(STOPPED)
@pytest.mark.parametrize(("multiplicative", "freq", "leads"), [(True, None, 4), (False, 1, 1)])
def test_everything_a_forecaster_does(rng, tmp_path, multiplicative, freq, leads):
    data = frame(rng, multiplicative, freq)
    past = data[data.ds < 84]
    future = data[data.ds >= 84]
    fitted = forecaster(multiplicative, freq, leads).fit(past, verbose=0)
    ask = {} if freq else {"at": future[["unique_id", "ds"]]}
    plain = fitted.predict(level=[80], **ask)
    error = np.abs(plain.NBeatsBasis.to_numpy() - future.y.to_numpy())
    assert error.mean() < 0.04 * future.y.mean(), error.mean()
    assert (plain["NBeatsBasis-lo-80"] < plain["NBeatsBasis-hi-80"]).all()
    parts = fitted.decompose(**ask)
    np.testing.assert_allclose(
        parts[["level", "trend", "seasonality"]].sum(axis=1), plain.NBeatsBasis, rtol=1e-5
    )
    absent = past[past.index % 7 > 0]
    blank = past.assign(y=past.y.where(past.index % 7 > 0))
    pd.testing.assert_frame_equal(fitted.predict(absent, **ask), fitted.predict(blank, **ask), rtol=1e-6)
    fitted.save(tmp_path / "model")
    loaded = nb.Forecaster.load(tmp_path / "model").predict(level=[80], **ask)
    pd.testing.assert_frame_equal(loaded, plain, rtol=1e-6)
    fitted.export(tmp_path / "saved")
    assert np.ptp(parts.seasonality) > 1
    if freq:  # a whole season
        assert np.abs(parts.groupby("unique_id").seasonality.mean()).max() < 1


@pytest.mark.parametrize(("multiplicative", "order", "leads"), [(True, 1, 2), (True, 2, 1), (False, 1, 1)])
def test_derivatives_are_those_of_the_forecast(rng, multiplicative, order, leads):
    fitted = forecaster(multiplicative, None, leads).fit(frame(rng, multiplicative, None), verbose=0)
    at, step = pd.DataFrame({"unique_id": "s03", "ds": np.linspace(96.5, 107, 40)}), 0.02

    def lower(at):
        return fitted.predict(at=at) if order == 1 else fitted.derivative(at=at, order=1)

    after, before = (lower(at.assign(ds=at.ds + way * step)).NBeatsBasis for way in (1, -1))
    exact = fitted.derivative(at=at, order=order).NBeatsBasis
    np.testing.assert_allclose((after - before) / (2 * step), exact, atol=0.01 * np.abs(exact).max())


@pytest.mark.parametrize(
    ("multiplicative", "scaling", "shift"),
    [(False, "std", 500.0), (True, "std", 500.0), (True, "ratio", 0.0)],
)
def test_forecasts_follow_scale_and_but_for_ratios_level(rng, multiplicative, scaling, shift):
    data = frame(rng, multiplicative, 1)
    fitted = forecaster(multiplicative, 1).set_params(scaling=scaling).fit(data, verbose=0)
    for factor in (1e-5, 7.0, 1e5):
        moved = fitted.predict(data.assign(y=factor * data.y + shift * factor)).NBeatsBasis
        expected = factor * (fitted.predict(data).NBeatsBasis + shift)
        np.testing.assert_allclose(moved, expected, rtol=2e-5)


@pytest.mark.parametrize("multiplicative", [False, True])
@pytest.mark.parametrize(("length", "every"), [(2000, 1), (1008, 24)])
def test_the_season_of_long_windows_is_found_whatever_is_observed(rng, length, every, multiplicative):
    """Where only every n-th step is observed, harmonics look alike: single precision lost the season or was beyond all data."""
    times = np.arange(1 - length, 169)
    values = 100 + 10 * np.cos(np.pi * times / 12) + 3 * rng.normal(size=(20, len(times)))
    seen = times % every == 0
    window = np.where(seen, values, np.nan)[:, :length]
    net = nb.NBeats([nb.Smoothing([24], multiplicative=multiplicative)], 168, length)
    found = tf.function(net.forecast)(window)["mean"].numpy()  # a loop over time
    error = np.abs(found - values[:, length:])[:, seen[length:]]
    assert error.mean() < 2.7, "the noise's alone is 2.39"
    assert found.min() > 60 and found.max() < 140


def test_a_season_multiplies_the_height_above_zero_or_a_floor(rng):
    """A season that grows with the level goes on growing, whatever is added to it; where all is positive exactly."""
    data = frame(rng, True, 1)
    past, future = data[data.ds < 84], data[data.ds >= 84]
    errors = {}
    for multiplicative, scaling in ((True, "ratio"), (True, "std"), (False, "std")):
        fitted = forecaster(multiplicative, 1).set_params(scaling=scaling).fit(past, verbose=0)
        errors[multiplicative, scaling] = np.abs(fitted.predict().NBeatsBasis.to_numpy() - future.y).mean()
    assert errors[True, "ratio"] < errors[True, "std"] < 0.7 * errors[False, "std"], errors


def test_a_zero_among_ratios_is_forecast(rng):
    data = frame(rng, True, 1)
    data.loc[data.ds == 50, "y"] = 0.0
    assert np.isfinite(forecaster(True, 1).fit(data, verbose=0).predict().NBeatsBasis).all()


@pytest.mark.parametrize("values", [[-2.0] * 30, [0.0] * 30, [0.0] * 29 + [1.0], [np.nan] * 29 + [-3.0]])
def test_a_floor_needs_no_spread(values):
    net = nb.NBeats([nb.Smoothing([4], multiplicative=True)], horizon=4, lookback=30, scaling="none")
    mean = net.forecast(np.array([values]))["mean"].numpy()
    assert np.isfinite(mean).all()
    if np.nanstd(values) == 0:
        np.testing.assert_allclose(mean, values[-1], atol=1e-5)


def test_a_point_head_learns_prior_and_drift_alone(rng):
    fitted = forecaster(False, 1, head=nb.heads.Point()).fit(frame(rng, False, 1), verbose=0)
    assert {v.name for v in fitted.model.trainable_variables} == {"log_prior", "share"}
    assert all(np.abs(v.numpy()).max() > 0 for v in fitted.model.trainable_variables)


def test_smoothing_comes_first():
    with pytest.raises(ValueError, match="must come first"):
        nb.NBeats([nb.Trend(units=8), nb.Smoothing()], horizon=4, lookback=8)


def test_stacks_after_it_see_what_it_leaves(rng):
    net = nb.NBeats([nb.Smoothing([12], units=8), nb.Generic(units=8)], horizon=12, lookback=48)
    values = (10 + np.sin(2 * np.pi * np.arange(48) / 12)).astype("float32")[None]
    out = net({"values": values})
    assert net.component_names == ["trend", "seasonality", "generic"]
    left = out["values"] - out["backcasts"][:, :, 0] - out["backcasts"][:, :, 1]
    assert np.abs(left).max() < 0.05 * np.abs(out["values"]).max()


def test_a_season_of_any_size_leaves_gradients_finite():
    stacks = [nb.Smoothing([4], multiplicative=True, units=8), nb.Generic(units=8)]
    net = nb.NBeats(stacks, horizon=4, lookback=24, scaling="none")
    values = 1e3 * np.sin(np.arange(24) * np.pi / 2)[None]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(net({"values": values})["params"])
    gradients = tape.gradient(loss, [v.value for v in net.trainable_variables])
    assert all(np.isfinite(g).all() for g in gradients if g is not None)


def test_a_trend_alone_is_forecast_at_irregular_times():
    frame = nb.synthetic.thin(nb.synthetic.seasonal_panel(4, 60, seed=0), 0.3, seed=0)
    training = nb.Training(steps=2, epochs=1, batch_size=8)
    fitted = nb.Forecaster(6.0, 24.0, None, [nb.Smoothing()], members=2, training=training).fit(
        frame, verbose=0
    )
    parts = fitted.decompose()
    assert (
        list(parts.columns[2:]) == ["NBeatsBasis", "level", "trend"] and np.isfinite(parts.NBeatsBasis).all()
    )


def test_a_harmonic_of_two_periods_is_one():
    """A week's seventh harmonic is the day's first: their coefficients would share it, and each be shrunk for itself."""
    block = nb.Smoothing([24, 168], [12, 84]).make_block(504, 24, 1)
    assert block.groups[1:] == [2 * 12, 2 * (84 - 12)]
    assert block.basis.num_terms == 3 + 168
    assert nb.Smoothing([24, 168], 6).make_block(504, 24, 1).groups[1:] == [12, 12]


def test_a_noisy_long_season_does_not_shrink_a_short_one(rng):
    hours = np.arange(1 - 504, 25)
    day = 5 * np.cos(np.pi * hours / 12) + 3 * np.cos(np.pi * hours / 3)
    values = 50 + day + rng.normal(scale=4, size=(30, len(hours)))
    errors = {}
    for periods, harmonics in (((168,), 84), ((24, 168), (12, 84))):
        net = nb.NBeats([nb.Smoothing(periods, harmonics)], 24, 504)
        found = net.forecast(values[:, :504])["mean"].numpy()
        errors[periods] = np.abs(found - 50 - day[504:]).mean()
    assert errors[24, 168] < 0.8 * errors[168,], errors


def test_a_level_that_returns_is_forecast_to_return(rng):
    """A disturbance that fades within hours is followed one step ahead, and forgotten a day ahead."""
    fading = np.zeros((40, 400))
    for i in range(1, 400):
        fading[:, i] = 0.8 * fading[:, i - 1] + rng.normal(size=40)
    errors = {}
    for leads in (1, 4):
        net = nb.NBeats([nb.Smoothing(leads=leads)], 40, 360)
        found = net.forecast(10 + fading[:, :360])["mean"].numpy() - 10
        errors[leads] = np.abs(found - fading[:, 360:]).mean(axis=0)
    assert abs(errors[4][0] / errors[1][0] - 1) < 0.05, errors
    assert errors[4][20:].mean() < 0.85 * errors[1][20:].mean(), errors


def test_a_window_too_short_for_a_lead_time_goes_by_the_one_before():
    values = np.where(np.arange(48) < 38, np.nan, np.arange(48.0))[None]
    found = {}
    for leads in (1, 4):
        net = nb.NBeats([nb.Smoothing(leads=leads)], 24, 48)
        found[leads] = net.forecast(values)["mean"].numpy()[0]
    steps = np.diff(found[4])
    assert (steps > 0.1).all() and np.abs(found[4] - found[1]).max() < 0.1 * np.abs(found[1] - 47).max(), (
        found
    )


def test_observations_count_by_their_weights(rng):
    """What noise cannot have made is a weighted regression's; in noise alone the average window finds no season."""
    times = np.arange(-95.0, 1)
    wave = nb.bases.Fourier([12], 5)(times).numpy()
    design = np.concatenate([np.stack([np.ones(96), times / 96], axis=1), wave], axis=1)
    weights = 2 ** (times / 24)
    noise = rng.normal(size=(300, 96))
    values = 5 * wave[:, 1] + 3 * wave[:, 7] * times / 96 + 0.01 * noise
    root = np.sqrt(weights)[:, None]
    expected = np.linalg.lstsq(root * design, (root * values.T), rcond=None)[0][2:].T
    shape = (1, *values.shape)

    def found(values):
        rest = np.broadcast_to(weights, shape), tf.constant(design[None, None]), (2, 10)
        return seasonal(tf.constant(values[None]), *rest).numpy()[0]

    np.testing.assert_allclose(found(values), expected, atol=0.03)  # next to no shrinkage
    theta = found(noise)
    assert 0.35 < (theta == 0).all(axis=1).mean() < 0.65, "the factor is 0 for about half of the windows"


def test_a_season_that_changes_is_forecast_as_it_was_last(rng):
    steps = np.arange(120 + 12)
    values = 20 + np.where(steps < 60, -3, 3) * np.cos(np.pi * steps / 6) + 0.1 * rng.normal(size=(20, 132))
    errors = {}
    for memory in (None, 1):
        net = nb.NBeats([nb.Smoothing([12], memory=memory)], 12, 120)
        found = net.forecast(values[:, :120])["mean"].numpy()
        errors[memory] = np.abs(found - values[:, 120:]).mean()
    assert errors[1] < 0.6 < 2 < errors[None], errors
    long_ago = np.concatenate([values[:, :60], np.full((20, 300), np.nan)], axis=1)
    found = nb.NBeats([nb.Smoothing([12], memory=1)], 12, 360).forecast(long_ago)["mean"].numpy()
    assert np.ptp(found, axis=1).min() > 5


@pytest.mark.parametrize("multiplicative", [False, True])
def test_components_inside_the_window_are_those_of_its_line_and_season(rng, multiplicative):
    """With several lead times, too, whose line says nothing of the past."""
    values = 20 + 3 * np.sin(np.pi * np.arange(120) / 6)[None] + 0.1 * rng.normal(size=(4, 120))
    net = nb.NBeats([nb.Smoothing([12], None, None, 4, multiplicative)], 12, 120)
    out = net({"values": values})
    trend, season = tf.unstack(out["backcasts"][0], axis=1)
    assert np.std(trend, axis=1).max() < 0.1 * np.std(season, axis=1).min()
    np.testing.assert_allclose(trend + season, out["values"][0], atol=0.5)


def test_harmonics_may_be_listed_and_periods_be_durations():
    block = nb.Smoothing([24, 168], [[1, 2], 14]).make_block(504, 24, 1)
    assert block.groups[1:] == [4, 2 * 12], "the week's seventh and fourteenth are the day's"
    weekly = nb.Smoothing(["1D", "7D"], 2, memory=1).copy("h").make_block(504.0, 24.0, 1)
    assert weekly.memory == 168 and weekly.periods == [24, 168]
    again = type(block).from_config(block.get_config())
    assert again.groups == block.groups and again.leads == block.leads
