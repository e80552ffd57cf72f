"""Sparse stacks in networks and forecasters, on calendars and at irregular times."""

import numpy as np
import pandas as pd
import pytest

import nbeats_basis as nb

STOPPED = "error::nbeats_basis.TrainingWarning"


@pytest.fixture
def tones(rng):
    """20 series of two tones out of 32, at 160 irregular times each."""
    parts = []
    for i in range(20):
        times = np.sort(rng.uniform(0, 160, 160))
        choice = rng.choice(np.arange(4, 32), 2, replace=False) / 80
        phase, size = rng.uniform(0, 6.28, 2), rng.uniform(1, 2, 2)
        y = sum(a * np.sin(2 * np.pi * f * times + p) for a, f, p in zip(size, choice, phase, strict=True))
        parts.append(pd.DataFrame({"unique_id": f"s{i:02}", "ds": times, "y": y}))
    return pd.concat(parts, ignore_index=True)


def forecaster(stack, **kwargs):
    training = nb.Training(steps=10, epochs=1, batch_size=32)
    arguments = {"freq": None, "horizon": 8.0, "lookback": 64.0, "members": 2, **kwargs}
    return nb.Forecaster(stacks=[stack], head=nb.heads.StudentT(), training=training, **arguments)


@pytest.mark.slow
def test_a_sparse_code_is_sparse_and_extrapolates_tones(tones):
    """The dictionary holds the tones; ridge on it spreads them over all functions and forecasts worse."""
    held = tones.groupby("unique_id").ds.transform("max") - 8.0
    past, future = tones[tones.ds <= held], tones[tones.ds > held]
    dictionary = nb.bases.Polynomial(0) + nb.bases.Fourier([80.0], 32)
    errors = {}
    stacks = {
        "sparse": nb.Sparse(dictionary, nb.sparse.SLISTA(60, threshold=0.1), num_blocks=2, units=16),
        "ridge": nb.Expansion(dictionary, coefficients="regression", units=16),
    }
    for name, stack in stacks.items():
        fitted = forecaster(stack).fit(past, verbose=0)
        table = fitted.predict(at=future[["unique_id", "ds"]]).merge(future, on=["unique_id", "ds"])
        errors[name] = np.mean(np.abs(table.NBeatsBasis - table.y)) / np.mean(np.abs(table.y))
    assert errors["sparse"] < 0.5 and errors["sparse"] < 0.7 * errors["ridge"], errors


@pytest.mark.parametrize("freq", [1, None])
def test_everything_a_forecaster_does(tones, tmp_path, freq):
    frame = tones if freq is None else tones.assign(ds=tones.groupby("unique_id").cumcount())
    kwargs = {} if freq is None else {"freq": 1, "horizon": 8, "lookback": 64}
    fitted = forecaster(nb.Sparse(atoms=24, units=16), **kwargs).fit(frame, verbose=0)
    plain = fitted.predict(level=[80])
    assert np.isfinite(plain.NBeatsBasis).all()
    parts = fitted.decompose()
    np.testing.assert_allclose(
        parts[["level", "sparse"]].sum(axis=1), plain.NBeatsBasis, rtol=1e-5, atol=1e-5
    )
    absent = frame[frame.index % 7 > 0]
    blank = frame.assign(y=frame.y.where(frame.index % 7 > 0))
    pd.testing.assert_frame_equal(fitted.predict(absent), fitted.predict(blank), atol=1e-6)
    fitted.save(tmp_path / "model")
    loaded = nb.Forecaster.load(tmp_path / "model").predict(level=[80])
    pd.testing.assert_frame_equal(loaded, plain, atol=1e-6)
    fitted.export(tmp_path / "saved")


def test_a_code_has_zeros():
    net = nb.NBeats([nb.Sparse(atoms=32, units=8)], horizon=4, lookback=24)
    block = net.stacks[0].blocks[0]
    times = np.arange(-23.0, 1, dtype="float32")[None, None]
    values = np.sin(2 * np.pi * 6 * times / 56).astype("float32")
    designs = block.designs(times, np.ones_like(values), np.ones((1, 1, 4), "float32"))
    codes = block.codes(values, designs).numpy()[0, 0]
    assert (codes == 0).mean() > 0.5 and np.abs(codes).argmax() == 1 + 16 + 5  # a constant, cosines, sines


def rebuilt(atoms, times, members):
    """Return the sum of a series' atoms at times after its last observation, members' mean."""
    waves, others = atoms[atoms.frequency.notna()], atoms[atoms.frequency.isna()]
    angle = 2 * np.pi * np.outer(times, waves.frequency) + waves.phase.to_numpy()
    size = waves.amplitude.to_numpy() * np.exp(-np.outer(times, waves.decay))
    return ((size * np.cos(angle)).sum(axis=1) + others.amplitude.sum()) / members


STACKS = {
    "sparse": lambda: nb.Sparse(atoms=24, units=16, num_blocks=2),
    "damped": lambda: nb.Expansion(
        nb.bases.Polynomial(0) + nb.bases.DampedSinusoid(3, [0.1, 0.2, 0.3], [0.0, 0.01, 0.02], (-64, 8)),
        units=16,
    ),
    "calendar": lambda: nb.Seasonality([20.0, 7.0], [2, 1], units=16, num_blocks=2, phase="calendar"),
    "learned periods": lambda: nb.Sparse(
        nb.bases.Polynomial(0) + nb.bases.Fourier([40.0], 8, learnable=True), units=16
    ),
}


@pytest.mark.filterwarnings(STOPPED)  # a dictionary that learns has finite gradients at empty windows
@pytest.mark.parametrize("kind", STACKS)
def test_atoms_add_up_to_the_component(tones, kind):
    fitted = forecaster(STACKS[kind]()).fit(tones, verbose=0)
    atoms, parts = fitted.atoms(), fitted.decompose(spacing=1.0)
    name = fitted.model.component_names[0]
    assert list(atoms)[:2] == ["unique_id", "component"] and set(atoms.component) == {name}
    last = tones.groupby("unique_id").ds.max()
    for series in ("s00", "s13"):
        part = parts[parts.unique_id == series]
        expected = rebuilt(atoms[atoms.unique_id == series], part.ds - last[series], 2)
        np.testing.assert_allclose(part[name], expected, atol=2e-4 * tones.y.std())
    assert set(fitted.history_) == (
        {"loss", "nonzero"} if isinstance(STACKS[kind](), nb.Sparse) else {"loss"}
    )
    assert len(fitted.plot_atoms(ids=["s00", "s13"]).axes) == 2


@pytest.mark.filterwarnings(STOPPED)
@pytest.mark.parametrize("name", ["ALISTA", "HyperLISTA"])
def test_analytic_weights_train_where_windows_are_empty(tones, name):
    gaps = tones[(tones.ds < 20) | (tones.ds > 100)]  # windows are 64 long
    dictionary = nb.bases.Polynomial(0) + nb.bases.Fourier([80.0], 8, learnable=True)
    stack = nb.Sparse(dictionary, getattr(nb.sparse, name)(), units=16)
    fitted = forecaster(stack).fit(gaps, verbose=0)
    assert np.isfinite(fitted.predict().NBeatsBasis).all()


@pytest.mark.parametrize("name", ["LISTA", "AdaLISTA", "TiLISTA"])
def test_a_row_of_weights_for_each_observation_needs_a_grid(tones, name):
    stack = nb.Sparse(atoms=24, pursuit=getattr(nb.sparse, name)(), units=16)
    with pytest.raises(ValueError, match=f"`{name}` learns a row of weights for each observation"):
        forecaster(stack).fit(tones, verbose=0)


def test_atoms_are_the_tones(tones):
    """A learned threshold leaves the two true tones as the largest atoms of almost every series."""
    dictionary = nb.bases.Polynomial(0) + nb.bases.Fourier([80.0], 32)
    stack = nb.Sparse(dictionary, nb.sparse.SLISTA(30, threshold=0.1), units=16)
    atoms = forecaster(stack, members=1, lookback=80.0).fit(tones, verbose=0).atoms()
    waves = atoms[atoms.frequency > 0].sort_values("amplitude", ascending=False)
    top = waves.groupby("unique_id").head(2).groupby("unique_id").frequency.apply(set)
    hits = 0
    for series, frame in tones.groupby("unique_id"):
        power = nb.bases.poles.spectrum(frame.ds, frame.y - frame.y.mean(), np.arange(1, 33) / 80)
        truth = np.argsort(power)[-2:] + 1
        hits += len({round(80 * f) for f in top[series]} & set(truth.tolist()))
    assert hits >= 36, hits


def test_plot_atoms_says_what_it_needs(tones):
    fitted = forecaster(nb.Trend(units=16, coefficients="combined")).fit(tones, verbose=0)
    assert fitted.atoms().frequency.isna().all()
    with pytest.raises(ValueError, match="oscillation"):
        fitted.plot_atoms()
