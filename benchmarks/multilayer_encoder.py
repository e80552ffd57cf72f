"""ML-ISTA as an encoder: does unfolding a convolutional network in time, at equal parameters, help a forecast?

Windows of a seasonal panel, divided by their mean, are coded by two convolutional dictionaries, and a linear map of the deepest
codes gives the horizon; mean absolute error is trained. Without unfoldings the encoder is two layers of Conv1D with ReLU. Learning
rate and number of steps are chosen for each encoder on the last horizon of the training series, by MASE; then it is trained on all
of the training series from each seed, and the test is read once. Errors are MAPE in percent and MASE (m = 12) over all series.

python benchmarks/multilayer_encoder.py                   # Tourism monthly
python benchmarks/multilayer_encoder.py --panel m3
python benchmarks/multilayer_encoder.py --quick           # small, for a look
"""

import argparse
import json
import platform
import time

import keras
import numpy as np
import tensorflow as tf

import nbeats_basis as nb

PANELS = {"tourism": (36, 24), "m3": (24, 18)}  # lookback and horizon, months
RATES = (0.0003, 0.001, 0.003, 0.01, 0.03)
ENCODERS = {
    "none": (nb.sparse.MLISTA, 0),
    "ML-ISTA": (nb.sparse.MLISTA, 6),
    "ML-FISTA": (nb.sparse.MLFISTA, 6),
}


def make_model(name: str, lookback: int, horizon: int, seed: int) -> keras.Model:
    """Return the encoder and its head, both drawn from the seed."""
    kind, unfoldings = ENCODERS[name]
    encoder = kind((16, 32), (12, 6), (1, 2), unfoldings=unfoldings)
    encoder.assign_members([seed], "encoder")
    inputs = keras.Input((lookback, 1))
    codes = keras.layers.Flatten()(encoder(keras.ops.expand_dims(inputs, 0))[0])
    head = keras.initializers.GlorotUniform(seed=seed)
    return keras.Model(inputs, keras.layers.Dense(horizon, kernel_initializer=head)(codes))


def train(model: keras.Model, series: list, horizon: int, rate: float, steps: int, seed: int) -> None:
    """Train on random windows."""
    lookback, rng = model.input_shape[1], np.random.default_rng(seed)
    size = lookback + horizon
    windows = np.concatenate(
        [np.lib.stride_tricks.sliding_window_view(y, size) for y in series if len(y) >= size]
    ).astype("float32")
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    optimizer = keras.optimizers.Adam(schedule, clipnorm=1.0)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(batch):
        level = tf.reduce_mean(batch[:, :lookback], axis=1, keepdims=True)
        batch = batch / level
        with tf.GradientTape() as tape:
            forecast = model(batch[:, :lookback, None] - 1) + 1
            loss = tf.reduce_mean(tf.abs(forecast - batch[:, lookback:]))
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        optimizer.apply(gradients, model.trainable_variables)

    for _ in range(steps):
        step(windows[rng.integers(len(windows), size=128)])


def forecast(model: keras.Model, series: list) -> np.ndarray:
    """Return the forecasts behind the end of every series, `(series, horizon)`."""
    last = np.stack([y[-model.input_shape[1] :] for y in series])
    level = last.mean(axis=1, keepdims=True)
    return (model((last / level - 1)[..., None].astype("float32")).numpy() + 1) * level


def errors(forecasts: np.ndarray, truth: np.ndarray, series: list) -> dict:
    """Return MAPE, percent, and MASE, means over all series."""
    distance = np.abs(forecasts - truth)
    scale = np.array([np.mean(np.abs(y[12:] - y[:-12])) for y in series])
    return {
        "mape": float(100 * np.mean(distance / truth)) if np.all(truth > 0) else float("nan"),
        "mase": float(np.mean(distance.mean(axis=1) / scale)),
    }


def choose(name: str, series: list, lookback: int, horizon: int, steps: int) -> tuple:
    """Return the learning rate and the number of steps of the least MASE on the last horizon of the training series."""
    shorter, truth = [y[:-horizon] for y in series], np.stack([y[-horizon:] for y in series])
    tried = {}
    for rate in RATES:
        for count in (steps // 2, steps):
            model = make_model(name, lookback, horizon, 1000)
            train(model, shorter, horizon, rate, count, 1000)
            tried[rate, count] = errors(forecast(model, shorter), truth, shorter)["mase"]
    best = min(tried, key=tried.get)
    return best, tried[best]


def main() -> None:
    """Print one JSON line a result, the versions first."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--panel", choices=PANELS, default="tourism")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--steps", type=int, default=800, help="most steps of training; half of them are tried too"
    )
    parser.add_argument("--encoders", nargs="+", choices=ENCODERS, default=["none", "ML-ISTA"])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    steps, seeds = (100, 2) if options.quick else (options.steps, options.seeds)
    versions = {m.__name__: m.__version__ for m in (nb, keras, tf, np)}
    print(json.dumps({**versions, "python": platform.python_version(), "machine": platform.processor()}))
    lookback, horizon = PANELS[options.panel]
    frames = nb.datasets.load(options.panel, "monthly")
    series, truth = ([y.to_numpy() for _, y in f.groupby("unique_id", sort=False).y] for f in frames)
    truth = np.stack(truth)
    naive = np.stack([np.tile(y[-12:], 2)[:horizon] for y in series])
    rounded = {k: round(v, 3) for k, v in errors(naive, truth, series).items()}
    print(json.dumps({"panel": options.panel, "method": "seasonal naive", **rounded}), flush=True)
    scores = {}
    for name in options.encoders:
        (rate, count), validation = choose(name, series, lookback, horizon, steps)
        scores[name] = []
        for seed in range(seeds):
            started, model = time.perf_counter(), make_model(name, lookback, horizon, seed)
            train(model, series, horizon, rate, count, seed)
            score = errors(forecast(model, series), truth, series)
            scores[name].append((score["mape"], score["mase"]))
            row = {"panel": options.panel, "unfolded": name, "seed": seed, "parameters": model.count_params()}
            row |= {"rate": rate, "steps": count, "validation_mase": round(validation, 3)}
            row |= {k: round(v, 3) for k, v in score.items()}
            print(json.dumps({**row, "seconds": round(time.perf_counter() - started, 1)}), flush=True)
    for name in options.encoders[1:]:
        gain = np.array(scores[options.encoders[0]]) - scores[name]
        row = {"panel": options.panel, "gain": f"{name} over {options.encoders[0]}", "seeds": seeds}
        for k, column in zip(("mape", "mase"), gain.T, strict=True):
            row |= {k: round(float(column.mean()), 3), f"{k}_better_in": int(np.sum(column > 0))}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
