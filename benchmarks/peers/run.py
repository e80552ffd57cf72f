"""Forecasts of peer packages, in their own environment: reads frames, writes a frame.

python benchmarks/peers/run.py nbeats|nhits|darts|ets|dot|prophet train.csv at.csv out.csv --season 12 --freq MS

`train.csv` holds unique_id, ds (stamps, or integers with `--freq 1`), y; `at.csv` the unique_id and ds to forecast; `out.csv` is
`at.csv` with a column yhat.
"""

import argparse
import json
import logging
import os
from multiprocessing import Pool

import numpy as np
import pandas as pd
from clock import clock, since

YEARLY = 10  # Prophet's own default of harmonics


def network(options, horizon: int):
    """Return neuralforecast's interpretable N-BEATS or its N-HiTS: three horizons of history, robust scaling."""
    from neuralforecast.losses.pytorch import MAE
    from neuralforecast.models import NBEATS, NHITS

    training = {
        "h": horizon,
        "input_size": 3 * horizon,
        "loss": MAE(),
        "max_steps": options.steps,
        "learning_rate": 1e-3,
        "num_lr_decays": 3,
        "windows_batch_size": 1024,
        "batch_size": 32,
        "scaler_type": "robust",
        "start_padding_enabled": True,
        "random_seed": options.seed,
        "enable_progress_bar": False,
        "logger": False,
        "enable_checkpointing": False,
    }
    if options.model == "nhits":
        return NHITS(**training)
    stacks = {"stack_types": ["trend", "seasonality"], "n_blocks": [3, 3], "mlp_units": [[256, 256]] * 2}
    return NBEATS(**stacks, **training)


def neural(train: pd.DataFrame, at: pd.DataFrame, options) -> tuple[pd.DataFrame, dict]:
    """Forecast by one network of neuralforecast."""
    import neuralforecast
    import torch

    model = network(options, horizon_of(train, at, options.freq))
    package = neuralforecast.NeuralForecast(models=[model], freq=options.freq)
    begin = clock()
    package.fit(train)
    fitted = clock()
    table = package.predict()
    spent = {"fit": since(begin, fitted), "predict": since(fitted)}
    table = table.reset_index(drop="unique_id" in table.columns).rename(columns={str(model): "yhat"})
    versions = {m.__name__: m.__version__ for m in (neuralforecast, torch)}
    return table, {"seconds": spent, **versions}


def darts(train: pd.DataFrame, at: pd.DataFrame, options) -> tuple[pd.DataFrame, dict]:
    """Forecast by one interpretable N-BEATS of darts, which reads three horizons, or what the shortest series leaves."""
    import darts as package
    import torch
    from darts.models import NBEATSModel

    horizon = horizon_of(train, at, options.freq)
    shortest = int(train.groupby("unique_id").size().min())
    begin = clock()
    series = package.TimeSeries.from_group_dataframe(train, "unique_id", "ds", "y", freq=options.freq)
    model = NBEATSModel(
        min(3 * horizon, shortest - horizon),
        horizon,
        generic_architecture=False,
        num_blocks=3,
        num_layers=4,
        layer_widths=256,
        use_reversible_instance_norm=True,
        loss_fn=torch.nn.L1Loss(),
        optimizer_kwargs={"lr": 1e-3},
        batch_size=1024,
        n_epochs=options.steps,
        random_state=options.seed,
        pl_trainer_kwargs={"max_steps": options.steps, "enable_progress_bar": False},
    )
    model.fit(series, verbose=False)
    fitted = clock()
    forecasts = model.predict(horizon, series, verbose=False)
    tables = [
        pd.DataFrame(
            {
                "unique_id": each.static_covariates["unique_id"].iloc[0],
                "ds": each.time_index,
                "yhat": each.values()[:, 0],
            }
        )
        for each in forecasts
    ]
    spent = {"fit": since(begin, fitted), "predict": since(fitted)}
    return pd.concat(tables), {"seconds": spent, "darts": package.__version__, "torch": torch.__version__}


def statistical(train: pd.DataFrame, at: pd.DataFrame, options) -> tuple[pd.DataFrame, dict]:
    """Forecast each series by statsforecast's AutoETS or DynamicOptimizedTheta, on all cores."""
    import statsforecast
    from statsforecast.models import AutoETS, DynamicOptimizedTheta

    kind = AutoETS if options.model == "ets" else DynamicOptimizedTheta
    model = kind(season_length=options.season, alias="yhat")
    package = statsforecast.StatsForecast(models=[model], freq=options.freq, n_jobs=os.cpu_count())
    begin = clock()
    package.fit(train)
    fitted = clock()
    table = package.predict(h=horizon_of(train, at, options.freq))
    spent = {"fit": since(begin, fitted), "predict": since(fitted)}
    return table, {"seconds": spent, "statsforecast": statsforecast.__version__}


def horizon_of(train: pd.DataFrame, at: pd.DataFrame, freq) -> int:
    """Return the most steps that a series is asked for."""
    last, asked = train.groupby("unique_id").ds.max(), at.groupby("unique_id").ds.max()
    if isinstance(freq, int):
        return int((asked - last).max()) // freq
    return max(len(pd.date_range(last[name], stamp, freq=freq)) - 1 for name, stamp in asked.items())


def _prophet(pair) -> np.ndarray:
    """Forecast one series."""
    from prophet import Prophet

    history, at, seasonal = pair
    model = Prophet(
        yearly_seasonality=YEARLY if seasonal else False, weekly_seasonality=False, daily_seasonality=False
    )
    model.fit(history)
    return model.predict(at)["yhat"].to_numpy()


def prophet(train: pd.DataFrame, at: pd.DataFrame, options) -> tuple[pd.DataFrame, dict]:
    """Forecast each series by Prophet with yearly seasonality, on two processes."""
    import prophet as package

    groups = dict(list(train.groupby("unique_id")))
    asked = list(at.groupby("unique_id", sort=False))
    pairs = [(groups[name][["ds", "y"]], frame[["ds"]], options.season > 1) for name, frame in asked]
    begin = clock()
    with Pool(2) as pool:
        forecasts = pool.map(_prophet, pairs, chunksize=8)
    table = pd.concat(
        [frame.assign(yhat=values) for (_, frame), values in zip(asked, forecasts, strict=True)]
    )
    return table, {"seconds": {"fit": since(begin)}, "prophet": package.__version__}


PEERS = {
    "nbeats": neural,
    "nhits": neural,
    "darts": darts,
    "ets": statistical,
    "dot": statistical,
    "prophet": prophet,
}


def main() -> None:
    """Write the forecasts, print seconds and versions as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", choices=list(PEERS))
    parser.add_argument("train")
    parser.add_argument("at")
    parser.add_argument("out")
    parser.add_argument("--freq", default="MS")
    parser.add_argument("--season", type=int, default=12)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for name in ("cmdstanpy", "prophet", "pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    dates = ["ds"]
    if options.freq.isdigit():
        options.freq, dates = int(options.freq), False
    train, at = (pd.read_csv(path, parse_dates=dates) for path in (options.train, options.at))
    table, said = PEERS[options.model](train, at, options)
    answer = at.merge(table[["unique_id", "ds", "yhat"]], on=["unique_id", "ds"], how="left")
    answer.to_csv(options.out, index=False)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
