"""Accuracy on the competitions' panels, beside seasonal naive: the default head, and the group's own metric as loss.

Both use the same stacks, members and training; only `head` differs: the default Student-t, or `Point(metric)`.
Zeros have no percentage and do not count in MAPE.

python benchmarks/accuracy.py --dataset tourism            # official test split
python benchmarks/accuracy.py --dataset tourism --validate # last horizon of the training part, for choosing
"""

import argparse
import json
import platform
import time

import keras
import numpy as np
import tensorflow as tf
from metrics import mape, seasonal_naive, smape

import nbeats_basis as nb

SEASONS = {"yearly": 1, "quarterly": 4, "monthly": 12, "other": 1}


def split(dataset: str, group: str, validate: bool):
    """Return training and test frames, sorted, and the horizon."""
    train, test = (
        f.sort_values(["unique_id", "ds"], ignore_index=True) for f in nb.datasets.load(dataset, group)
    )
    horizon = int(test.groupby("unique_id").size().max())
    if validate:
        last = train.groupby("unique_id")["ds"].rank(ascending=False) <= horizon
        train, test = train[~last].reset_index(drop=True), train[last].reset_index(drop=True)
        test = test[test.unique_id.isin(train.unique_id)]
    return train, test, horizon


def run(dataset: str, group: str, validate: bool, seed: int, precision: str) -> dict:
    """Return the errors of one group and the wall times of fit and predict."""
    train, test, horizon = split(dataset, group, validate)
    season = SEASONS[group]
    stacks = [nb.Trend(units=128), nb.Seasonality([season], units=128)] if season > 1 else None
    measure = {"tourism": mape}.get(dataset, smape)
    result = {
        "dataset": dataset,
        "group": group,
        "split": "validation" if validate else "test",
        "metric": measure.__name__,
        "series": test.unique_id.nunique(),
        "seed": seed,
        "precision": precision,
    }
    training = nb.Training(precision=precision)
    forecasts = {"seasonal_naive": seasonal_naive(train, horizon, season)}
    for name, head in (("default", None), (measure.__name__, nb.heads.Point(measure.__name__))):
        start = time.perf_counter()
        forecaster = nb.Forecaster(
            horizon=horizon, freq=1, seed=seed, stacks=stacks, head=head, training=training
        )
        predicted = forecaster.fit(train, verbose=0).predict()
        result[f"seconds_{name}"] = round(time.perf_counter() - start, 1)
        forecasts[f"head_{name}"] = predicted["NBeatsBasis"]
    table = test.merge(predicted[["unique_id", "ds"]].assign(**forecasts), on=["unique_id", "ds"])
    result |= {name: round(measure(table.y, table[name]), 2) for name in forecasts}
    return result


def main() -> None:
    """Print one JSON line a group, the versions first."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="tourism", choices=list(nb.datasets.COMPETITIONS))
    parser.add_argument("--group", default=None)
    parser.add_argument("--validate", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    options = parser.parse_args()
    versions = {m.__name__: m.__version__ for m in (nb, keras, tf, np)}
    print(json.dumps({**versions, "python": platform.python_version(), "machine": platform.processor()}))
    for group in [options.group] if options.group else nb.datasets.COMPETITIONS[options.dataset]:
        print(
            json.dumps(run(options.dataset, group, options.validate, options.seed, options.precision)),
            flush=True,
        )


if __name__ == "__main__":
    main()
