"""Speed beside neuralforecast's N-BEATS on the same cores: both are measured in turn, the other waiting.

- train: training steps of the generic network (30 blocks of width 512, 1024 windows), and the matrix product's own rate;
- fit: 16 small networks from a frame, ours together, the peer's one after another (two are fitted, sixteen extrapolated);
- reach: time to the peer's error on the months of Tourism and M3, last horizon of the training part;
- predict: 10,000 series of 120 months in a frame, 18 months ahead; imports and first calls apart.

Seconds are the shortest of the rounds, in `predict` of the second of two calls. CPU seconds add up over the cores; where other
work shares them, compare these, with one thread each (`OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1`).

python benchmarks/speed.py train predict --python benchmarks/peers/.venv/bin/python
"""

import argparse
import contextlib
import itertools
import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import accuracy
import keras
import metrics
import numpy as np
import pandas as pd
import tensorflow as tf
from peers.clock import clock, since
from records import RESULTS, about, put

import nbeats_basis as nb
from nbeats_basis.panel import Columns, Panel
from nbeats_basis.training import make_optimizer
from nbeats_basis.windows import Windows

HORIZON, BATCH, MEMBERS, SERIES = 18, 1024, 16, 10_000
GENERIC = {"horizon": HORIZON, "lookback": 90, "blocks": 30, "units": 512}
VARIANTS = ("float32", "bfloat16", "compiled float32", "compiled bfloat16")
BATCHES = (32, 256, 1024, 4096)  # of the peer's predictions; 32 is its default
LEVEL, WITH_LEVEL = [80, 95], ", 80 and 95 %"
EPOCHS = 5
# the measure, and what the spread's network learns beside
REACHED = {"tourism": ("mape", "mape"), "m3": ("smape", "change")}
STEPS = (20, 40, 80, 160, 320)


class Peer:
    """The peer's process in its own environment, which answers one task at a time."""

    def __init__(self, python: str):
        script = str(Path(__file__).parent / "peers" / "worker.py")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([python, script], text=True, **pipes)

    def __call__(self, task: str, **arguments) -> dict:
        """Return the answer to a task."""
        self.process.stdin.write(json.dumps({"task": task, **arguments}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"The peer's process ended at {task} {arguments}.")
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


class Shortest:
    """The shortest wall and CPU seconds of each thing measured, and the rates that follow."""

    def __init__(self):
        self.seconds: dict[str, dict] = {}

    def add(self, name: str, seconds: dict) -> None:
        """Take a measurement, `seconds` and `cpu_seconds`."""
        known = self.seconds.setdefault(name, dict.fromkeys(("seconds", "cpu_seconds"), np.inf))
        known |= {key: min(known[key], seconds[key]) for key in known}

    def rows(self, work: dict[str, float], unit: str) -> dict:
        """Return seconds and rates by name.

        Args:
            work: how much is done in these seconds, by name.
            unit: of the work.
        """
        rows = {}
        for name, seconds in self.seconds.items():
            rates = {
                f"{unit}/s": work[name] / seconds["seconds"],
                f"{unit}/CPU s": work[name] / seconds["cpu_seconds"],
            }
            rows[name] = {key: float(f"{value:.4g}") for key, value in (seconds | rates).items()}
        return rows


def timed(function, *args, **kwargs) -> dict:
    """Return the seconds of a call."""
    begin = clock()
    function(*args, **kwargs)
    return since(begin)


def warm(function) -> tuple[dict, dict]:
    """Return the answers of two calls: where another has just worked, the first is slower by getting its memory back."""
    return function(), function()


def months(num_series: int, length: int) -> pd.DataFrame:
    """Return seasonal series of months."""
    frame = nb.synthetic.seasonal_panel(num_series, length, seed=0)[["unique_id", "ds", "y"]]
    return frame.assign(ds=pd.date_range("2000", periods=length, freq="MS")[frame.ds - frame.ds.min()])


def product(rows: int, size: int, dtype: str):
    """Return a function of matrix products, each `(rows, size)` by `(size, size)`, and its GFLOP."""
    start = tf.cast(tf.random.normal((rows, size)), dtype)
    factor = tf.cast(tf.random.normal((size, size), stddev=size**-0.5), dtype)
    repeats = max(2, int(5e10 / (2 * rows * size**2)))

    @tf.function
    def multiply():
        value = start
        for _ in tf.range(repeats):
            value = tf.matmul(value, factor)
        return value[0, 0]

    return lambda: multiply().numpy(), 2e-9 * rows * size**2 * repeats


def in_precision(precision: str) -> dict:
    """Return the argument that asks for a precision; nothing for the default."""
    return {} if precision == "float32" else {"precision": precision}


def generic_trainer(steps: int, precision: str):
    """Return a function that trains the paper's generic network by `fit`, and its number of weights in products."""
    net = nb.NBeats.generic(GENERIC["horizon"], GENERIC["lookback"], scaling="std")
    training = nb.Training(steps=steps, learning_rate=1e-3, **in_precision(precision))
    net.compile(make_optimizer(training, steps), steps_per_execution=steps, **in_precision(precision))
    windows = Windows(Panel.from_frame(months(200, 240), Columns(), "MS"), net.window, HORIZON, BATCH)
    weights = sum(int(np.prod(v.shape)) for v in net.trainable_variables if len(v.shape) == 3)
    return lambda: net.fit(windows, steps_per_epoch=steps, verbose=0), weights


def train(peer: Peer, options) -> dict:
    """Return rates of training steps, and of matrix products, in GFLOP: 6 x windows x weights a step."""
    calls = {
        "product 1024 x 512 x 512": product(BATCH, 512, "float32"),
        "product 1024 x 512 x 512, bfloat16": product(BATCH, 512, "bfloat16"),
        "product 4096 x 4096 x 4096": product(4096, 4096, "float32"),
        "product 4096 x 4096 x 4096, bfloat16": product(4096, 4096, "bfloat16"),
    }
    for precision in options.precision:
        trainer, weights = generic_trainer(options.steps, precision)
        calls[f"nbeats_basis {precision}"] = trainer, 6e-9 * BATCH * weights * options.steps
    work = {name: flop for name, (_, flop) in calls.items()}
    shortest = Shortest()
    for turn in range(options.rounds + 1):  # the first compiles
        now = {name: timed(call) for name, (call, _) in calls.items()}
        for variant in options.variants:
            name = f"neuralforecast {variant}"
            now[name] = peer("train", variant=variant, steps=options.steps, batch=BATCH, shape=GENERIC)
            work[name] = 6e-9 * BATCH * now[name]["weights"] * options.steps
        for name, seconds in now.items() if turn else ():
            shortest.add(name, seconds)
        print(f"train: round {turn} of {options.rounds}", file=sys.stderr, flush=True)
    return {**GENERIC, "batch": BATCH, "steps": options.steps, "rows": shortest.rows(work, "GFLOP")}


class Epochs(keras.callbacks.Callback):
    """Remembers when each epoch ended."""

    def __init__(self):
        super().__init__()
        self.ends: list[tuple] = []

    def on_epoch_end(self, epoch, logs=None):
        """Take the time."""
        self.ends.append(clock())


def small(units: int, options, precision: str) -> nb.Forecaster:
    """Return a forecaster of sixteen small networks."""
    training = nb.Training(
        steps=options.fit_steps, batch_size=options.batch, epochs=EPOCHS, **in_precision(precision)
    )
    stacks = [nb.Trend(units=units), nb.Seasonality([12], units=units)]
    return nb.Forecaster(HORIZON, 4 * HORIZON, "MS", stacks, nb.heads.Point(), MEMBERS, training)


def fit(peer: Peer, options) -> dict:
    """Return windows a second of sixteen small networks: of whole fits, and of steps once all is compiled."""
    frame, shortest, work = months(200, 120), Shortest(), {}
    per_epoch = nb.Training(steps=options.fit_steps, epochs=EPOCHS).plan(10**9)[0]
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "frame.csv")
        frame.to_csv(path, index=False)
        for units in options.units:
            for precision in options.precision:
                name, epochs = f"nbeats_basis {precision} width {units}", Epochs()
                ours = small(units, options, precision)
                whole = timed(ours.fit, frame, callbacks=[epochs], verbose=0)
                steady = since(epochs.ends[0], epochs.ends[-1])
                shortest.add(name, whole)
                shortest.add(f"{name}, steps", {k: v / (EPOCHS - 1) for k, v in steady.items()})
                work |= {name: MEMBERS * options.batch * EPOCHS * per_epoch}
                work |= {f"{name}, steps": MEMBERS * options.batch * per_epoch}
            arguments = {"path": path, "horizon": HORIZON, "units": units, "batch": options.batch}
            for seed in (1, 2):
                done = peer("fit", **arguments, steps=options.fit_steps, seed=seed)
                for name, what in (("", "whole"), (", steps", "step")):
                    seconds = {key: MEMBERS * value for key, value in done[what].items()}
                    shortest.add(f"neuralforecast width {units}{name}", seconds)
            work |= {f"neuralforecast width {units}": MEMBERS * options.batch * options.fit_steps}
            work |= {f"neuralforecast width {units}, steps": MEMBERS * options.batch}
            print(f"fit: width {units}", file=sys.stderr, flush=True)
    settings = {"members": MEMBERS, "batch": options.batch, "steps": options.fit_steps}
    return {**settings, "rows": shortest.rows(work, "windows")}


def reach(peer: Peer, options) -> dict:
    """Return error and seconds of the peer's network, and of this package's shortest fit that errs no more.

    On the last horizon of the training part, compilation and prediction included; ours is one smoothing network, its steps doubled
    until it is good enough. The peer is run twice and the faster counts.
    """
    rows = {}
    for dataset, (measure, loss) in REACHED.items():
        train, test, horizon = accuracy.split(dataset, "monthly", 1)

        def row(answer, test=test, measure=measure):
            forecast, spent, _ = answer
            both = {key: round(sum(part[key] for part in spent.values()), 1) for key in spent["fit"]}
            return {
                "measure": measure,
                "error": round(getattr(metrics, measure)(test.y, forecast), 2),
                **both,
            }

        asked = SimpleNamespace(seed=1, python=options.python)
        answers = [accuracy.peer(train, test[["unique_id", "ds"]], "nbeats", 12, asked) for _ in range(2)]
        best = rows[f"{dataset} neuralforecast"] = min(map(row, answers), key=lambda each: each["seconds"])
        for steps in STEPS:
            network = {
                "stacks": [nb.Smoothing([12], multiplicative=True)],
                "scaling": "ratio",
                "members": 1,
                "lookback": 6 * horizon,
                "head": nb.heads.StudentT(loss),
                "training": nb.Training(steps=steps, epochs=1),
            }
            answer = accuracy.ours(train, horizon, "MS", 1, **network)
            ours = rows[f"{dataset} nbeats_basis, {steps} steps"] = row(answer)
            print(f"reach: {dataset}, {steps} steps, {ours} against {best}", file=sys.stderr, flush=True)
            if ours["error"] <= best["error"]:
                break
    return {"rows": rows}


def forecasters() -> dict:
    """Return forecasters by name, hardly trained: what the defaults make, and networks of width 256."""
    plan = nb.Training(steps=2, epochs=1)

    def of_width(units: int) -> list:
        return [nb.Trend(units=units), nb.Seasonality([12], units=units)]

    return {
        "its default network": nb.Forecaster(
            HORIZON, None, "MS", of_width(128), None, members=1, training=plan
        ),
        "its default network and smoothing": nb.Forecaster(HORIZON, freq="MS", members=1, training=plan),
        "its defaults of small panels, 14 networks": nb.Forecaster(
            HORIZON, freq="MS", members=12, training=plan
        ),
        **{
            f"{count} network{'s' * (count > 1)}": nb.Forecaster(
                HORIZON, 4 * HORIZON, "MS", of_width(256), nb.heads.Point(), count, plan
            )
            for count in (1, 4)
        },
    }


def predict(peer: Peer, options) -> dict:
    """Return series a second of forecasts from a frame, and the seconds of first calls.

    Each package's default and networks of width 256; the mean, and with the ends of intervals of 80 and 95 %.
    """
    frame, shortest, first, calls = months(SERIES, 120), Shortest(), {}, {}
    few = frame[frame.unique_id.isin(frame.unique_id.unique()[:50])]
    for name, each in forecasters().items():
        each.fit(few, verbose=0)
        levels = (None, LEVEL) if each.model.head.is_distribution else (None,)
        for level in levels:
            called = f"nbeats_basis, {name}" + WITH_LEVEL * (level is not None)
            calls[called] = partial(timed, each.predict, frame, level)
            first[f"{called}, 50 series"] = timed(each.predict, few, level)["seconds"]
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "frame.csv")
        frame.to_csv(path, index=False)
        asked = list(itertools.product(("1 network", "its default"), (None,), options.batches))
        asked.append(("its default", LEVEL, BATCH))  # some 20 s whatever the batch
        for name, level, batch in asked:
            units = 256 if name == "1 network" else None
            called = f"neuralforecast, {name}{WITH_LEVEL * (level is not None)}, batch {batch}"
            arguments = {"path": path, "horizon": HORIZON, "units": units, "batch": batch, "level": level}
            calls[called] = partial(peer, "predict", **arguments)
        for turn in range(options.rounds + 1):
            for name, call in calls.items():
                cold, seconds = warm(call)
                if turn:
                    shortest.add(name, seconds)
                else:
                    first[name] = cold["seconds"]
            print(f"predict: round {turn} of {options.rounds}", file=sys.stderr, flush=True)
    command = [sys.executable, "-c", "import nbeats_basis"]
    first["import nbeats_basis"] = timed(subprocess.run, command, check=True)["seconds"]
    with contextlib.closing(Peer(options.python)) as fresh:
        first["import neuralforecast"] = timed(fresh, "versions")["seconds"]
    rows = shortest.rows(dict.fromkeys(shortest.seconds, SERIES), "series")
    return {"series": SERIES, "rows": rows, "first_seconds": {k: round(v, 2) for k, v in first.items()}}


TASKS = {"train": train, "fit": fit, "reach": reach, "predict": predict}


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tasks", nargs="+", choices=list(TASKS))
    parser.add_argument("--python", required=True, help="python of the peers' environment")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="of a turn of `train`")
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), help="of the peer in `train`")
    parser.add_argument("--precision", nargs="+", default=["float32"], help="of this package while training")
    parser.add_argument("--units", nargs="+", type=int, default=[128, 256], help="of the networks in `fit`")
    parser.add_argument("--batch", type=int, default=BATCH, help="windows of a network's step in `fit`")
    parser.add_argument(
        "--batches", nargs="+", type=int, default=list(BATCHES), help="of the peer in `predict`"
    )
    parser.add_argument("--fit-steps", type=int, default=100)
    parser.add_argument("--results", type=Path, default=RESULTS / "speed.json")
    options = parser.parse_args()
    with contextlib.closing(Peer(options.python)) as peer:
        versions = peer("versions") | {m.__name__: m.__version__ for m in (nb, keras, tf, np)}
        for task in options.tasks:
            before = about(versions)
            record = {"task": task, **TASKS[task](peer, options), **before}
            print(json.dumps(record, indent=1), flush=True)
            put(options.results, record, ("task", "threads", "batch"))


if __name__ == "__main__":
    main()
