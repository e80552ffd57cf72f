"""Accuracy on the competitions' panels: this package by preset, peers in their own environment, and the naive references.

Every result is kept in results/ and not measured again; tables.py makes tables of them. Settings are chosen on M1, or on the
last horizon of the training parts (`--validate`); the test parts of M3 and Tourism are for final runs. "paper" is what Oreshkin et
al. (2020), table 18, set for interpretable networks on Tourism, one for each of six lookbacks, but for weights shared among blocks.

python benchmarks/accuracy.py --dataset m1
python benchmarks/accuracy.py --dataset tourism --validate --preset fast best
python benchmarks/accuracy.py --dataset tourism --group yearly --validate 3     # three horizons back
python benchmarks/accuracy.py --dataset m3 --preset --peers ets dot --python benchmarks/peers/.venv/bin/python
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from metrics import measures, naive2, owa, seasonal_naive
from peers.clock import clock, since
from peers.start import start
from records import RESULTS, about, put, read, settle

import nbeats_basis as nb

SEASONS = {"yearly": 1, "quarterly": 4, "monthly": 12, "other": 1}
FREQUENCIES = {"yearly": "YS", "quarterly": "QS", "monthly": "MS", "other": 1}
# of the presets, the measure of the panel; their own elsewhere
HEADS = {"tourism": nb.heads.StudentT("mape")}
NAIVE = {"seasonal_naive": seasonal_naive, "naive2": naive2}
PAPER = {"yearly": (20, 30), "quarterly": (10, 500), "monthly": (20, 300)}  # horizons to draw from, steps
PRESETS = ("default", "fast", "best", "default-bfloat16", "fast-bfloat16", "best-bfloat16", "paper")
PEERS = ("nbeats", "nhits", "darts", "ets", "dot")
KEY = ("group", "seed")


def split(dataset: str, group: str, validate: int):
    """Return training and test frames, sorted, and the horizon.

    With `validate` above 0 the test frame is that many horizons back, the last of the training part at 1, and all later rows are gone.
    """
    train, test = (
        f.sort_values(["unique_id", "ds"], ignore_index=True) for f in nb.datasets.load(dataset, group)
    )
    horizon = int(test.groupby("unique_id").size().max())
    for _ in range(validate):
        last = train.groupby("unique_id")["ds"].rank(ascending=False) <= horizon
        train, test = train[~last].reset_index(drop=True), train[last].reset_index(drop=True)
        test = test[test.unique_id.isin(train.unique_id)]
    return train, test, horizon


def part(validate: int) -> str:
    """Return the name of what `split` tests on."""
    return f"validation-{validate}" if validate > 1 else ("test", "validation")[validate]


def stamped(frame: pd.DataFrame, freq) -> pd.DataFrame:
    """Return the frame with stamps for its integers, so that the calendar tells the season."""
    if not isinstance(freq, str):
        return frame
    stamps = pd.date_range("1900", periods=int(frame.ds.max()), freq=freq)
    return frame.assign(ds=stamps[frame.ds - 1])


def ours(train: pd.DataFrame, horizon: int, freq, seed: int, **settings) -> tuple[np.ndarray, dict, dict]:
    """Return this package's forecasts, what fit and predict took, and versions."""
    forecaster = nb.Forecaster(horizon=horizon, freq=freq, seed=seed, **settings)
    frame = stamped(train, freq)
    begin = clock()
    forecaster.fit(frame, verbose=0)
    fitted = clock()
    forecast = forecaster.predict()["NBeatsBasis"].to_numpy()
    spent = {"fit": since(begin, fitted), "predict": since(fitted)}
    return forecast, spent, {m.__name__: m.__version__ for m in (nb, keras, tf, np)}


def peer(train: pd.DataFrame, at: pd.DataFrame, name: str, season: int, options) -> tuple:
    """Return a peer's forecasts, what its fit and predict took, and versions."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / file) for file in ("train.csv", "at.csv", "out.csv")]
        train.to_csv(paths[0], index=False)
        at.to_csv(paths[1], index=False)
        given = ["--freq", "1", "--season", str(season), "--seed", str(options.seed)]
        said = json.loads(start(options.python, "run.py", name, *paths, *given).splitlines()[-1])
        table = at.merge(pd.read_csv(paths[2]), on=["unique_id", "ds"], how="left")
    return table.yhat.to_numpy(), said.pop("seconds"), said


def settings(model: str, dataset: str, group: str, horizon: int) -> dict:
    """Return the arguments of a forecaster: none for the defaults, a preset and the measure of the panel, or the paper's."""
    if model != "paper":
        name, _, precision = model.partition("-")
        chosen = {"training": nb.Training(precision=precision)} if precision else {}
        return chosen if name == "default" else chosen | {"preset": name, "head": HEADS.get(dataset)}
    recent, steps = PAPER[group]
    return {
        "stacks": [
            nb.Trend(degree=2, num_blocks=3, units=256, num_layers=2),
            nb.Seasonality([horizon], num_blocks=3, units=2048, num_layers=2),
        ],
        "scaling": "none",
        "head": nb.heads.Point("mape"),
        "members": 6,
        "lookback": [k * horizon for k in range(2, 8)],
        "training": nb.Training(
            steps, batch_size=1024, learning_rate=1e-3, epochs=3, recent=recent * horizon
        ),
    }


def run(dataset: str, group: str, model: str, options) -> dict:
    """Return the record of one group and model."""
    train, test, horizon = split(dataset, group, options.validate)
    season = SEASONS[group]
    at = test[["unique_id", "ds"]]
    settle()
    before = about({})
    if model in NAIVE:
        begin = clock()
        forecast = NAIVE[model](train, horizon, season)
        spent, versions = {"predict": since(begin)}, {"numpy": np.__version__}
    elif model in PEERS:
        forecast, spent, versions = peer(train, at, model, season, options)
    else:
        chosen = settings(model, dataset, group, horizon)
        forecast, spent, versions = ours(train, horizon, FREQUENCIES[group], options.seed, **chosen)
    if len(forecast) != len(test) or not np.isfinite(forecast).all():
        raise RuntimeError(f"{model} gave {np.isfinite(forecast).sum()} forecasts of {len(test)} asked for.")
    errors = measures(train, test, forecast, season)
    reference = measures(train, test, naive2(train, horizon, season), season)
    return {
        "dataset": dataset,
        "group": group,
        "split": part(options.validate),
        "model": model,
        "seed": options.seed,
        "series": test.unique_id.nunique(),
        "points": len(test),
        **{name: round(value, 4) for name, value in errors.items()},
        "owa": round(owa(errors, reference), 4),
        **{f"{part}_{kind}": round(s, 2) for part, each in spent.items() for kind, s in each.items()},
        **before,
        "versions": {**versions, **before["versions"]},
    }


def parse() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="m1", choices=list(nb.datasets.COMPETITIONS))
    parser.add_argument("--group", nargs="+", default=None, help="groups of the data set; all if left out")
    parser.add_argument(
        "--validate",
        nargs="?",
        type=int,
        const=1,
        default=0,
        help="on the last, or n-th last, horizon of training",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--preset", nargs="*", default=["default"], choices=PRESETS)
    parser.add_argument("--peers", nargs="*", default=[], choices=PEERS)
    parser.add_argument("--python", default=None, help="python of the peers' environment")
    parser.add_argument("--again", action="store_true", help="measure what has been measured, too")
    parser.add_argument("--results", type=Path, default=RESULTS / "accuracy")
    options = parser.parse_args()
    if options.peers and not options.python:
        parser.error("--peers needs --python, the interpreter of the peers' environment")
    if "paper" in options.preset and options.dataset != "tourism":
        parser.error("--preset paper has the settings of Tourism only")
    return options


def main() -> None:
    """Measure what has not been measured yet; say how far it is."""
    options = parse()
    models = [*NAIVE, *options.preset, *options.peers]
    groups = options.group or nb.datasets.COMPETITIONS[options.dataset]
    wanted = [(group, model) for group in groups for model in models]
    for number, (group, model) in enumerate(wanted, 1):
        path = options.results / f"{options.dataset}-{part(options.validate)}-{model}.json"
        known = [
            r for r in read(path) if all(r[k] == v for k, v in zip(KEY, (group, options.seed), strict=True))
        ]
        how = "known"
        if options.again or not known:
            how = "measured"
            known = [run(options.dataset, group, model, options)]
            put(path, known[0], KEY)
        shown = {k: known[0][k] for k in ("smape", "mape", "mase", "owa")}
        print(
            f"[{number}/{len(wanted)}] {options.dataset} {part(options.validate)} {group} {model}, {how}: {json.dumps(shown)}",
            file=sys.stderr,
            flush=True,
        )


if __name__ == "__main__":
    main()
