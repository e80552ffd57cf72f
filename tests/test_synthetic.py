"""Generators at irregular times against their theory, and what makes a panel irregular."""

import numpy as np
import pandas as pd
import pytest

import nbeats_basis as nb
from nbeats_basis import synthetic
from nbeats_basis.synthetic import DOUBLE_OU, OrnsteinUhlenbeck


def cross_products(df, values, lags, width):
    """Return the mean product of a series' values whose times differ by about each lag."""
    sums, counts = np.zeros(len(lags)), np.zeros(len(lags))
    for _, s in df.assign(value=values).groupby("unique_id"):
        gap = np.abs(s.ds.to_numpy()[:, None] - s.ds.to_numpy())
        product = np.outer(s.value, s.value)
        for i, lag in enumerate(lags):
            near = np.abs(gap - lag) < width
            sums[i] += product[near].sum()
            counts[i] += near.sum()
    return sums / counts


GENERATORS = {
    "damped": lambda seed: synthetic.damped_oscillations(5, 30, irregular=True, seed=seed),
    "ou": lambda seed: synthetic.ornstein_uhlenbeck(5, (3, 9), seed=seed),
    "double_ou": lambda seed: synthetic.double_ornstein_uhlenbeck(5, seed=seed),
    "double_ou_2": lambda seed: synthetic.double_ornstein_uhlenbeck(5, coordinate=2, seed=seed),
    "quasi_periodic": lambda seed: synthetic.quasi_periodic(5, (3, 9), seed=seed),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_irregular_frames_are_long_and_repeatable(name):
    df = GENERATORS[name](1)
    assert list(df.columns[:3]) == ["unique_id", "ds", "y"] and df.unique_id.nunique() == 5
    assert df.ds.dtype == "float64" and (df.groupby("unique_id").ds.diff().dropna() > 0).all()
    assert list(df.index) == list(range(len(df)))
    pd.testing.assert_frame_equal(df, GENERATORS[name](1))
    assert not df.y.head(5).equals(GENERATORS[name](2).y.head(5))


def test_numbers_of_observations_and_times():
    df = synthetic.ornstein_uhlenbeck(4000, (2, 5), span=3.0)
    counts = df.groupby("unique_id").size().value_counts(normalize=True)
    assert counts.reindex([2, 3, 4, 5]).to_numpy() == pytest.approx(0.25, abs=0.03) and len(counts) == 4
    assert df.ds.mean() == pytest.approx(1.5, abs=0.03) and df.ds.between(0, 3, inclusive="left").all()
    assert df.ds.std() == pytest.approx(3 / np.sqrt(12), rel=0.03)
    assert (synthetic.quasi_periodic(3, 7).groupby("unique_id").size() == 7).all()
    with pytest.raises(ValueError, match="observations=4"):
        synthetic.ornstein_uhlenbeck(2, (5, 4))
    with pytest.raises(ValueError, match=r"theta=0\.0"):
        synthetic.ornstein_uhlenbeck(2, theta=0.0)


def test_ornstein_uhlenbeck_has_its_autocovariance():
    df = synthetic.ornstein_uhlenbeck(4000, 12, theta=0.7, sigma=0.5, centre=2.0, width=1.2, noise=0.3)
    assert df.y.mean() == pytest.approx(2.0, abs=0.03)
    assert (df.y - df.clean).std() == pytest.approx(0.3, rel=0.02)
    assert df.groupby("unique_id")["mean"].first().std() == pytest.approx(1.2 / np.sqrt(12), rel=0.03)
    lags, variance = np.array([0.0, 0.5, 1.0, 2.0, 4.0]), 0.5**2 / 1.4
    seen = cross_products(df, df.clean - df["mean"], lags, 0.05)
    np.testing.assert_allclose(seen, variance * np.exp(-0.7 * lags), atol=0.06 * variance)


def test_transitions_are_exact():
    law = OrnsteinUhlenbeck(theta=1.3, sigma=0.4, rho=-0.6, centres=(1.0, 0.0), start=(0.0, 2.0))
    times = np.tile([0.0, 0.3, 2.0], (60_000, 1))
    path, mean = law.simulate(times, np.random.default_rng(0))
    assert np.all(path[:, 0] == (0.0, 2.0)) and np.all(mean == (1.0, 0.0))
    for n, gap in ((1, 0.3), (2, 1.7)):
        decay, covariance = law.transition(gap)
        rest = path[:, n] - mean - decay * (path[:, n - 1] - mean)
        np.testing.assert_allclose(rest.mean(0), 0, atol=0.005)
        np.testing.assert_allclose(np.cov(rest.T), covariance, atol=0.001)
    half, covariance = law.transition(0.5)  # two halves make a whole
    whole = law.transition(1.0)
    np.testing.assert_allclose([half**2], [whole[0]])
    np.testing.assert_allclose(half**2 * covariance + covariance, whole[1])


@pytest.mark.parametrize("start", [None, (0.5, -0.5)])
def test_moments_are_those_of_the_paths(start):
    law = OrnsteinUhlenbeck(0.8, 0.6, 0.7, centres=(1.0, -1.0), width=1.5, start=start)
    times = np.array([0.2, 0.9, 3.0])
    path, _ = law.simulate(np.tile(times, (80_000, 1)), np.random.default_rng(1))
    mean, covariance = law.moments(np.repeat(times, 2), np.tile([0, 1], 3))
    flat = path.reshape(-1, 6)  # time by time, both coordinates
    np.testing.assert_allclose(flat.mean(0), mean, atol=0.01)
    np.testing.assert_allclose(np.cov(flat.T), covariance, atol=0.01)


def test_double_ornstein_uhlenbeck_is_the_published_setting():
    df = synthetic.double_ornstein_uhlenbeck(4000)
    counts = df.groupby("unique_id").size()
    assert counts.min() == 16 and counts.max() == 23 and counts.mean() == pytest.approx(19.5, abs=0.15)
    steps = df.ds / 0.05
    assert np.abs(steps - steps.round()).max() < 1e-9 and df.ds.between(0, 9.951).all()
    both = df.y.notna() & df.y2.notna()
    assert both.mean() == pytest.approx(0.2, abs=0.01) and (df.y.notna() | df.y2.notna()).all()
    assert df.y.notna().mean() == pytest.approx(0.6, abs=0.01)
    late = df[df.ds > 6]
    residual = late[["clean", "clean2"]].to_numpy() - late[["mean", "mean2"]].to_numpy()
    assert np.corrcoef(residual.T)[0, 1] == pytest.approx(0.99, abs=0.003)
    np.testing.assert_allclose((df.y - df.clean).dropna(), 0)
    mean = df.groupby("unique_id")[["mean", "mean2"]].first()
    assert mean["mean"].between(0.5, 1.5).all() and mean["mean2"].between(-1.5, -0.5).all()
    assert abs(mean.corr().iloc[0, 1]) < 0.06
    for k, name in ((1, "y"), (2, "y2")):  # one coordinate is a part of both
        one = synthetic.double_ornstein_uhlenbeck(4000, coordinate=k)
        kept = df[df[name].notna()].reset_index(drop=True)
        np.testing.assert_array_equal(one[["ds", "y"]], kept[["ds", name]])
        assert one.y.notna().all() and list(one.columns) == ["unique_id", "ds", "y", "clean", "mean"]
    with pytest.raises(ValueError, match="coordinate=3"):
        synthetic.double_ornstein_uhlenbeck(2, coordinate=3)


def test_the_oracle_of_the_double_process_is_calibrated():
    """A Gaussian process of the true moments forecasts the next stamp after time 4 as well as it says."""
    df = synthetic.double_ornstein_uhlenbeck(3000, seed=5)
    error, variance, prior = [], [], []
    for _, s in df.groupby("unique_id"):
        row, which = np.nonzero(s[["y", "y2"]].notna().to_numpy())
        time, value = s.ds.to_numpy()[row], s[["y", "y2"]].to_numpy()[row, which]
        past = time < 4.001
        ahead = time == time[~past].min()
        mean, cov = DOUBLE_OU.moments(time, which)
        inner = cov[np.ix_(past, past)] + 1e-9 * np.eye(past.sum())  # x(0) is certain
        gain = np.linalg.solve(inner, cov[np.ix_(past, ahead)]).T
        error += list(value[ahead] - mean[ahead] - gain @ (value - mean)[past])
        variance += list(np.diag(cov)[ahead] - np.sum(gain * cov[np.ix_(ahead, past)], axis=1))
        prior += list(value[ahead] - mean[ahead])
    error, variance = np.square(error), np.array(variance)
    assert np.mean(error) == pytest.approx(np.mean(variance), rel=0.08)
    assert np.mean(error / variance) == pytest.approx(1, abs=0.06)
    # over 10 000 series: 0.0053, -1.28 and 0.0861; 0.0057, -1.26 and 0.088 on paths by Euler steps of 0.05
    assert np.mean(error) == pytest.approx(0.0053, abs=0.0003)
    assert np.mean(np.log(2 * np.pi * variance) + error / variance) / 2 == pytest.approx(-1.28, abs=0.03)
    assert np.mean(np.square(prior)) == pytest.approx(0.0861, abs=0.004)


def test_quasi_periodic_has_its_kernel():
    df = synthetic.quasi_periodic(
        4000, 12, span=6.0, period=2.0, lengthscale=3.0, scale=1.5, noise=0.4, seed=1
    )
    assert (df.y - df.clean).std() == pytest.approx(0.4, rel=0.02)
    assert df.clean.mean() == pytest.approx(0, abs=0.05)
    lags = np.array([0.0, 0.5, 1.0, 2.0, 3.0])
    kernel = 1.5**2 * np.exp(-lags / 3) * np.cos(np.pi * lags)
    np.testing.assert_allclose(cross_products(df, df.clean, lags, 0.05), kernel, atol=0.12)
    some = df[df.unique_id.isin(df.unique_id.unique()[:1500])]  # the whole joint law, not only pairs
    found = 0.0
    for _, s in some.groupby("unique_id"):
        gap = np.abs(s.ds.to_numpy()[:, None] - s.ds.to_numpy())
        covariance = 1.5**2 * np.exp(-gap / 3) * np.cos(np.pi * gap) + 0.16 * np.eye(len(s))
        found += s.y @ np.linalg.solve(covariance, s.y)
    assert found / len(some) == pytest.approx(1, abs=0.03)


def test_damped_oscillations_at_irregular_times():
    clean = synthetic.damped_oscillations(4, 60, noise=0.0, irregular=True)
    assert clean.ds.between(0, 60).all() and (clean.groupby("unique_id").size() == 60).all()
    for _, s in clean.groupby("unique_id"):  # two regressors made of the pole explain the series
        angle = 2 * np.pi * s.frequency * s.ds
        X = np.exp(-s.decay * s.ds).to_numpy()[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
        rest = s.y - X @ np.linalg.lstsq(X, s.y, rcond=None)[0]
        assert np.abs(rest).max() < 1e-9
    regular = synthetic.damped_oscillations(2, 30, seed=3)
    assert regular.ds.dtype.kind == "i" and regular.ds.tolist() == [*range(30), *range(30)]


def shuffled(df):
    """Return the rows in another order."""
    return df.sample(frac=1, random_state=0)


def test_thin_takes_a_share_of_each_series():
    df = nb.synthetic.seasonal_panel(4, 50).rename(columns={"unique_id": "store", "ds": "when"})
    df = pd.concat([df, df[df.store == "S0"].head(3).assign(store="short"), df.head(1).assign(store="one")])
    df = shuffled(df)
    thinned = synthetic.thin(df, 0.4, seed=2, id_col="store")
    sizes = thinned.groupby("store").size()
    assert (sizes[["S0", "S1", "S2", "S3"]] == 30).all() and sizes["short"] == 2 and sizes["one"] == 1
    merged = thinned.merge(df, how="left", indicator=True)
    assert (merged._merge == "both").all() and list(thinned.index) == list(range(len(thinned)))
    pd.testing.assert_frame_equal(thinned, synthetic.thin(df, 0.4, seed=2, id_col="store"))
    assert not thinned.equals(synthetic.thin(df, 0.4, seed=3, id_col="store"))
    pd.testing.assert_frame_equal(synthetic.thin(df, 0.0, id_col="store"), df.reset_index(drop=True))
    assert (synthetic.thin(df, 0.99, id_col="store").groupby("store").size().drop("one") == 2).all()
    kept = synthetic.thin(pd.DataFrame({"unique_id": "a", "ds": np.arange(20_000)}), 0.5).ds
    assert kept.mean() == pytest.approx(10_000, rel=0.03)
    with pytest.raises(ValueError, match="share=1"):
        synthetic.thin(df, 1, id_col="store")
    with pytest.raises(nb.DataError, match=r"lacks the columns \['unique_id'\]"):
        synthetic.thin(df, 0.1)


@pytest.mark.parametrize("kind", ["int", "float", "date", "zone", "coarse"])
def test_jitter_moves_times_and_keeps_their_order(kind):
    df = nb.synthetic.seasonal_panel(3, 60, missing=0.3)
    times = {
        "int": df.ds,
        "float": df.ds * 0.25,
        "date": pd.Timestamp("2020-01-01") + pd.to_timedelta(df.ds, unit="h"),
        "zone": pd.Timestamp("2020-03-28", tz="Europe/Berlin") + pd.to_timedelta(df.ds, unit="h"),
        "coarse": (pd.Timestamp("2020-01-01") + pd.to_timedelta(df.ds, unit="s")).dt.as_unit("s"),
    }[kind]
    df = shuffled(df.assign(ds=times).rename(columns={"unique_id": "store", "ds": "when"}))
    names = {"id_col": "store", "time_col": "when"}
    moved = synthetic.jitter(df, 0.3, seed=1, **names)
    unit = {"int": 1, "float": 0.25, "coarse": pd.Timedelta("1s")}.get(kind, pd.Timedelta("1h"))
    move = ((moved.when - df.when) / unit).to_numpy("float64")
    assert np.abs(move).max() <= 0.3 and np.abs(move).max() > 0.28 and abs(move.mean()) < 0.05
    assert moved.drop(columns="when").equals(df.drop(columns="when")) and moved.index.equals(df.index)
    for name, s in df.groupby("store"):
        np.testing.assert_array_equal(
            s.when.argsort(), moved[moved.store == name].when.argsort(), err_msg="order"
        )
    far = synthetic.jitter(df, 50.0, seed=1, **names).sort_values(["store", "when"])
    assert far.index.equals(df.sort_values(["store", "when"]).index)
    assert moved.when.equals(synthetic.jitter(df, 0.3, seed=1, **names).when)
    assert not moved.when.equals(synthetic.jitter(df, 0.3, seed=2, **names).when)
    assert np.all(synthetic.jitter(df, 0.0, **names).when == df.when)


def test_jitter_of_odd_frames():
    one = pd.DataFrame({"unique_id": ["a", "b", "b"], "ds": [1.0, 5.0, 5.0], "y": 0.0})
    by_number = synthetic.jitter(one.rename(columns={"ds": 0}), 0.4, time_col=0)
    assert by_number[0].tolist() == [1.0, 5.0, 5.0]
    assert synthetic.jitter(one, 0.4).ds.tolist() == [1.0, 5.0, 5.0]  # no gap to move in
    assert len(synthetic.jitter(one.head(0), 0.4)) == 0 and len(synthetic.thin(one.head(0), 0.4)) == 0
    with pytest.raises(ValueError, match="amount=-1"):
        synthetic.jitter(one, -1)
    with pytest.raises(TypeError, match=r"pandas\.to_datetime"):
        synthetic.jitter(one.assign(ds="2020-01-01"), 0.1)
    with pytest.raises(nb.DataError, match="`ds` is missing at row 1"):
        synthetic.jitter(one.assign(ds=[1.0, np.nan, 2.0]), 0.1)
