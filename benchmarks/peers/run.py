"""Forecasts of peer packages, in their own environment: reads frames, writes a frame.

python benchmarks/peers/run.py nbeats|prophet train.csv at.csv out.csv --season 12 --freq MS

`train.csv` holds unique_id, ds (stamps), y; `at.csv` the unique_id and ds to forecast; `out.csv` is `at.csv` with a column yhat.
"""

import argparse
import json
import logging
import time
from multiprocessing import Pool

import numpy as np
import pandas as pd

YEARLY = 10  # Prophet's own default of harmonics


def nbeats(train: pd.DataFrame, at: pd.DataFrame, freq: str, season: int, steps: int) -> pd.DataFrame:
    """Forecast by neuralforecast's interpretable N-BEATS, one network, three horizons of history, robust scaling."""
    from neuralforecast import NeuralForecast
    from neuralforecast.losses.pytorch import MAE
    from neuralforecast.models import NBEATS

    last = train.groupby("unique_id").ds.max()
    gap = [len(pd.date_range(last[i], d, freq=freq)) - 1 for i, d in at.groupby("unique_id").ds.max().items()]
    horizon = int(max(gap))
    model = NBEATS(
        h=horizon,
        input_size=3 * horizon,
        stack_types=["trend", "seasonality"],
        n_blocks=[3, 3],
        mlp_units=[[256, 256], [256, 256]],
        loss=MAE(),
        max_steps=steps,
        learning_rate=1e-3,
        num_lr_decays=3,
        windows_batch_size=1024,
        batch_size=32,
        scaler_type="robust",
        start_padding_enabled=True,
        random_seed=1,
        enable_progress_bar=False,
        logger=False,
        enable_checkpointing=False,
    )
    peer = NeuralForecast(models=[model], freq=freq)
    peer.fit(train)
    table = peer.predict().rename(columns={"NBEATS": "yhat"})
    return at.merge(table.reset_index(drop="unique_id" in table.columns), on=["unique_id", "ds"], how="left")


def _prophet(pair) -> np.ndarray:
    """Forecast one series."""
    from prophet import Prophet

    history, at, seasonal = pair
    model = Prophet(
        yearly_seasonality=YEARLY if seasonal else False, weekly_seasonality=False, daily_seasonality=False
    )
    model.fit(history)
    return model.predict(at)["yhat"].to_numpy()


def prophet(train: pd.DataFrame, at: pd.DataFrame, seasonal: bool) -> pd.DataFrame:
    """Forecast each series by Prophet with yearly seasonality, on two processes."""
    groups = dict(list(train.groupby("unique_id")))
    asked = list(at.groupby("unique_id", sort=False))
    pairs = [(groups[name][["ds", "y"]], frame[["ds"]], seasonal) for name, frame in asked]
    with Pool(2) as pool:
        forecasts = pool.map(_prophet, pairs, chunksize=8)
    return pd.concat([frame.assign(yhat=values) for (_, frame), values in zip(asked, forecasts, strict=True)])


def main() -> None:
    """Write the forecasts, print seconds and versions as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", choices=["nbeats", "prophet"])
    parser.add_argument("train")
    parser.add_argument("at")
    parser.add_argument("out")
    parser.add_argument("--freq", default="MS")
    parser.add_argument("--season", type=int, default=12)
    parser.add_argument("--steps", type=int, default=500)
    options = parser.parse_args()
    for name in ("cmdstanpy", "prophet", "pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    train, at = (pd.read_csv(path, parse_dates=["ds"]) for path in (options.train, options.at))
    begin = time.perf_counter()
    if options.model == "nbeats":
        import neuralforecast as peer

        table = nbeats(train, at, options.freq, options.season, options.steps)
    else:
        import prophet as peer

        table = prophet(train, at, options.season > 1)
    seconds = time.perf_counter() - begin
    table[["unique_id", "ds", "yhat"]].to_csv(options.out, index=False)
    print(json.dumps({"seconds": round(seconds, 1), peer.__name__: peer.__version__}))


if __name__ == "__main__":
    main()
