"""Irregular times end to end: windows against a slow loop, invariances, queries, slopes, smooths, persistence."""

import dateutil.tz
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from conftest import quick_forecaster

import nbeats_basis as nb
from nbeats_basis.encoders import RegressionEncoder, encode
from nbeats_basis.observations import IrregularWindows, Observations
from nbeats_basis.panel import Columns, Panel

START = pd.Timestamp("2021-03-01")


@pytest.fixture(scope="module")
def numbers():
    """Six noisy waves at random real times, 30 to 60 observations each."""
    rng = np.random.default_rng(5)
    frames = []
    for s in range(6):
        times = np.sort(rng.uniform(0, 60, rng.integers(30, 60)))
        values = 5 * s + np.sin(2 * np.pi * times / 9 + s) + 0.1 * rng.normal(size=times.size)
        frames.append(pd.DataFrame({"unique_id": f"S{s}", "ds": times, "y": values}))
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def stamps(numbers):
    """The same waves at stamps, in days."""
    return numbers.assign(ds=START + pd.to_timedelta(numbers.ds, "D"))


def irregular(**kwargs) -> nb.Forecaster:
    """Return a small forecaster for irregular times."""
    stacks = [
        nb.Trend(units=16, num_blocks=1, coefficients="combined"),
        nb.Expansion(nb.bases.Fourier([9], 2), component="wave", units=16),
        nb.Generic(units=16),
    ]
    return quick_forecaster(
        **{"freq": None, "horizon": 8.0, "lookback": [30.0, 20.0], "stacks": stacks, **kwargs}
    )


@pytest.fixture(scope="module")
def fitted(numbers):
    """A forecaster fitted on `numbers`."""
    return irregular().fit(numbers, verbose=0)


def ends(df: pd.DataFrame) -> pd.Series:
    """Return each series' last time."""
    return df.groupby("unique_id").ds.max()


def ask(df: pd.DataFrame, times) -> pd.DataFrame:
    """Return rows at `times` after the last observation of each series."""
    last = ends(df)
    return pd.DataFrame(
        {"unique_id": np.repeat(last.index, len(times)), "ds": np.add.outer(last.to_numpy(), times).ravel()}
    )


def test_windows_are_those_of_a_slow_loop(numbers):
    panel = Panel.from_frame(numbers, Columns(), None)
    windows = IrregularWindows(panel, 20.0, 8.0, batch_size=64, holdout=10.0, recent=25.0, emptied=1 / 64)
    inputs, targets = windows.draw(3, [0, 1])
    assert inputs["values"].shape[:2] == (2, 64) and targets.shape == inputs["query_times"].shape
    absolute, hidden = inputs["origin"].numpy(), 0
    for m in range(2):
        for b in range(64):
            values, times, target = (x[m, b].numpy() for x in (inputs["values"], inputs["times"], targets))
            seen, asked = ~np.isnan(values), ~np.isnan(target)
            query = inputs["query_times"][m, b].numpy()[asked]
            group = next(
                g
                for _, g in numbers.groupby("unique_id")
                if np.isclose(g.ds, absolute[m, b], atol=1e-9).any()
            )
            last = group.ds.max()
            assert absolute[m, b] > last - 10 - 25
            age = group.ds - absolute[m, b]
            expected = group[(age > -20) & (age <= 1e-9)]
            if seen.any():
                order = np.argsort(times[seen])
                np.testing.assert_array_equal(values[seen][order], expected.y)
                np.testing.assert_allclose(times[seen][order], age[expected.index], atol=1e-5)
            hidden += not seen.any()
            after = group[(age > 1e-9) & (age <= 8) & (group.ds <= last - 10)]
            assert asked.any()
            np.testing.assert_array_equal(np.sort(target[asked]), np.sort(after.y))
            np.testing.assert_allclose(np.sort(query), age[after.index], atol=1e-5)
    assert 0 < hidden < 12  # a 64th in the mean
    again = windows.draw(3, [0, 1])
    np.testing.assert_array_equal(again[1], targets)
    assert not np.array_equal(windows.draw(4, [0, 1])[0]["origin"], absolute)
    held_out = windows.validation()
    assert len(held_out.origins) == 6
    _, validation = held_out.gather(np.arange(6))
    counted = numbers.groupby("unique_id").ds.apply(
        lambda t: ((t > t.max() - 10) & (t <= t[t <= t.max() - 10].max() + 8)).sum()
    )
    np.testing.assert_array_equal((~np.isnan(validation[0])).sum(axis=-1), counted)


def test_full_windows_are_thinned_evenly_and_said_so(fitted):
    times = np.arange(3000) / 100
    df = pd.DataFrame({"unique_id": "a", "ds": times, "y": np.arange(3000.0)})
    observations = Observations(Panel.from_frame(df, Columns(), None), 20.0, 100)
    values = observations.history(np.array([2999]))["values"].numpy()[0]
    assert values[0] == 2999 and values.shape == (100,) and set(np.diff(values)) == {-20.0}
    with pytest.warns(nb.DataWarning, match="up to 200[01] observations; those of more than 100"):
        thinned = irregular(
            lookback=20.0, training=nb.Training(steps=2, epochs=1, batch_size=8, max_points=100)
        ).fit(df, verbose=0)
    with pytest.warns(nb.DataWarning, match="thinned evenly") as caught:
        thinned.predict()
    assert caught[0].filename == __file__


def test_absent_missing_and_shuffled_rows_are_one(fitted, numbers, rng):
    gone = rng.uniform(size=len(numbers)) < 0.3
    expected = fitted.predict(numbers[~gone])
    as_nan = numbers.assign(y=numbers.y.where(~gone)).sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(fitted.predict(as_nan), expected)
    alone = fitted.predict(numbers[~gone & (numbers.unique_id == "S3")])  # fewer padded points
    np.testing.assert_allclose(alone.NBeatsBasis, expected.NBeatsBasis[expected.unique_id == "S3"], rtol=1e-6)


def test_order_and_padding_of_points_do_not_matter(fitted, rng):
    values, times = rng.normal(size=(2, 12)), -np.sort(rng.uniform(0, 25, (2, 12)))[:, ::-1]
    inputs = {"values": values, "times": times, "query_times": np.array([1.0, 7.5])}
    expected = fitted.model.forecast(inputs)["mean"].numpy()
    order = rng.permutation(12)
    nan = np.full((2, 5), np.nan)
    padded = {
        **inputs,
        "values": np.concatenate([nan, values[:, order]], axis=1),
        "times": np.concatenate([rng.uniform(-25, 0, (2, 5)), times[:, order]], axis=1),
    }
    np.testing.assert_allclose(fitted.model.forecast(padded)["mean"], expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("shift", [-1000.0, 0.125, 4096.0])
def test_shifting_all_times_changes_nothing(fitted, numbers, shift):
    moved, plain = fitted.predict(numbers.assign(ds=numbers.ds + shift)), fitted.predict(numbers)
    np.testing.assert_allclose(moved.NBeatsBasis, plain.NBeatsBasis, atol=1e-6)
    np.testing.assert_allclose(moved.ds, plain.ds + shift)


def test_units_of_values(fitted, numbers):
    changed = fitted.predict(numbers.assign(y=1e3 * numbers.y - 7), level=[80])
    plain = fitted.predict(numbers, level=[80])
    np.testing.assert_allclose(changed.iloc[:, 2:], 1e3 * plain.iloc[:, 2:] - 7, rtol=1e-5, atol=1e-2)


def test_stamps_equal_numbers(fitted, numbers, stamps):
    forecaster = irregular(horizon="8D", lookback=["30D", "480h"]).fit(
        stamps.sample(frac=1, random_state=2), verbose=0
    )
    table, expected = forecaster.predict(spacing="36h"), fitted.predict(spacing=1.5)
    np.testing.assert_allclose(table.NBeatsBasis, expected.NBeatsBasis, atol=1e-5)
    elapsed = (table.ds - START) / pd.Timedelta("1D")
    np.testing.assert_allclose(elapsed, expected.ds, atol=1e-9)
    hours = irregular(horizon=8 * 24, lookback=[30 * 24, "20D"], time_unit="h", stacks=[nb.Trend(units=16)])
    days = irregular(horizon=8.0, lookback=["30D", "20D"], stacks=[nb.Trend(units=16)])
    slopes = [
        f.fit(stamps, verbose=0).derivative(ask(stamps, pd.to_timedelta([1, 3], "D"))) for f in (hours, days)
    ]
    np.testing.assert_allclose(24 * slopes[0].NBeatsBasis, slopes[1].NBeatsBasis, atol=1e-3)


def test_zones_are_kept(numbers, stamps):
    zoned = stamps.assign(
        ds=stamps.ds.dt.tz_localize("Europe/Berlin", nonexistent="shift_forward", ambiguous=True)
    )
    assert irregular().fit(zoned, verbose=0).predict().ds.dt.tz.key == "Europe/Berlin"


def test_default_times_and_times_of_ones_own(fitted, numbers):
    table = fitted.predict(level=[80])
    spacing = np.median(np.concatenate([np.diff(g.ds) for _, g in numbers.groupby("unique_id")]))
    assert fitted.spacing_ == pytest.approx(spacing)
    steps = int(8 / spacing)
    np.testing.assert_allclose(table.ds, ask(numbers, spacing * np.arange(1, steps + 1)).ds)
    shuffled = table.sample(frac=1, random_state=0)
    again = fitted.predict(at=shuffled, level=[80])
    np.testing.assert_allclose(again.iloc[:, 2:], shuffled.iloc[:, 2:], atol=1e-5)
    assert (again.index == shuffled.index).all()
    many = ask(numbers[numbers.unique_id < "S2"], np.linspace(0, 8, 700))
    batched = fitted.predict(at=many).NBeatsBasis.to_numpy()
    few = fitted.predict(at=many.iloc[::50]).NBeatsBasis
    np.testing.assert_allclose(batched[::50], few, atol=1e-5)
    assert np.abs(np.diff(batched[:700])).max() < 0.2  # continuous


def test_components_add_up(fitted, numbers):
    at = ask(numbers, [0.3, 4.0, 7.7])
    for table in (fitted.decompose(), fitted.decompose(at=at), fitted.derivative(at), fitted.smooth(numbers)):
        assert list(table.columns) == ["unique_id", "ds", "NBeatsBasis", "level", "trend", "wave", "generic"]
        np.testing.assert_allclose(table.iloc[:, 3:].sum(axis=1), table.NBeatsBasis, atol=1e-5)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("head", [nb.heads.StudentT(), nb.heads.Point("mae")], ids=repr)
def test_slopes_are_finite_differences(fitted, numbers, head, order):
    forecaster = fitted if head.is_distribution else irregular(head=head, members=3).fit(numbers, verbose=0)
    times, step = np.array([0.6, 2.9, 6.1]), 0.02  # not near knots
    slopes = forecaster.derivative(ask(numbers, times), order)
    lower = forecaster.decompose if order == 1 else lambda at: forecaster.derivative(at, order - 1)
    above, below = (lower(at=ask(numbers, times + s)).iloc[:, 2:] for s in (step, -step))
    np.testing.assert_allclose(slopes.iloc[:, 2:], (above - below) / (2 * step), atol=4e-3, rtol=1e-2)


def test_slopes_on_a_calendar(panel):
    forecaster = quick_forecaster().fit(panel, verbose=0)
    slopes = forecaster.derivative(ask(panel, [1.5, 3.0]))
    above, below = (
        forecaster.predict(at=ask(panel, np.array([1.5, 3.0]) + s)).NBeatsBasis for s in (0.02, -0.02)
    )
    np.testing.assert_allclose(slopes.NBeatsBasis, (above - below) / 0.04, rtol=1e-2, atol=1e-2)
    whole = forecaster.predict()
    np.testing.assert_allclose(forecaster.predict(at=whole).NBeatsBasis, whole.NBeatsBasis, rtol=1e-6)


def test_between_the_months_of_a_calendar():
    df = nb.datasets.load("air_passengers")
    forecaster = quick_forecaster(freq="MS").fit(df, verbose=0)
    at = pd.DataFrame(
        {"unique_id": df.unique_id[0], "ds": pd.to_datetime(["1961-01-01", "1961-01-16", "1961-02-01"])}
    )
    values = forecaster.predict(at=at).NBeatsBasis
    expected = forecaster.predict().NBeatsBasis[:2]
    np.testing.assert_allclose(values[[0, 2]], expected, rtol=1e-6)
    assert np.abs(values[1] - expected.mean()) < np.abs(np.diff(expected))[0] + 20


def test_times_beyond_the_span_and_before_the_origin(fitted, numbers):
    with pytest.warns(nb.DataWarning, match="beyond the span that training covered, 8 units"):
        fitted.predict(at=ask(numbers, [12.0]))
    with pytest.raises(nb.DataError, match=r"series 'S0' at ds=.*row 0\).*before the last.*`smooth`"):
        fitted.predict(at=ask(numbers, [-1.0]))
    with pytest.raises(nb.DataError, match="outside the history.*`predict`"):
        fitted.smooth(ask(numbers, [1.0]))
    with pytest.raises(nb.DataError, match="columns"):
        fitted.predict(at=numbers[["ds"]])
    with pytest.raises(ValueError, match="spacing"):
        fitted.predict(at=ask(numbers, [1.0]), spacing=2.0)


def test_series_of_no_or_one_observation(fitted, numbers):
    at = pd.DataFrame({"unique_id": ["new", "new"], "ds": [100.0, 103.0]})
    with pytest.warns(nb.DataWarning, match="1 series have no observations, the first is 'new'"):
        table = fitted.predict(at=at, level=[80])
    assert np.isfinite(table.iloc[:, 2:]).all(axis=None)
    assert (table["NBeatsBasis-lo-80"] < table["NBeatsBasis-hi-80"]).all()
    with pytest.warns(nb.DataWarning):
        another = fitted.predict(at=at.assign(unique_id="other", ds=at.ds - 50.0))
    np.testing.assert_allclose(another.NBeatsBasis, table.NBeatsBasis, rtol=1e-6)
    one = fitted.decompose(pd.DataFrame({"unique_id": ["one"], "ds": [3.0], "y": [42.0]}))
    assert (one.level == 42).all() and np.isfinite(one.NBeatsBasis).all()
    with pytest.raises(nb.DataError, match="each needs an observation and another within the horizon"):
        irregular().fit(numbers.groupby("unique_id").head(1), verbose=0)


def test_a_line_is_forecast_smoothed_and_differentiated(numbers):
    df = numbers.assign(y=2 + 0.25 * numbers.ds)
    stacks = [nb.Trend(1, num_blocks=1, coefficients="regression")]
    forecaster = irregular(stacks=stacks, training=nb.Training(steps=400, learning_rate=0.05, epochs=1)).fit(
        df, verbose=0
    )
    at = ask(df, [0.0, 4.0, 8.0])
    np.testing.assert_allclose(forecaster.predict(at=at).NBeatsBasis, 2 + 0.25 * at.ds, atol=0.02)
    np.testing.assert_allclose(forecaster.derivative(at).NBeatsBasis, 0.25, atol=0.005)
    inside = pd.DataFrame({"unique_id": "S1", "ds": np.linspace(df.ds[df.unique_id == "S1"].min(), 50, 20)})
    np.testing.assert_allclose(forecaster.smooth(inside).NBeatsBasis, 2 + 0.25 * inside.ds, atol=0.1)


def test_smooths_are_continuous(fitted, numbers):
    times = np.arange(20, 30, 1 / 128)
    curve = fitted.smooth(pd.DataFrame({"unique_id": "S2", "ds": times}))
    coarse = np.abs(np.diff(curve.iloc[::4, 2:], axis=0)).max()
    assert (
        np.abs(np.diff(curve.iloc[:, 2:], axis=0)).max() < 0.6 * coarse
    )  # a jump would be as high in finer steps


def test_smooths_are_continuous_across_long_gaps(fitted, numbers):
    gap = numbers[(numbers.ds < 30) | (numbers.ds > 45)]
    before = gap[gap.ds < 30].groupby("unique_id").ds.max()
    after = gap[gap.ds > 45].groupby("unique_id").ds.min()
    for edge, step in ((before, 1e-6), (after, -1e-6)):
        asked = [pd.DataFrame({"unique_id": edge.index, "ds": edge.to_numpy() + s}) for s in (0, step)]
        at, beside = (fitted.smooth(each, df=gap).NBeatsBasis for each in asked)
        np.testing.assert_allclose(at, beside, atol=1e-3)


def test_smoothing_reads_both_sides(fitted, numbers):
    at = pd.DataFrame({"unique_id": "S2", "ds": [30.0, 31.0]})
    plain = fitted.smooth(at)
    for side in (-1, 1):
        changed = numbers.assign(y=numbers.y + 3.0 * ((numbers.ds - 30) * side).between(0.5, 8))
        assert np.abs(fitted.smooth(at, changed).NBeatsBasis - plain.NBeatsBasis).max() > 1e-3
    with pytest.raises(ValueError, match="freq=None"):
        quick_forecaster(freq=1).fit(
            numbers.assign(ds=numbers.groupby("unique_id").cumcount()), verbose=0
        ).smooth(at)


def test_calendar_phase_knows_the_day(stamps):
    stacks = [nb.Seasonality(["7D"], 2, units=16, coefficients="combined", phase="calendar", num_blocks=1)]
    forecaster = irregular(horizon="8D", lookback="30D", stacks=stacks).fit(stamps, verbose=0)
    plain = forecaster.predict(spacing="1D").NBeatsBasis
    for days, same in ((7, True), (3, False)):
        moved = forecaster.predict(
            stamps.assign(ds=stamps.ds + pd.Timedelta(days, "D")), spacing="1D"
        ).NBeatsBasis
        assert np.allclose(moved, plain, atol=1e-4) == same
    with pytest.raises(ValueError, match="periods='7D'"):
        irregular(stacks=stacks).fit(stamps.assign(ds=(stamps.ds - START) / pd.Timedelta("1D")), verbose=0)


def test_calendar_phase_of_a_series_without_observations(stamps):
    week = [nb.Seasonality(["7D"], 2, phase="calendar", units=16)]
    forecaster = irregular(stacks=week).fit(stamps, verbose=0)
    mondays, times = (
        pd.to_datetime(["2021-03-01", "2021-03-08", "2021-03-04"]),
        pd.to_timedelta([0, 1, 2], unit="D"),
    )
    asked = [pd.DataFrame({"unique_id": f"new{i}", "ds": day + times}) for i, day in enumerate(mondays)]
    with pytest.warns(nb.DataWarning, match="no observations"):
        table = forecaster.predict(at=pd.concat(asked, ignore_index=True))
    one, later, thursday = table.NBeatsBasis.to_numpy().reshape(3, 3)
    np.testing.assert_allclose(one, later, rtol=1e-5)
    assert np.abs(one - thursday).max() > 1e-4


def test_save_load_export(fitted, numbers, tmp_path):
    fitted.save(tmp_path / "model")
    loaded = nb.Forecaster.load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.predict(level=[80]), fitted.predict(level=[80]))
    recent = numbers[numbers.ds > ends(numbers)[numbers.unique_id].to_numpy() - 10]
    np.testing.assert_allclose(
        loaded.smooth(recent).NBeatsBasis, fitted.smooth(recent).NBeatsBasis, atol=1e-5
    )
    fitted.export(tmp_path / "served", level=[80])
    serve = tf.saved_model.load(tmp_path / "served").signatures["serving_default"]
    group = numbers[numbers.unique_id == "S4"].sample(frac=1, random_state=0)
    values, times = np.full((1, 70), np.nan), np.zeros((1, 70))
    values[0, : len(group)], times[0, : len(group)] = group.y, group.ds
    query = group.ds.max() + np.array([[0.5, 3.25, 8.0]])
    out = serve(values=tf.constant(values), times=tf.constant(times), query_times=tf.constant(query))
    at = pd.DataFrame({"unique_id": "S4", "ds": query[0]})
    expected = fitted.predict(at=at, level=[80])
    np.testing.assert_allclose(out["mean"][0], expected.NBeatsBasis, atol=1e-5)
    np.testing.assert_allclose(out["quantiles"][0], expected.iloc[:, 3:], atol=1e-5)


def test_a_served_model_takes_rows_padded_by_nan(fitted, numbers, tmp_path):
    fitted.export(tmp_path / "served")
    serve = tf.saved_model.load(tmp_path / "served").signatures["serving_default"]
    one = numbers[numbers.unique_id == "S0"]
    query, outs = tf.constant(ends(one).to_numpy()[:, None] + [[1.0, 2.0]]), []
    for pad in (0, 3):
        rows = [np.pad(one[c].to_numpy(), (0, pad), constant_values=np.nan)[None] for c in ("y", "ds")]
        outs.append(serve(values=tf.constant(rows[0]), times=tf.constant(rows[1]), query_times=query)["mean"])
    np.testing.assert_allclose(outs[1], outs[0], rtol=1e-6)


def test_bursts_take_no_memory(rng):
    times = (np.arange(60)[:, None] + 1e-8 * np.arange(10)).ravel()
    df = pd.DataFrame({"unique_id": "a", "ds": times, "y": rng.normal(size=600)})
    forecaster = irregular(training=nb.Training(steps=2, epochs=1)).fit(df, verbose=0)
    with pytest.raises(ValueError, match="`spacing` would give 8e\\+08 times a series"):
        forecaster.predict()
    assert np.isfinite(forecaster.predict(spacing=1.0).NBeatsBasis).all()


@pytest.mark.parametrize("stamped", [False, True])
def test_a_loaded_forecaster_knows_its_last_observation(tmp_path, stamped):
    times = np.append(12.0 * np.arange(100), 1200 + 12 / 1440) - 1100
    days = START + pd.to_timedelta(times, unit="D") if stamped else times
    day, month, season = (pd.Timedelta(days=1), "30D", "120D") if stamped else (1.0, 30.0, 120.0)
    df = pd.DataFrame({"unique_id": "a", "ds": days, "y": np.sin(np.arange(101.0))})
    training = nb.Training(steps=2, epochs=1)
    forecaster = irregular(horizon=month, lookback=season, training=training).fit(df, verbose=0)
    assert forecaster.predict(spacing=1.0).ds[0] == days[-1] + day
    forecaster.save(tmp_path / "model")
    expected, again = (f.predict(at=df.tail(1)) for f in (forecaster, nb.Forecaster.load(tmp_path / "model")))
    pd.testing.assert_frame_equal(again, expected)


def test_a_member_equals_the_same_network_trained_alone(numbers):
    panel = Panel.from_frame(numbers, Columns(), None)

    def train(members, seed, lookback):
        stacks = [nb.Trend(units=8, coefficients="combined"), nb.Generic(units=8)]
        net = nb.NBeats(stacks, 8.0, lookback, members=members, seed=seed, window=30.0, encoder="regression")
        net.compile()
        net.fit(IrregularWindows(panel, 30.0, 8.0, batch_size=16), epochs=1, steps_per_epoch=10, verbose=0)
        return net

    together, alone = train(2, 0, [30.0, 20.0]), train(1, 1, 20.0)
    for ours, theirs in zip(together.member(1).weights, alone.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=2e-5)


def test_validation_and_plots(numbers):
    forecaster = irregular().fit(numbers, val_size=8.0, verbose=0)
    assert np.isfinite(forecaster.history_["val_loss"]).all()
    assert len(forecaster.plot(ids=["S1", "S2"]).axes) == 2
    assert len(forecaster.plot_components(ids=["S1"]).axes) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"horizon": -1.0}, "horizon=-1.0"),
        ({"horizon": "7D"}, "horizon='7D'"),
        ({"lookback": "soon"}, "lookback='soon'"),
        ({"time_unit": "M"}, "time_unit='M'"),
        ({"stacks": [nb.Generic(4)]}, "num_terms=4"),
        ({"head": nb.heads.Point("mase")}, "mase"),
    ],
)
def test_bad_arguments_are_refused(numbers, arguments, message):
    with pytest.raises(ValueError, match=message):
        irregular(**arguments).fit(numbers, verbose=0)


def test_frames_of_another_kind_are_refused(fitted, stamps, numbers):
    with pytest.raises(nb.DataError, match="holds stamps, but the forecaster was fitted to numbers"):
        fitted.predict(stamps)
    with pytest.raises(nb.DataError, match="infinite at row 3"):
        fitted.predict(numbers.assign(ds=numbers.ds.where(numbers.index != 3, np.inf)))


@pytest.mark.parametrize(("spacing", "knots"), [(1.0, 31), (0.4, 76), (0.01, 128)])
def test_the_encoder_is_a_regression_with_its_uncertainty(rng, spacing, knots):
    encoder = RegressionEncoder(30.0, spacing)
    times = -np.sort(rng.uniform(0, 30, (1, 2, 9)))[..., ::-1].astype("float32")
    times[0, 0, -1] = 0
    values, observed = rng.normal(size=(1, 2, 9)).astype("float32"), np.ones((1, 2, 9), "float32")
    observed[0, 1] = 0
    context = encoder(times, observed)
    out = encode(context, tf.constant(values * observed)).numpy()[0]
    assert out.shape[-1] == 2 * knots + 4
    age = -times[0, 0].astype("float64")
    if knots < 128:
        place = age / 30
    else:  # denser near the origin: the first knots are 0.01 apart
        place = np.log1p(encoder._bend * age / 30) / np.log1p(encoder._bend)
        assert 30 * np.expm1(np.log1p(encoder._bend) / 127) / encoder._bend == pytest.approx(0.01, rel=0.05)
    design = np.maximum(0, 1 - np.abs(place[:, None] * (knots - 1) - np.arange(knots)))
    difference = np.diff(np.eye(knots), axis=0)
    matrix = design.T @ design + 0.01 * difference.T @ difference + 0.001 * np.eye(knots)
    np.testing.assert_allclose(out[0, :knots], np.linalg.solve(matrix, design.T @ values[0, 0]), atol=1e-4)
    uncertainty = 1 - np.linalg.solve(matrix, design.T @ np.ones(9))
    np.testing.assert_allclose(out[0, knots : 2 * knots], 0.3 * uncertainty, atol=1e-4)
    rates = 4.0 ** np.arange(4)[:, None] / 30
    seen, full = (np.log1p(np.exp(-rates * ages).sum(axis=1)) for ages in (age, np.arange(0, 30, spacing)))
    np.testing.assert_allclose(out[0, 2 * knots :], 0.3 * (seen - full), atol=1e-5)
    nothing = np.concatenate([np.zeros(knots), np.ones(knots), -full])  # where nothing is observed
    np.testing.assert_allclose(out[1], np.repeat([1, 0.3], [knots, knots + 4]) * nothing, atol=1e-5)


def test_a_full_window_of_equal_spacing_is_read_as_its_values(rng):
    times, values = -np.arange(30.0, -1, -1, "float32")[None, None], rng.normal(size=(1, 1, 31))
    context = RegressionEncoder(31.0, 1.0)(times, np.ones((1, 1, 31), "float32"))
    out = encode(context, tf.constant(values, "float32")).numpy()[0, 0]
    np.testing.assert_allclose(out[:31], values[0, 0, ::-1], atol=0.1)
    assert np.abs(out[32:63]).max() < 0.01 and np.abs(out[64:]).max() < 1e-5


def test_the_encoders_curve_has_the_gradient_of_its_formula(rng):
    encoder = RegressionEncoder(6.0, 1.0)
    times = tf.constant(-rng.uniform(0, 6, (2, 3, 9)), "float32")  # in any order
    observed = tf.constant(rng.uniform(size=(2, 3, 9)) < 0.7, "float32")
    values = tf.Variable(rng.normal(size=(2, 3, 9)), dtype="float32")
    context, weights = encoder(times, observed), rng.normal(size=(2, 3, 7)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(encode(context, values * observed)[..., :7] * weights)
    design = np.maximum(0, 1 - np.abs(-times.numpy()[..., None] - np.arange(7))) * observed.numpy()[..., None]
    difference = np.diff(np.eye(7), axis=0)
    matrix = np.swapaxes(design, -1, -2) @ design + 0.01 * difference.T @ difference + 0.001 * np.eye(7)
    expected = (design @ np.linalg.solve(matrix, weights[..., None]))[..., 0]
    np.testing.assert_allclose(tape.gradient(loss, values), expected, atol=2e-4)


def test_members_are_weighted_by_the_time_held_out(numbers):
    head = nb.heads.Point(["mse", "mae", "mse"])
    forecaster = irregular(head=head, members=3, stacks=[nb.Generic(units=16)])
    forecaster.fit(numbers, val_size=8.0, verbose=0, weights="validation")
    weights = forecaster.weights_
    assert np.isclose(weights.sum(), 1) and np.ptp(weights) > 1e-3
    single = [forecaster.model.member(k) for k in range(3)]
    window = {"values": np.arange(4.0)[None], "times": np.arange(-3.0, 1)[None], "query_times": np.ones(1)}
    each = np.ravel([net.forecast(window)["mean"] for net in single])
    order = np.argsort(each)
    middle = each[order][(np.cumsum(weights[order]) >= 0.5).argmax()]
    np.testing.assert_allclose(forecaster.model.forecast(window)["mean"], [[middle]], rtol=1e-5)


def test_arguments_set_after_fitting_do_not_count_before_the_next(stamps, tmp_path):
    """Neither for new frames nor for what is saved: units and thinning are those fitted with."""
    forecaster = irregular(horizon="8D", lookback="20D").fit(stamps, verbose=0)
    expected = forecaster.predict(spacing="1D")
    forecaster.set_params(time_unit="h", training=nb.Training(max_points=4))
    pd.testing.assert_frame_equal(forecaster.predict(stamps, spacing="1D"), expected)
    forecaster.save(tmp_path / "model")
    loaded = nb.Forecaster.load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.predict(spacing="1D"), expected)
    assert loaded.time_unit == "h" and loaded.training.max_points == 4


def test_time_zones_without_a_name_are_not_saved(numbers, tmp_path):
    zone = dateutil.tz.gettz("Europe/Berlin")
    stamps = pd.Timestamp("2024-01-01", tz=zone) + pd.to_timedelta(numbers.ds, unit="D")
    forecaster = irregular(horizon="8D", lookback="20D").fit(numbers.assign(ds=stamps), verbose=0)
    with pytest.raises(TypeError, match="cannot be saved by name"):
        forecaster.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
