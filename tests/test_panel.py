"""Frames to flat arrays: calendars, order, and what is refused."""

import numpy as np
import pandas as pd
import pytest

import nbeats_basis as nb
from nbeats_basis.calendars import Calendar, check_freq, infer_freq, season_length
from nbeats_basis.panel import Columns, Panel
from nbeats_basis.queries import Queries

FREQS = ["MS", "ME", "QS", "QE-NOV", "YS", "YE", "W-WED", "D", "B", "h", "15min", "2D", "2MS", "s"]


def frame(freq="MS", periods=30, start="2001-01-01", ids=("a", "b"), **kwargs):
    """Return a long frame on a calendar."""
    ds = pd.date_range(start, periods=periods, freq=freq, **kwargs)
    parts = [
        pd.DataFrame({"unique_id": i, "ds": ds, "y": np.arange(periods) + 10.0 * k})
        for k, i in enumerate(ids)
    ]
    return pd.concat(parts, ignore_index=True)


def panel_of(df, freq="infer"):
    """Return the panel of a frame with the usual columns."""
    return Panel.from_frame(df, Columns(), freq)


@pytest.mark.parametrize("freq", FREQS)
def test_future_stamps_follow_the_calendar(freq):
    df = frame(freq)
    panel = panel_of(df, freq)
    expected = pd.date_range(df.ds.iloc[29], periods=5, freq=freq)[1:]
    future = panel.future(np.arange(1, 5))
    assert list(future.ds[:4]) == list(expected)
    assert future.ds.dtype == df.ds.dtype
    np.testing.assert_array_equal(panel.steps[:30], np.arange(30))
    pd.testing.assert_frame_equal(panel.to_frame(), df, check_dtype=False)


@pytest.mark.parametrize("freq", [f for f in FREQS if f != "2MS"])
def test_freq_is_inferred_with_gaps(freq):
    df = frame(freq, 60).drop(index=[5, 6, 17, 70])
    panel = panel_of(df)
    assert list(panel.future(np.arange(1, 3)).ds[:2]) == list(
        pd.date_range(df.ds.iloc[56], periods=3, freq=freq)[1:]
    )
    assert season_length(panel.calendar.freq) == season_length(freq)


@pytest.mark.parametrize(
    ("freq", "start"), [("2MS", "2023-04-01"), ("6MS", "2023-04-01"), ("2ME", "2023-05-31")]
)
def test_a_few_stamps_of_several_months_are_no_days(freq, start):
    with pytest.raises(nb.DataError, match="without doubt"):
        panel_of(frame(freq, 4, start))


def test_seasons_of_calendars_by_other_names():
    names = ("h", "60min"), ("MS", "BME"), ("QS", "3MS"), ("QE-NOV", "3ME"), ("YS", "12MS"), ("W-SUN", "7D")
    for one, other in names:
        assert season_length(one) == season_length(other)
    given = {
        "h": 24,
        "MS": 12,
        "2MS": 6,
        "QS": 4,
        "2QS": 2,
        "5MS": 1,
        "YS": 1,
        "W": 52,
        "2W": 1,
        "D": 7,
        "B": 5,
        "24h": 7,
        "2h": 12,
        "30min": 48,
        "15min": 96,
        "5min": 288,
        "min": 60,
        "7h": 1,
    }
    assert {freq: season_length(freq) for freq in given} == given


def test_three_columns_are_three():
    with pytest.raises(nb.DataError, match="three columns"):
        Panel.from_frame(frame(), Columns(id="ds"), "MS")


def test_doubtful_freq_is_refused():
    mixed = pd.concat([frame("MS", ids=["a"]), frame("QS", ids=["b"])])
    with pytest.raises(nb.DataError, match="freq='MS'"):
        panel_of(mixed)
    assert infer_freq(pd.Series([1, 1]), np.array([0, 1, 2])) is None


def test_clock_changes_do_not_matter():
    df = frame("D", 30, start="2024-03-20", tz="Europe/Berlin")
    assert list(panel_of(df, "D").future(np.arange(1, 4)).ds[:3]) == list(
        pd.date_range("2024-04-19", periods=3, freq="D", tz="Europe/Berlin")
    )


@pytest.mark.parametrize("freq", ["500ms", "1500ms", "s"])
def test_steps_finer_than_the_resolution(freq):
    df = frame("3s").assign(ds=lambda x: x.ds.dt.as_unit("s"))
    future = panel_of(df, freq).future(np.arange(1, 4)).ds[:3]
    assert list(future) == list(pd.date_range(df.ds.iloc[29], periods=4, freq=freq)[1:])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_any_resolution_of_stamps(unit):
    df = frame("h")
    df["ds"] = df.ds.astype(f"datetime64[{unit}]")
    future = panel_of(df, "h").future(np.arange(1, 3))
    assert future.ds.dtype == df.ds.dtype
    assert future.ds[0] == df.ds[29] + pd.Timedelta("1h")


def test_integer_and_text_times():
    df = frame()
    df["ds"] = np.tile(np.arange(30) * 5, 2)
    assert panel_of(df).calendar.freq == 5
    assert panel_of(df).future(np.array([1])).ds[0] == 150
    text = frame().astype({"ds": str})
    assert panel_of(text).future(np.array([1])).ds[0] == pd.Timestamp("2003-07-01")


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "Int16", "int32", "uint64"])
def test_narrow_integer_times_go_on(kind):
    last = min(int(np.iinfo(kind.lower()).max), 2**40)
    times = np.arange(last - 119, last + 1)
    df = frame(periods=120, ids=("a",)).assign(ds=times).astype({"ds": kind})
    assert list(panel_of(df, 1).future(np.arange(1, 200)).ds) == list(range(last + 1, last + 200))


def test_order_nan_absence_and_index_do_not_matter():
    df = frame()
    df["y"] = df.y.astype("Float64")
    df.loc[[3, 4, 40, 59], "y"] = pd.NA
    shuffled = df.sample(frac=1, random_state=0)
    absent = frame().drop(index=[3, 4, 40, 59])
    for other in (shuffled, absent, df.assign(y=df.y.astype("float64"))):
        a, b = panel_of(df), panel_of(other)
        for name in ("values", "steps", "offsets"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    panel = panel_of(df)
    tails = panel.tails(40, np.append(panel.offsets[1:] - 1, -1))
    assert tails.shape == (3, 40) and np.isnan(tails[2]).all()
    np.testing.assert_array_equal(tails[0, -3:], [27, 28, 29])
    assert np.isnan(tails[0, :10]).all() and np.isnan(tails[0, 13:15]).any()


@pytest.mark.parametrize("kind", [str, "string", "category", "int32", "Int64", object])
def test_frames_in_order_are_read_as_those_that_are_not(kind):
    """Also series in order of time before series, and blocks of series out of order."""
    ids = range(12) if kind in ("int32", "Int64") else [f"s{i:02d}" for i in range(12)]
    df = frame(ids=ids).astype({"unique_id": kind})
    df["y"] = df.y.where(df.index % 7 > 0)
    expected = panel_of(df)
    blocks = pd.concat([df[df.unique_id == i] for i in reversed(list(ids))])
    for other in (df.sort_values("ds"), blocks, df.sample(frac=1, random_state=1)):
        panel = panel_of(other)
        assert list(panel.ids) == list(expected.ids) == list(ids)
        for name in ("values", "steps", "offsets", "starts"):
            np.testing.assert_array_equal(getattr(panel, name), getattr(expected, name))


@pytest.mark.parametrize("kind", [str, "string", "category", "Int64", object])
def test_a_row_without_series_is_refused(kind):
    df = frame(ids=(1, 2) if kind == "Int64" else ("a", "b")).astype({"unique_id": kind})
    df.loc[[7, 40], "unique_id"] = pd.NA
    with pytest.raises(
        nb.DataError, match=r"`unique_id` of series .* is missing at ds=2001-08-01.*row 7; 2 such"
    ):
        panel_of(df)


def test_a_panel_does_not_change_with_its_frame():
    df = frame()
    df["t"] = np.arange(60.0)
    panel = panel_of(df)
    irregular = Panel.from_frame(df, Columns(time="t"), None)
    df.loc[:, ["y", "t"]] = 0.0
    assert panel.values[5] == 5  # noqa: PD011
    assert irregular.to_frame().t[5] == 5


def test_float32_stays_as_it_is_and_other_numbers_become_float64():
    values = (frame().y / 3).astype("float32")
    panel = panel_of(frame().assign(y=values))
    assert panel.values.dtype == "float32"  # noqa: PD011
    wide = panel_of(frame().assign(y=values.astype("float64")))
    np.testing.assert_array_equal(panel.tails(4, np.array([29])), wide.tails(4, np.array([29])))
    assert panel.typical == wide.typical
    assert panel_of(frame().astype({"y": "int16"})).values.dtype == "float64"  # noqa: PD011


def test_blocks_of_series_join(monkeypatch):
    df = frame(ids=[f"s{i:02d}" for i in range(12)]).drop(index=[5, 6, 45])
    whole = panel_of(df)
    monkeypatch.setattr("nbeats_basis.calendars._BLOCK", 70)
    parts = panel_of(df)
    assert parts.calendar.freq == whole.calendar.freq and parts.typical == whole.typical
    for name in ("values", "steps", "offsets", "starts"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


@pytest.mark.parametrize(
    ("start", "zone"),
    [
        ("2018-09-20 00:00", "America/Sao_Paulo"),  # no midnight on 4 November
        ("2020-03-01 02:30", "Europe/Berlin"),  # none of these on 29 March
        ("2020-10-01 02:30", "Europe/Berlin"),  # two on 25 October
    ],
)
@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("known", [10, 70])
def test_days_across_clock_changes(start, zone, second, known):
    local = pd.date_range(start, periods=80, freq="D")
    ds = local.tz_localize(zone, nonexistent="shift_forward", ambiguous=np.full(80, not second))
    df = pd.DataFrame({"unique_id": "a", "ds": ds, "y": 1.0})
    panel = panel_of(df.iloc[:known], "infer")
    assert panel.calendar.freq == "D"
    np.testing.assert_array_equal(panel.steps, np.arange(known))
    first = local.tz_localize(zone, nonexistent="shift_forward", ambiguous=np.ones(80, bool))
    assert list(panel.future(np.arange(1, 10)).ds) == list(first[known : known + 9])


@pytest.mark.parametrize(
    ("start", "freq", "zone"),
    [
        ("2018-11-04", "D", "America/Sao_Paulo"),
        ("2016-08-14", "W-SUN", "America/Santiago"),
        ("2017-10-01", "MS", "America/Asuncion"),
    ],
)
@pytest.mark.parametrize("since", [0, 1])
def test_a_calendar_may_begin_where_clocks_change(start, freq, zone, since):
    local = pd.date_range(start, periods=30, freq=freq)
    ds = local.tz_localize(zone, nonexistent="shift_forward")
    assert ds[0].hour == 1 and ds[1].hour == 0
    panel = panel_of(pd.DataFrame({"unique_id": "a", "ds": ds[since:20], "y": 1.0}), freq)
    np.testing.assert_array_equal(panel.steps, np.arange(20 - since))
    assert list(panel.future(np.arange(1, 11)).ds) == list(ds[20:])
    again = panel_of(panel.to_frame(), freq)
    np.testing.assert_array_equal(again.steps, panel.steps)


def test_a_day_that_is_there_twice_or_never():
    night = pd.date_range("2020-10-01 02:30", periods=40, freq="D").tz_localize(
        "Europe/Berlin", ambiguous=np.ones(40, bool)
    )
    both = [*night, night[24] + pd.Timedelta(hours=1)]
    with pytest.raises(
        nb.DataError, match=r"'a' is off the calendar freq='D' at ds=2020-10-25 02:30:00\+01:00 \(row 40;"
    ):
        panel_of(pd.DataFrame({"unique_id": "a", "ds": both, "y": 1.0}), "D")
    days = pd.date_range("2011-12-20", periods=30, freq="D").tz_localize(
        "Pacific/Apia", nonexistent="shift_forward"
    )
    with pytest.raises(nb.DataError, match="Pacific/Apia skip a day before 2011-12-31"):
        panel_of(pd.DataFrame({"unique_id": "a", "ds": days.unique(), "y": 1.0}), "D")


def test_a_missing_value_of_any_kind_is_missing():
    for nothing in (None, np.nan, pd.NaT, pd.NA):
        assert len(panel_of(bad("y", 35, nothing), "MS").values) == 59


def test_stamps_do_not_count_as_integers():
    text = frame().assign(ds=frame().ds.astype(str))
    for df, freq in ((frame(), 1), (text, 1), (frame(), np.int64(1))):
        with pytest.raises(nb.DataError, match="`ds` holds stamps, but freq="):
            panel_of(df, freq)


def test_days_of_two_series_leave_doubt_about_weekends():
    days = pd.date_range("2024-01-01", periods=5)
    parts = [pd.DataFrame({"unique_id": i, "ds": days, "y": 1.0}) for i in "abc"]
    later = parts[1].assign(ds=days + pd.Timedelta(days=7))
    for each in (parts[:1], parts, [parts[0], later]):
        assert panel_of(pd.concat(each)).calendar.freq == "D"
    assert panel_of(pd.concat([parts[0], parts[0].assign(ds=later.ds)])).calendar.freq == "B"


def test_centuries_count_in_days_and_longer():
    years = np.arange("1500", "1560", dtype="datetime64[Y]").astype("datetime64[s]")
    df = pd.DataFrame({"unique_id": "a", "ds": years, "y": 1.0})
    panel = panel_of(df)
    assert panel.calendar.freq.startswith("YS") and str(panel.future(np.ones(1)).ds[0])[:10] == "1560-01-01"
    for freq in ("h", None):
        with pytest.raises(nb.DataError, match="'a' lies outside 1677-09-21 to 2262-04-11.*row 0"):
            panel_of(df, freq)


def test_hours_before_1970_are_inferred():
    assert panel_of(frame("h", start="1960-01-01")).calendar.freq == "h"


@pytest.mark.parametrize("unit", ["us", "ns"])
def test_irregular_stamps_stay_as_they_are(unit):
    minutes = pd.to_timedelta([0, *(1440 * np.arange(1024, 1700) + 12)], unit="min")
    days = (pd.Timestamp("2020-01-01") + minutes).as_unit(unit)
    df = pd.DataFrame({"unique_id": "a", "ds": days, "y": 1.0})
    panel = Panel.from_frame(df, Columns(), None)
    assert list(panel.to_frame().ds) == list(days)
    assert panel.future(np.ones(1)).ds[0] == days[-1] + pd.Timedelta(days=1)


def test_irregular_numbers_stay_as_they_are():
    df = pd.DataFrame({"unique_id": "a", "ds": [-100.0, 0.2, 3.7], "y": 1.0})
    assert list(Panel.from_frame(df, Columns(), None).to_frame().ds) == [-100.0, 0.2, 3.7]


def test_large_integers_are_told_apart():
    start = 1_600_000_000_000_000_001
    df = pd.DataFrame({"unique_id": "a", "ds": start + np.arange(60), "y": 1.0})
    at = pd.DataFrame({"unique_id": "a", "ds": start + np.arange(60, 63)})
    np.testing.assert_array_equal(Queries.after(panel_of(df, 1), at, 4).times[0], [1, 2, 3])


@pytest.mark.parametrize("freq", [1, None])
def test_a_panel_before_what_is_held_out(rng, freq):
    df = pd.DataFrame(
        {"unique_id": list("aaaaabbbcc"), "ds": [1, 2, 3, 4, 9, 1, 2, 3, 5, 9], "y": rng.normal(size=10)}
    )
    seen = Panel.from_frame(df, Columns(), freq).before(5)
    pd.testing.assert_frame_equal(seen.to_frame(), df.iloc[:4], check_dtype=False)
    assert list(seen.ids) == ["a"] and list(seen.last_codes) == [4]
    whole = Panel.from_frame(df, Columns(), freq)
    assert whole.before(0) is whole and whole.before(100) is whole


def test_tails_of_any_observation(rng):
    df = frame(ids=["a", "b", "c"])
    df["y"] = df.y.where(rng.uniform(size=90) < 0.7)
    panel = panel_of(df, "MS")
    dense = np.full((3, 8 + 30), np.nan)
    for s, (_, group) in enumerate(df.groupby("unique_id")):
        known = group.y.notna().to_numpy().argmax()
        dense[s, 8 : 8 + 30 - known] = group.y.iloc[known:]
    rows = rng.permutation(len(panel.values))
    tails = panel.tails(8, rows)
    for row, tail in zip(rows, tails, strict=True):
        end = 8 + panel.steps[row]
        np.testing.assert_array_equal(tail, dense[panel.series[row], end - 7 : end + 1])


def bad(column, row, value):
    """Return a frame with one value replaced."""
    df = frame().astype({column: object})
    df.loc[row, column] = value
    return df


@pytest.mark.parametrize(
    ("df", "parts"),
    [
        (frame().drop(columns="y"), ["lacks", "'y'", "target_col"]),
        (frame().iloc[:0], ["empty"]),
        (bad("y", 35, np.inf).astype({"y": float}), ["`y`", "'b'", "infinite", "row 35", "2001-06-01"]),
        (bad("y", 35, "many"), ["`y`", "'b'", "row 35", "'many'"]),
        (bad("y", 35, True), ["`y`", "'b'", "row 35", "True"]),
        (bad("ds", 7, pd.NaT).astype({"ds": "datetime64[ns]"}), ["`ds`", "'a'", "missing", "row 7"]),
        (bad("ds", 7, "June"), ["`ds`", "'a'", "row 7"]),
        (bad("unique_id", 7, None), ["`unique_id`", "missing", "row 7"]),
        (
            bad("ds", 8, pd.Timestamp("2001-08-01")).astype({"ds": "datetime64[ns]"}),
            ["'a'", "twice", "2001-08-01", "row 8"],
        ),
        (
            bad("ds", 8, pd.Timestamp("2001-09-03")).astype({"ds": "datetime64[ns]"}),
            ["'a'", "off the calendar", "row 8", "'MS'"],
        ),
        (frame().assign(y=[np.nan] * 30 + [1.0] * 30), ["'a'", "no observed value"]),
        (frame().assign(ds=1.5), ["`ds`", "numbers"]),
        (bad("y", 35, 1j), ["`y`", "'b'", "not a number", "row 35"]),
        (bad("y", 35, np.True_), ["`y`", "'b'", "not a number", "row 35"]),
        (frame().assign(ds=range(60)), ["`ds`", "numbers", "freq='MS'"]),
        (frame().assign(y=frame().ds), ["`y`", "'a'", "not a number", "row 0"]),
        (frame().assign(y=frame().ds.astype(object)), ["`y`", "'a'", "not a number", "row 0"]),
        (frame().assign(y=frame().ds - frame().ds.min()), ["`y`", "'a'", "not a number", "row 0"]),
        (frame().assign(y=frame().ds.dt.to_period("M")), ["`y`", "'a'", "not a number", "row 0"]),
        (frame().assign(y=1j), ["`y`", "'a'", "not a number", "row 0"]),
        (frame().assign(y=frame().y * 1e-160), ["`y`", "1e-150", "unit"]),
        (frame().assign(ds=frame().ds.dt.to_period("M")), ["`ds`", "period", "to_timestamp"]),
        (frame().assign(ds=pd.Series(range(60), dtype=object)), ["`ds`", "row 0: 0", "to numbers"]),
        (frame(ids=[7, 8]).assign(y=[np.nan] * 30 + [1.0] * 30), ["series 7 has no observed value"]),
        (frame(ids=[7, 8]).assign(y=[np.inf] + [1.0] * 59), ["series 7 is infinite"]),
        (bad("y", 35, 2e150), ["`y`", "'b'", "1e+150", "row 35", "unit"]),
        (pd.concat([frame(), frame()[["ds"]]], axis=1), ["more than one", "'ds'"]),
        (
            frame().assign(ds=["2020-01-01T00+01:00", "2020-07-01T00+02:00"] * 30),
            ["`ds`", "zone", "utc=True"],
        ),
    ],
)
def test_bad_frames_are_refused_by_name(df, parts):
    with pytest.raises(nb.DataError) as error:
        panel_of(df, "MS")
    for part in parts:
        assert part in str(error.value)


def test_bad_freq_is_refused():
    for freq in ("fortnight", 0, -1, 1.5, "-1D"):
        with pytest.raises((ValueError, TypeError), match="freq"):
            check_freq(freq)
    assert Calendar("D", frame("D").ds).unit == 1
