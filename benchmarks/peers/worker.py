"""neuralforecast's speed, one task a line: reads JSON from the standard input, answers in JSON. `benchmarks/speed.py` starts it.

A task is {"task": "train"|"fit"|"predict"|"versions", ...} with the arguments of the function of that name.
"""

import json
import logging
import sys

from clock import clock, since

ANSWERS, sys.stdout = sys.stdout, sys.stderr  # what packages print must not mix with the answers
COMMON = {
    "enable_progress_bar": False,
    "logger": False,
    "enable_checkpointing": False,
    "enable_model_summary": False,
}
_trainers, _fitted = {}, {}


def generic(horizon: int, lookback: int, blocks: int, units: int):
    """Return neuralforecast's generic N-BEATS; its first linear map has no activation, four ReLU layers' worth of products."""
    from neuralforecast.losses.pytorch import MAE
    from neuralforecast.models import NBEATS

    return NBEATS(
        h=horizon,
        input_size=lookback,
        stack_types=["identity"] * blocks,
        n_blocks=[1] * blocks,
        mlp_units=[[units, units]] * 3,
        loss=MAE(),
        **COMMON,
    )


def train(variant: str, steps: int, batch: int, shape: dict) -> dict:
    """Take training steps of the module; return their seconds, and the number of weights in products."""
    key = json.dumps([variant, batch, shape])
    if key not in _trainers:
        _trainers[key] = make_trainer(variant, batch, shape)
        _trainers[key][0]()  # compiles
    step, weights = _trainers[key]
    begin = clock()
    for _ in range(steps):
        step()
    return {**since(begin), "weights": weights}


def make_trainer(variant: str, batch: int, shape: dict):
    """Return a training step on random windows, and the number of weights in products.

    Args:
        variant: "float32" or "bfloat16" (autocast), after "compiled " by torch.compile.
        batch: windows in a step.
        shape: arguments of `generic`.
    """
    import torch

    torch.manual_seed(0)
    net = generic(**shape)
    forward = torch.compile(net) if variant.startswith("compiled") else net
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    window = torch.randn(batch, shape["lookback"], 1)
    inputs = {"insample_y": window, "insample_mask": torch.ones_like(window)}
    target = torch.randn(batch, shape["horizon"], 1)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled="bfloat16" in variant)

    def step():
        optimizer.zero_grad()
        with autocast:
            forecast = forward(inputs)
        loss = torch.abs(forecast.float() - target).mean()
        loss.backward()
        optimizer.step()

    return step, sum(p.numel() for p in net.parameters() if p.ndim == 2)


def interpretable(horizon: int, units: int, batch: int, steps: int, **more):
    """Return neuralforecast's interpretable N-BEATS: three blocks of trend, three of seasonality."""
    from neuralforecast.losses.pytorch import MAE
    from neuralforecast.models import NBEATS

    return NBEATS(
        h=horizon,
        input_size=4 * horizon,
        stack_types=["trend", "seasonality"],
        n_blocks=[3, 3],
        mlp_units=[[units, units]] * 3,
        loss=MAE(),
        max_steps=steps,
        windows_batch_size=batch,
        scaler_type="robust",
        **COMMON,
        **more,
    )


def default(horizon: int, steps: int, **more):
    """Return neuralforecast's N-BEATS as it comes, reading two horizons."""
    from neuralforecast.models import NBEATS

    return NBEATS(h=horizon, input_size=2 * horizon, max_steps=steps, **COMMON, **more)


def fit(path: str, horizon: int, units: int, batch: int, steps: int, seed: int) -> dict:
    """Fit to a frame; return the seconds of the whole, and those of a step after the first tenth."""
    import pandas as pd
    import pytorch_lightning
    from neuralforecast import NeuralForecast

    ticks = []  # outside of the callback, of which a copy is used

    class Ticker(pytorch_lightning.Callback):
        def on_train_batch_end(self, *_):
            ticks.append(clock())

    frame = pd.read_csv(path, parse_dates=["ds"])
    begin = clock()
    model = interpretable(horizon, units, batch, steps, random_seed=seed, callbacks=[Ticker()])
    NeuralForecast(models=[model], freq="MS").fit(frame)
    whole = since(begin)
    first, last = ticks[steps // 10], ticks[-1]
    count = len(ticks) - 1 - steps // 10
    step = {name: (b - a) / count for name, a, b in zip(whole, first, last, strict=True)}
    return {"whole": whole, "step": step}


def predict(path: str, horizon: int, units: int | None, batch: int, level: list | None = None) -> dict:
    """Forecast a frame by a network that is hardly trained, the default without `units`; return the seconds, reading aside.

    With levels the network is the default with Student's t, whose intervals the forecast has.
    """
    import pandas as pd
    from neuralforecast import NeuralForecast
    from neuralforecast.losses.pytorch import DistributionLoss

    if path not in _fitted:
        _fitted[path] = {"frame": pd.read_csv(path, parse_dates=["ds"])}
    known = _fitted[path]
    key = units, batch, bool(level)
    if key not in known:
        few = known["frame"][known["frame"].unique_id.isin(known["frame"].unique_id.unique()[:50])]
        more = {"valid_batch_size": batch}
        more |= {"loss": DistributionLoss("StudentT", level=level)} if level else {}
        model = interpretable(horizon, units, 256, 2, **more) if units else default(horizon, 2, **more)
        known[key] = NeuralForecast(models=[model], freq="MS")
        known[key].fit(few)
    begin = clock()
    table = known[key].predict(known["frame"])
    return {**since(begin), "rows": len(table)}


def versions() -> dict:
    """Return the packages' versions."""
    import neuralforecast
    import torch

    return {"neuralforecast": neuralforecast.__version__, "torch": torch.__version__}


TASKS = {"train": train, "fit": fit, "predict": predict, "versions": versions}


def main() -> None:
    """Answer until the input ends."""
    for name in ("pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for line in sys.stdin:
        task = json.loads(line)
        print(json.dumps(TASKS[task.pop("task")](**task)), file=ANSWERS, flush=True)


if __name__ == "__main__":
    main()
