"""Sparse atoms: oscillators at irregular times, which of a few decaying modes each is made of, and forecasts from them."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import nbeats_basis as nb

FREQUENCIES, DECAYS = (
    np.array([0.03, 0.08, 0.13, 0.21]),
    np.array([0.0, 0.01, 0.005, 0.02]),
)  # unknown to the model


def oscillators(rng: np.random.Generator) -> pd.DataFrame:
    """Return 40 series of two of the modes each, at 160 irregular times with noise."""
    parts = []
    for i in range(40):
        times = np.sort(rng.uniform(0, 160, 160))
        y = 0.1 * rng.normal(size=160)
        for k in rng.choice(4, 2, replace=False):
            wave = np.cos(2 * np.pi * FREQUENCIES[k] * times + rng.uniform(0, 6))
            y += rng.uniform(0.7, 2) * np.exp(-DECAYS[k] * times) * wave
        parts.append(pd.DataFrame({"unique_id": f"oscillator {i:02}", "ds": times, "y": y}))
    return pd.concat(parts, ignore_index=True)


def main() -> None:
    """Find the modes, fit a sparse stack of them, print its atoms and compare forecasts with what was held out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default="atoms_output", help="folder for the pictures and the SavedModel")
    parser.add_argument("--quick", action="store_true", help="hardly train: only check that everything runs")
    options = parser.parse_args()
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)

    df = oscillators(np.random.default_rng(1))
    train, test = df[df.ds <= 140], df[df.ds > 140]
    series = [(part.ds, part.y) for _, part in train.groupby("unique_id")]
    found = nb.bases.DampedSinusoid.from_data(series, 4, span=(0, 160))
    for f, d in sorted(zip(found.frequencies, found.decays, strict=True)):
        print(f"mode of frequency {f:.4f} and decay {d:.4f}")

    modes = nb.bases.DampedSinusoid(4, found.frequencies, found.decays, span=(-80, 20), learnable=False)
    pursuit = nb.sparse.SLISTA(
        20, threshold=0.3, trainable=False
    )  # trained, thresholds would go: noise is small
    forecaster = nb.Forecaster(
        horizon=20.0,
        lookback=80.0,
        freq=None,
        stacks=[nb.Sparse(nb.bases.Polynomial(0) + modes, pursuit, units=64)],
        head=nb.heads.StudentT(),
        members=2,
        training=nb.Training(steps=10 if options.quick else 400, batch_size=64),
    ).fit(train, verbose=0)

    atoms = forecaster.atoms()
    print(atoms[atoms.unique_id == "oscillator 00"].round(4).to_string(index=False))
    waves = atoms[(atoms.frequency > 0) & (atoms.member == 0)]
    print(f"{waves.groupby('unique_id').size().mean():.1f} of 4 modes are seen in a series")
    forecast = forecaster.predict(at=test[["unique_id", "ds"]]).merge(test, on=["unique_id", "ds"])
    print(f"mean absolute error of the part held out: {(forecast.NBeatsBasis - forecast.y).abs().mean():.3f}")
    print(f"of its mean instead: {(test.y - test.groupby('unique_id').y.transform('mean')).abs().mean():.3f}")

    forecaster.plot_atoms().savefig(folder / "atoms.png", dpi=110)
    forecaster.plot(level=[80]).savefig(folder / "forecast.png", dpi=110)
    forecaster.export(folder / "saved_model")
    print(f"the pictures and the SavedModel are in {folder}/")


if __name__ == "__main__":
    main()
