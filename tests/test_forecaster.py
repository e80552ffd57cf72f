"""The forecaster end to end: scikit-learn manners, invariances, persistence, errors."""

import functools
import io
import subprocess
import sys
import warnings

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import QUICK, quick_forecaster
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.dates import num2date

import nbeats_basis as nb
from nbeats_basis.atoms import to_frame
from nbeats_basis.prediction import Predictor
from nbeats_basis.queries import Queries

PROPERTY = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def test_columns_rows_and_order(fitted, panel):
    table = fitted.predict(level=[80, 95])
    assert list(table.columns) == [
        "unique_id",
        "ds",
        "NBeatsBasis",
        "NBeatsBasis-lo-95",
        "NBeatsBasis-lo-80",
        "NBeatsBasis-hi-80",
        "NBeatsBasis-hi-95",
    ]
    assert len(table) == 36
    assert table.equals(table.sort_values(["unique_id", "ds"], ignore_index=True))
    last = panel.groupby("unique_id").ds.max()
    assert (table.groupby("unique_id").ds.min() == last + 1).all()
    assert list(fitted.predict(quantiles=[0.9, 0.1]).columns[3:]) == ["NBeatsBasis-q0.1", "NBeatsBasis-q0.9"]


def test_forecasts_fit_the_evaluation_tools_of_the_field(fitted, panel):
    evaluation = pytest.importorskip("utilsforecast.evaluation")
    losses = pytest.importorskip("utilsforecast.losses")
    table = fitted.predict(level=[80]).assign(y=1.0)
    scores = evaluation.evaluate(table, metrics=[losses.mae, losses.coverage], level=[80])
    assert set(scores.metric) == {"mae", "coverage_level80"}


@pytest.fixture(scope="module")
def varied(panel):
    """Forecasters of the default networks, smoothing among them: of the panel, and of one that varies by more than its level."""
    return {
        power: quick_forecaster(stacks=None).fit(panel.assign(y=panel.y**power), verbose=0)
        for power in (1, 3)
    }


@pytest.fixture(scope="module")
def default(varied):
    """The forecaster of the default networks, of the panel."""
    return varied[1]


@pytest.fixture(scope="module")
def by_percentages(panel):
    """A forecaster of sizes that vary much, by a head of percentages."""
    return quick_forecaster(head=nb.heads.StudentT("mape")).fit(panel.assign(y=panel.y**3), verbose=0)


def check_units(forecaster, panel, c, d):
    """Compare forecasts of c y + d with c times those of y, + d."""
    plain, changed = (
        forecaster.predict(panel, level=[80]),
        forecaster.predict(panel.assign(y=c * panel.y + d), level=[80]),
    )
    for column in plain.columns[2:]:
        np.testing.assert_allclose(
            changed[column], c * plain[column] + d, rtol=1e-5, atol=1e-4 * c + 1e-9 * abs(d)
        )


@PROPERTY
@given(c=st.floats(1e-5, 1e5), d=st.floats(-1e5, 1e5), power=st.sampled_from([1, 3]))
def test_forecasts_follow_any_change_of_units(varied, panel, c, d, power):
    check_units(varied[power], panel.assign(y=panel.y**power), c, d)


@pytest.mark.parametrize(("c", "d"), [(1e-5, 0.0), (1e5, -1e5), (1.0, 1e5)])
def test_training_follows_any_change_of_units(varied, panel, c, d):
    """In other units the same network is learned, of sizes that vary by more than their level as of others."""
    panel = panel.assign(y=panel.y**3)
    changed = (
        quick_forecaster(stacks=None).fit(panel.assign(y=c * panel.y + d), verbose=0).predict(level=[80])
    )
    for column, values in varied[3].predict(level=[80]).iloc[:, 2:].items():
        np.testing.assert_allclose((changed[column] - d) / c, values, rtol=1e-3, atol=1e-3 * panel.y.std())


@PROPERTY
@given(c=st.floats(1e-5, 1e5))
def test_forecasts_of_percentages_follow_factors(by_percentages, panel, c):
    """Sizes are forecast by a head of percentages, which have no meaning once something is added."""
    assert by_percentages.model.head.is_relative and by_percentages.model.scaling == "level"
    check_units(by_percentages, panel.assign(y=panel.y**3), c, 0.0)


@PROPERTY
@given(shift=st.integers(-(10**12), 10**12))
def test_shifting_all_times_changes_nothing(default, panel, shift):
    moved = default.predict(panel.assign(ds=panel.ds + shift))
    np.testing.assert_array_equal(moved.NBeatsBasis, default.predict(panel).NBeatsBasis)
    assert moved.ds[0] == default.predict(panel).ds[0] + shift


@PROPERTY
@given(seed=st.integers(0, 1000))
def test_order_of_rows_and_missing_rows(default, panel, seed):
    gone = np.random.default_rng(seed).uniform(size=len(panel)) < 0.3
    as_nan = panel.assign(y=panel.y.where(~gone)).sample(frac=1, random_state=seed)
    pd.testing.assert_frame_equal(default.predict(as_nan), default.predict(panel[~gone]))


@PROPERTY
@given(levels=st.lists(st.floats(0.5, 99.5), min_size=1, max_size=4, unique=True))
def test_quantiles_are_ordered(default, panel, levels):
    table = default.predict(panel, quantiles=sorted({0.5, *(v / 100 for v in levels)}))
    assert (np.diff(table.iloc[:, 3:].to_numpy(), axis=1) >= 0).all()


@pytest.mark.parametrize(
    ("head", "stacks"),
    [
        (nb.heads.StudentT(), None),
        (nb.heads.Point("mae"), None),
        (nb.heads.Point("mae"), [nb.Trend(units=16), nb.Seasonality([12], units=16)]),
    ],
)
def test_components_add_up(panel, head, stacks):
    monthly = panel.assign(ds=pd.Timestamp("2000") + panel.ds.map(lambda k: pd.DateOffset(months=k)))
    forecaster = quick_forecaster(head=head, stacks=stacks, freq="MS").fit(monthly, verbose=0)
    parts = forecaster.decompose()
    assert list(parts.columns) == ["unique_id", "ds", "NBeatsBasis", "level", "trend", "seasonality"]
    total = parts[["level", "trend", "seasonality"]].sum(axis=1)
    np.testing.assert_allclose(total, parts.NBeatsBasis, atol=1e-5 * np.abs(parts.NBeatsBasis).max())
    np.testing.assert_array_equal(parts.NBeatsBasis, forecaster.predict().NBeatsBasis)


def test_same_seed_same_forecast_and_no_global_state(panel):
    keras.utils.set_random_seed(1)
    first = quick_forecaster().fit(panel, verbose=0).predict()
    after_fit = np.random.uniform()  # noqa: NPY002
    keras.utils.set_random_seed(1)
    assert np.random.uniform() == after_fit  # noqa: NPY002
    shuffled = quick_forecaster().fit(panel.sample(frac=1, random_state=1), verbose=0).predict()
    pd.testing.assert_frame_equal(first, shuffled)
    other = quick_forecaster(seed=7).fit(panel, verbose=0).predict()
    assert not np.allclose(first.NBeatsBasis, other.NBeatsBasis)


def test_scikit_learn_manners(panel):
    stacks = [nb.Trend(units=8)]
    forecaster = nb.Forecaster(3, lookback=9, stacks=stacks, members=1, training=QUICK)
    assert forecaster.stacks is stacks
    assert nb.Forecaster(**forecaster.get_params()).get_params() == forecaster.get_params()
    assert forecaster.set_params(horizon=2) is forecaster
    with pytest.raises(ValueError, match="'width'"):
        forecaster.set_params(width=3)
    with pytest.raises(nb.NotFittedError):
        forecaster.predict()
    with pytest.raises(nb.NotFittedError, match="Call `fit` first"):
        _ = forecaster.history_
    assert not hasattr(forecaster, "freq_") and not hasattr(forecaster, "model")
    assert forecaster.fit(panel, verbose=0) is forecaster
    assert not stacks[0].built
    again = forecaster.predict()
    pd.testing.assert_frame_equal(forecaster.fit(panel, verbose=0).predict(), again)
    assert forecaster.freq_ == 1 and isinstance(forecaster.model, keras.Model)
    assert len(forecaster.history_["loss"]) == 2


def test_new_series_without_refitting(fitted, panel):
    new = panel[panel.unique_id == "S2"].assign(unique_id="never seen")
    known = fitted.predict(panel)
    np.testing.assert_allclose(
        fitted.predict(new).NBeatsBasis, known.NBeatsBasis[known.unique_id == "S2"], rtol=1e-6
    )


def test_prediction_does_not_retrace(fitted, panel):
    fitted.predict(level=[80])
    fitted.predict()
    traces = fitted._predictor.num_traces
    for level in ([50], [50, 80, 95]):
        fitted.predict(panel[panel.unique_id < "S3"], level=level)
    fitted.predict(panel[panel.unique_id < "S2"])
    assert fitted._predictor.num_traces == traces


def test_the_predictions_of_many_forecasters_are_not_warned_of(fitted, caplog):
    for _ in range(6):
        predictor = Predictor(fitted.model, 256)
        predictor.forecast(fitted._panel, Queries.grid(fitted._panel, np.ones(1)), [])
    assert "retracing" not in caplog.text


def test_batches_of_a_prediction_join(fitted, panel, monkeypatch):
    whole = fitted.predict(panel, level=[80])
    monkeypatch.setattr("nbeats_basis.prediction._BATCH", 1)
    np.testing.assert_allclose(fitted.predict(panel, level=[80]).iloc[:, 2:], whole.iloc[:, 2:], rtol=1e-6)


def test_validation_early_stopping_and_progress(panel, capsys):
    stopper = keras.callbacks.EarlyStopping(monitor="val_loss", patience=0, min_delta=1e9)
    forecaster = quick_forecaster(training=nb.Training(steps=40, batch_size=16, epochs=8))
    forecaster.fit(panel, val_size=6, callbacks=[stopper], verbose=2)
    assert len(forecaster.history_["val_loss"]) < 8
    assert "val_loss" in capsys.readouterr().out


def test_default_steps_grow_with_the_panel(panel):
    default = nb.Training()
    assert [default.epochs * default.plan(n)[0] for n in (1, 10_000, 40_000, 10**9)] == [50, 80, 315, 1000]
    assert nb.Training(steps=7, epochs=1).plan(10**9) == (7, 7)
    assert nb.Training(steps=150).plan(1) == (30, 10)
    training = nb.Training(steps=75, batch_size=8)
    forecaster = quick_forecaster(training=training).fit(panel, verbose=0)
    assert forecaster.model.optimizer.iterations == 80
    halved = forecaster.model.optimizer._learning_rate
    rates = [float(halved(step)) for step in (0, 26, 27, 52, 53, 79)]
    np.testing.assert_allclose(rates, [2e-3, 2e-3, 1e-3, 1e-3, 5e-4, 5e-4])


def test_percentages_scale_by_the_level_where_it_varies(panel):
    flat, panel = panel.assign(y=panel.y + 100), panel.assign(y=panel.y**3)
    mape, mixed = nb.heads.Point("mape"), nb.heads.Point(["smape", "mase"])
    for head, df, scaling in [(mape, panel, "level"), (mixed, panel, "std"), (mape, flat, "std")]:
        forecaster = quick_forecaster(head=head).fit(df, verbose=0)
        assert forecaster.model.scaling == scaling
    assert quick_forecaster(head=mape, scaling="std").fit(panel, verbose=0).model.scaling == "std"


def test_small_changes_of_a_high_level_are_learned():
    """Temperatures in kelvin: sizes, but their percentages say nothing; by default no worse than seasonal naive."""
    rng = np.random.default_rng(0)
    k = np.arange(120)
    y = 290 + 10 * np.sin(2 * np.pi * k / 12 + np.arange(12)[:, None]) + 2 * rng.normal(size=(12, 120))
    df = nb.synthetic.seasonal_panel(12, 120)[["unique_id", "ds"]].assign(y=y.ravel())
    train, test = df[df.ds < 108], df[df.ds >= 108].reset_index(drop=True)
    stacks = [nb.Trend(units=64), nb.Seasonality([12], units=64)]
    table = nb.Forecaster(12, members=2, stacks=stacks, freq=1).fit(train, verbose=0).predict(level=[80])
    naive = df[(df.ds >= 96) & (df.ds < 108)].y.to_numpy()
    assert np.abs(table.NBeatsBasis - test.y).mean() < np.abs(naive - test.y).mean()
    assert (table["NBeatsBasis-hi-80"] - table["NBeatsBasis-lo-80"]).mean() < 2 * 5.1  # of the noise: 5.1


@pytest.mark.parametrize("scaling", ["level", "ratio"])
def test_scaling_by_the_level_follows_the_unit(panel, scaling):
    make = functools.partial(quick_forecaster, head=nb.heads.Point("mape"), scaling=scaling)
    forecasts = [
        make().fit(panel.assign(y=c * panel.y**3), verbose=0).predict().NBeatsBasis / c for c in (1, 1e6)
    ]
    np.testing.assert_allclose(*forecasts, rtol=1e-4)


def test_a_series_that_is_rounding_error_at_first_does_not_end_the_training_of_others():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(size=(2, 60))
    y = 10 + np.sin(np.arange(120) * np.pi / 6) + 0.1 * rng.normal(size=(4, 120))
    y[0] = np.append((a + b) - a - b, 1e4 * (1 + a))
    months = pd.date_range("2000", periods=120, freq="MS")
    df = pd.concat([pd.DataFrame({"unique_id": i, "ds": months, "y": y[i]}) for i in range(4)])
    forecaster = quick_forecaster(head=nb.heads.StudentT("change")).fit(df, verbose=0)
    assert np.isfinite(forecaster.history_["loss"]).all()


def test_quiet_and_nothing_written(panel, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quick_forecaster().fit(panel, verbose=0).predict()
    assert capsys.readouterr().out == ""
    assert not list(tmp_path.iterdir())


def test_inferred_freq_is_said(panel, capsys):
    quick_forecaster().fit(panel, verbose=2)
    assert "freq inferred: 1" in capsys.readouterr().out


@pytest.mark.parametrize("scale", [1e-140, 1e-8, 1.0, 1e12, 1e148])
def test_extreme_values_constants_and_integers(panel, scale):
    df = pd.concat(
        [
            panel.assign(y=panel.y * scale),
            pd.DataFrame({"unique_id": "flat", "ds": range(30), "y": 5 * scale}),
        ]
    )
    table = quick_forecaster(stacks=None).fit(df, verbose=0).predict(level=[80])
    assert np.isfinite(table.iloc[:, 2:]).all(axis=None)
    np.testing.assert_allclose(table[table.unique_id == "flat"].iloc[:, 2:], 5 * scale, rtol=1e-9)
    if scale == 1:
        ints = panel.assign(y=(100 * panel.y).astype("int64"))
        assert np.isfinite(quick_forecaster(stacks=None).fit(ints, verbose=0).predict().NBeatsBasis).all()


def test_short_series_are_forecast_and_named(panel):
    short = pd.DataFrame({"unique_id": "tiny", "ds": [0], "y": [3.0]})
    with pytest.warns(nb.DataWarning, match="'tiny'"):
        forecaster = quick_forecaster(head=nb.heads.StudentT(), stacks=None)
        forecaster.fit(pd.concat([panel, short]), verbose=0)
    tiny = forecaster.decompose().query("unique_id == 'tiny'")
    assert (tiny.level == 3.0).all() and np.isfinite(tiny.NBeatsBasis).all()
    shifted = forecaster.predict(short.assign(y=5.0))  # of the panel's typical scale: it moves with its level
    np.testing.assert_allclose(shifted.NBeatsBasis, tiny.NBeatsBasis + 2.0, rtol=1e-6)
    with pytest.raises(nb.DataError, match="long enough"):
        quick_forecaster(freq=1).fit(short, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"horizon": 0}, "horizon=0"),
        ({"lookback": 0}, "lookback=0"),
        ({"freq": "fortnight"}, "freq='fortnight'"),
        ({"members": 0}, "members=0"),
        ({"scaling": "max"}, "scaling='max'"),
        ({"lookback": []}, "`lookback` must name at least one"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": None}, "seed=None"),
        ({"training": {"steps": 2}}, "`training` must be a `Training`"),
        ({"head": "mae"}, "`head` must be a head"),
        ({"head": nb.heads.StudentT}, "`head` must be a head"),
        ({"stacks": ["trend"]}, "`stacks` must be a list of stacks"),
        ({"stacks": nb.Trend()}, "`stacks` must be a list of stacks"),
        ({"training": nb.Training(steps=2, recent=1)}, "recent=1"),
        ({"horizon": "3D", "freq": None, "lookback": "12MS"}, "lookback"),
    ],
)
def test_bad_arguments_are_refused_before_training(panel, arguments, message):
    if "12MS" in arguments.values():
        panel = panel.assign(ds=pd.Timestamp("2020") + pd.to_timedelta(panel.ds, unit="D"))
    with pytest.raises((ValueError, TypeError), match=message):
        quick_forecaster(**arguments).fit(panel, verbose=0)


@pytest.mark.parametrize("freq", [1, None])
def test_what_is_held_out_has_no_say_in_training(panel, freq):
    other = panel.assign(y=panel.y.where(panel.ds < 40, 100 * panel.y))
    lookback = [12, 18] if freq else [12.0, 18.0]
    losses = [
        quick_forecaster(freq=freq, scaling="panel", lookback=lookback)
        .fit(each, val_size=25, verbose=0)
        .history_["loss"]
        for each in (panel, other)
    ]
    assert losses[0] == losses[1]


def test_calendar_phase_and_real_lengths_are_refused_on_a_calendar(panel):
    with pytest.raises(ValueError, match="freq=None"):
        quick_forecaster(stacks=[nb.Seasonality([12], phase="calendar")]).fit(panel, verbose=0)
    with pytest.raises(TypeError, match="`recent` must be an integer"):
        quick_forecaster(training=nb.Training(steps=2, recent=24.0)).fit(panel, verbose=0)


def test_a_callback_need_not_be_in_a_list(panel):
    stopping = keras.callbacks.EarlyStopping("loss", patience=0, min_delta=1e9)
    forecaster = quick_forecaster(training=nb.Training(steps=20, epochs=10)).fit(
        panel, callbacks=stopping, verbose=0
    )
    assert len(forecaster.history_["loss"]) == 2


def test_close_levels_have_columns_of_their_own(fitted):
    close = fitted.predict(level=[99.9999, 99.99999, 99.999999])
    assert list(close.columns[3:6]) == [f"NBeatsBasis-lo-99.9999{more}" for more in ("99", "9", "")]
    assert (np.diff(close.iloc[:, 3:], axis=1) >= 0).all()
    assert list(fitted.predict(quantiles=[0.5, 1 - 1e-12]).columns[3:]) == [
        "NBeatsBasis-q0.5",
        "NBeatsBasis-q0.999999999999",
    ]
    tenths = fitted.predict(quantiles=np.arange(0.1, 0.35, 0.1))
    assert fitted.plot(level=[99.99999, 99.999999]) is not None
    thirds = fitted.predict(quantiles=[0.1, 0.3, 0.1 + 0.2])
    assert list(thirds.columns[3:]) == [
        "NBeatsBasis-q0.1",
        "NBeatsBasis-q0.3",
        "NBeatsBasis-q0.30000000000000004",
    ]
    assert list(tenths.columns[3:]) == ["NBeatsBasis-q0.1", "NBeatsBasis-q0.2", "NBeatsBasis-q0.3"]
    with pytest.raises(TypeError, match="list of numbers"):
        fitted.predict(level=(width for width in [80]))


def test_what_is_no_callback_is_refused(panel):
    for wrong in ("early", ["early"], keras.callbacks.EarlyStopping):
        with pytest.raises(TypeError, match="`callbacks` must be Keras callbacks"):
            quick_forecaster().fit(panel, callbacks=wrong, verbose=0)


def test_columns_named_as_those_of_the_answer_are_refused(panel):
    forecaster = quick_forecaster().fit(
        panel.rename(columns={"unique_id": "level", "ds": "trend"}),
        id_col="level",
        time_col="trend",
        verbose=0,
    )
    assert list(forecaster.predict().columns) == ["level", "trend", "NBeatsBasis"]
    with pytest.raises(nb.DataError, match=r"\['level', 'trend'\]. Rename"):
        forecaster.decompose()
    with pytest.raises(nb.DataError, match=r"\['member'\]. Rename"):
        to_frame({(0, "trend"): np.ones((1, 1, 1, 1, 5))}, ["a"], "member")


def test_times_asked_for_are_of_the_kind_of_the_history(panel):
    hours = pd.date_range("2020-03-26", periods=60, freq="h", tz="Europe/Berlin")
    forecaster = quick_forecaster().fit(panel.assign(ds=hours[panel.ds]), verbose=0)
    expected = forecaster.predict()
    at = expected[["unique_id", "ds"]]
    abroad = forecaster.predict(at=at.assign(ds=at.ds.dt.tz_convert("Asia/Tokyo")))
    np.testing.assert_allclose(abroad.NBeatsBasis, expected.NBeatsBasis, rtol=1e-5)
    with pytest.raises(nb.DataError, match="without a time zone.*tz_localize"):
        forecaster.predict(at=at.assign(ds=at.ds.dt.tz_localize(None)))
    with pytest.raises(nb.DataError, match=r"row 1\) has no name"):
        forecaster.predict(at=at.assign(unique_id=at.unique_id.where(at.index != 1)))
    with pytest.raises(nb.DataError, match="row 0.*where nanoseconds count"):
        forecaster.predict(at=at.head(1).assign(ds=pd.Timestamp("2300-01-01", tz="UTC").as_unit("s")))
    with pytest.raises(TypeError, match="`at` must be a pandas DataFrame"):
        forecaster.predict(at=[at.ds[0]])
    late = at.assign(ds=at.ds + pd.Timedelta(hours=20))
    with pytest.warns(nb.DataWarning, match="beyond") as caught:
        forecaster.predict(at=late)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "ids", [pd.Categorical(["S0", "S1"], ["S1", "S0"]), np.array([7, 3], "int16")], ids=["names", "numbers"]
)
def test_numpy_arguments_and_the_order_of_series_are_saved(panel, tmp_path, ids):
    two = panel[panel.unique_id.isin(["S0", "S1"])]
    df = two.assign(unique_id=ids[(two.unique_id == "S1").to_numpy("int64")])
    training = nb.Training(steps=np.int64(2), epochs=1)
    forecaster = quick_forecaster(
        horizon=np.int64(6), lookback=range(8, 10), members=np.int64(2), seed=np.int64(1), training=training
    ).fit(df, verbose=0)
    forecaster.save(tmp_path / "model")
    expected, same = forecaster.predict(), nb.Forecaster.load(tmp_path / "model").predict()
    pd.testing.assert_frame_equal(same, expected, check_dtype=False)


def test_bad_levels_are_refused(fitted, panel):
    for kwargs in ({"level": [0]}, {"level": [100]}, {"level": ["80"]}, {"quantiles": [1.0]}):
        with pytest.raises(ValueError, match=next(iter(kwargs))):
            fitted.predict(**kwargs)
    with pytest.raises(ValueError, match="twice"):
        fitted.predict(level=[80], quantiles=[0.5])
    with pytest.raises(TypeError, match="level=80"):
        fitted.predict(level=80)
    with pytest.raises(TypeError, match="level=80"):
        fitted.plot(level=80)
    point = quick_forecaster(head=nb.heads.Point()).fit(panel, verbose=0)
    with pytest.raises(ValueError, match="distribution"):
        point.predict(level=[80])


def test_pictures_of_stamps_with_a_zone_have_its_days(panel):
    hours = pd.date_range("2020-03-26", periods=60, freq="h", tz="Asia/Tokyo")
    axis = quick_forecaster().fit(panel.assign(ds=hours[panel.ds]), verbose=0).plot(ids=["S0"]).axes[0].xaxis
    days = [t for t in axis.get_major_locator()() if num2date(t, hours.tz).hour == 0]
    assert days and axis.get_major_formatter().format_ticks(days)[0] in ("26", "27", "28")


def test_series_drawn_are_a_list(fitted):
    with pytest.raises(TypeError, match="`ids` must be a list"):
        fitted.plot(ids="S0")


def test_pictures(fitted):
    figure = fitted.plot(ids=["S1", "S2"])
    assert len(figure.axes) == 2 and len(figure.axes[0].lines) == 2 and len(figure.axes[0].collections) == 2
    assert len(fitted.plot_components(ids=["S1"]).axes) == 4
    with pytest.raises(ValueError, match="nobody"):
        fitted.plot(ids=["nobody"])


def run(code, *arguments):
    """Run code in a fresh process, from a folder without the package."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, cwd="/")
    assert result.returncode == 0, result.stderr[-3000:]


FRESH = """
import sys, pandas as pd, nbeats_basis as nb
forecaster = nb.Forecaster.load(sys.argv[1])
forecaster.predict(level=[80]).to_csv(sys.argv[2], index=False, float_format="%.17g")
"""


@pytest.mark.parametrize("calendar", ["MS", "h"])
def test_save_and_load_in_a_fresh_process(panel, tmp_path, calendar):
    stamps = pd.date_range("2001-01-01", periods=60, freq=calendar, tz="UTC" if calendar == "h" else None)
    df = panel.assign(ds=stamps[panel.ds]).rename(columns={"unique_id": "shop", "ds": "when", "y": "sales"})
    forecaster = quick_forecaster().fit(df, verbose=0, id_col="shop", time_col="when", target_col="sales")
    forecaster.save(tmp_path / "model")
    assert {p.name for p in (tmp_path / "model").iterdir()} == {
        "forecaster.json",
        "network.weights.h5",
        "history.npz",
    }
    run(FRESH, tmp_path / "model", tmp_path / "out.csv")
    expected = forecaster.predict(level=[80])
    reloaded = pd.read_csv(tmp_path / "out.csv", parse_dates=["when"])
    np.testing.assert_allclose(reloaded.iloc[:, 2:], expected.iloc[:, 2:], rtol=1e-12)
    assert (reloaded.when == expected.when).all()
    same = nb.Forecaster.load(tmp_path / "model")
    pd.testing.assert_frame_equal(same.predict(df, level=[80]), expected)
    assert same.get_params()["horizon"] == 6 and same.history_ == forecaster.history_
    assert same.plot() is not None


SERVE = """
import sys
sys.modules.update({name: None for name in ("keras", "tensorflow_probability", "nbeats_basis", "tf_keras")})
import numpy as np, tensorflow as tf
served = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
data = np.load(sys.argv[2])
out = served(**{k: tf.constant(data[k]) for k in ("values", "times", "query_times")})
names = out.pop("component_names").numpy()
open(sys.argv[4], "w").write(b" ".join(names).decode())
np.savez(sys.argv[3], **{k: v.numpy() for k, v in out.items()})
"""


@pytest.mark.parametrize("head", [nb.heads.StudentT(), nb.heads.Point()], ids=repr)
def test_saved_model_needs_tensorflow_alone(panel, tmp_path, head):
    forecaster = quick_forecaster(head=head).fit(panel, verbose=0)
    forecaster.export(tmp_path / "served")
    values = panel.pivot(index="unique_id", columns="ds", values="y").to_numpy()
    order = np.random.default_rng(0).permutation(values.shape[1])
    times = np.tile(np.arange(60.0) + 1e9, (6, 1))[:, order]
    last = panel.groupby("unique_id").ds.max().to_numpy()[:, None]
    np.savez(
        tmp_path / "in.npz", values=values[:, order], times=times, query_times=1e9 + last + np.arange(1.0, 5)
    )
    run(SERVE, tmp_path / "served", tmp_path / "in.npz", tmp_path / "out.npz", tmp_path / "names.txt")
    out = np.load(tmp_path / "out.npz")
    names = (tmp_path / "names.txt").read_text().split()
    level = [80, 95] if head.is_distribution else None
    expected = forecaster.predict(level=level)
    table = expected.iloc[:, 2:].to_numpy().reshape(6, 6, -1)[:, :4]
    np.testing.assert_allclose(out["mean"], table[..., 0], rtol=1e-5)
    np.testing.assert_allclose(out["quantiles"], table[..., 1:], rtol=1e-5)
    parts = forecaster.decompose().iloc[:, 3:].to_numpy().reshape(6, 6, -1)[:, :4]
    np.testing.assert_allclose(out["components"], parts, rtol=1e-5, atol=1e-5)
    assert names == ["level", "trend", "seasonality"]
    np.testing.assert_allclose(out["quantile_levels"], [0.025, 0.1, 0.9, 0.975] if level else [])


def test_the_default_head_suits_sizes_zeros_and_negative_values(panel):
    sparse = panel.assign(y=panel.y.where(panel.index % 20 > 0, 0.0))
    for frame in (panel, sparse, panel.assign(y=panel.y - panel.y.mean())):
        model = quick_forecaster().fit(frame, verbose=0).model
        assert (model.head, model.scaling) == (nb.heads.StudentT("height"), "std")


def test_every_entry_of_a_list_for_members_is_checked_and_arrays_are_lists(panel):
    for kwargs, message in [
        ({"lookback": [9, 9, -3]}, "lookback=-3"),
        ({"scaling": ["std", "std", "minmax"]}, "scaling='minmax'"),
    ]:
        with pytest.raises(ValueError, match=message):
            quick_forecaster(members=2, **kwargs).fit(panel, verbose=0)
    arrays = {"lookback": np.array([9, 12]), "scaling": pd.Series(["std", "level"])}
    model = quick_forecaster(members=3, **arrays).fit(panel, verbose=0).model
    assert model.lookbacks == (9, 12, 9) and model.scalings == ("std", "level", "std")
    assert quick_forecaster(members=1, lookback=[9, 30]).fit(panel, verbose=0).model.window == 9


@pytest.mark.parametrize(("freq", "horizon"), [("MS", 36), ("h", 12), ("QS", 2), ("W-SUN", 26)])
def test_pictures_of_any_span_are_drawn_without_a_warning(freq, horizon):
    df = nb.synthetic.seasonal_panel(1, 60).assign(ds=lambda df: pd.date_range("2020", periods=60, freq=freq))
    forecaster = quick_forecaster(horizon=horizon, lookback=12, freq=freq).fit(df, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure in (forecaster.plot(), forecaster.plot_components()):
            figure.savefig(io.BytesIO())
    with pytest.raises(ValueError, match="`ids` must be series"):
        forecaster.plot(ids=[])
