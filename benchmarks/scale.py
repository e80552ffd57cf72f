"""How time and memory grow with the panel: training and forecasts of up to 100 million observations, and fast prediction.

`--case steps` times a training step at growing numbers of series. `--case series` fits and forecasts 1,000,000 series of 100
points, `--case length` 100 series of 1,000,000 points; peak memory is that of the whole process, the frame of int32 series,
int32 times and float32 values included. `--case predict` forecasts a frame of 10,000 monthly series named by strings.
"""

import argparse
import json
import resource
import statistics
import time
import warnings

import keras
import numpy as np
import pandas as pd

import nbeats_basis as nb
from nbeats_basis.calendars import Calendar
from nbeats_basis.panel import Columns, Panel
from nbeats_basis.windows import Windows

HORIZON = 12


def peak() -> float:
    """Return the most memory that the process has had, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def make_values(series: int, points: int) -> np.ndarray:
    """Return seasonal random walks, `(S, T)` float32."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((series, points), dtype="float32")
    np.cumsum(values, axis=1, out=values)
    values += 100 + 10 * np.sin(2 * np.pi * np.arange(points, dtype="float32") / 12)
    return values


def make_frame(series: int, points: int) -> pd.DataFrame:
    """Return a long frame of int32, int32 and float32: 12 bytes a row."""
    return pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(series, dtype="int32"), points),
            "ds": np.tile(np.arange(points, dtype="int32"), series),
            "y": make_values(series, points).ravel(),
        }
    )


def make_forecaster(steps: int, **kwargs) -> nb.Forecaster:
    """Return a forecaster of default width, of one network."""
    training = nb.Training(steps=steps, epochs=1, steps_per_execution=10)
    return nb.Forecaster(HORIZON, members=1, training=training, **kwargs)


def whole(series: int, points: int) -> dict:
    """Fit and forecast once."""
    df = make_frame(series, points)
    built = peak()
    start = time.perf_counter()
    forecaster = make_forecaster(50).fit(df, verbose=0)
    fitted, fit_peak = time.perf_counter(), peak()
    table = forecaster.predict()
    done = time.perf_counter()
    return {
        "series": series,
        "points": points,
        "frame_gib": round(df.memory_usage().sum() / 2**30, 2),
        "peak_gib_frame": round(built, 2),
        "peak_gib_fit": round(fit_peak, 2),
        "peak_gib": round(peak(), 2),
        "fit_s": round(fitted - start, 1),
        "predict_s": round(done - fitted, 1),
        "rows": len(table),
    }


def step_times(sizes: list[int], repeats: int) -> dict:
    """Return the milliseconds of a training step by number of series, medians of turns taken one after another."""
    nets, times = {}, {size: [] for size in sizes}
    for size in sizes:
        values = make_values(size, 100)
        steps, offsets = np.tile(np.arange(100), size), 100 * np.arange(size + 1)
        calendar = Calendar(1, pd.Series([0], dtype="int32"))
        panel = Panel(
            np.arange(size), values.ravel(), steps, offsets, np.zeros(size, int), calendar, Columns()
        )
        stacks = [nb.Trend(units=128), nb.Seasonality([12], units=128)]
        net = nb.NBeats(stacks, HORIZON, 2 * HORIZON, nb.heads.StudentT())
        net.compile(keras.optimizers.Adam(1e-3), steps_per_execution=10)
        nets[size] = net, Windows(panel, net.window, HORIZON, batch_size=128)
    for repeat in range(repeats + 1):
        for size, (net, windows) in nets.items():
            start = time.perf_counter()
            net.fit(windows, steps_per_epoch=100, verbose=0)
            if repeat:  # the first traces
                times[size].append(10 * (time.perf_counter() - start))
    medians = {size: statistics.median(each) for size, each in times.items()}
    return {
        "step_ms": {size: round(each, 3) for size, each in medians.items()},
        "ratio": round(medians[sizes[-1]] / medians[sizes[0]], 3),
    }


def predict_times(repeats: int) -> dict:
    """Return the seconds of `predict(df)` of 10,000 monthly series of 120 points, horizon 18, by head."""
    series, points = 10_000, 120
    df = pd.DataFrame(
        {
            "unique_id": np.repeat([f"s{i:05d}" for i in range(series)], points),
            "ds": np.tile(pd.date_range("2001-01-01", periods=points, freq="MS"), series),
            "y": make_values(series, points).ravel().astype("float64"),
        }
    )
    result = {}
    for name, head in (("default", None), ("point", nb.heads.Point("mae"))):
        forecaster = make_forecaster(10, head=head).set_params(horizon=18)
        forecaster.fit(df[df.unique_id < "s00200"], verbose=0)
        times = {"predict": [], "panel": []}
        for repeat in range(repeats + 1):
            for part, run in (("predict", forecaster.predict), ("panel", forecaster._panel_of)):
                start, cpu = time.perf_counter(), time.process_time()
                run(df)
                if repeat:  # the first traces
                    times[part].append((time.perf_counter() - start, time.process_time() - cpu))
        least = {part: np.min(each, axis=0) for part, each in times.items()}
        result[name] = {
            "predict_s": round(least["predict"][0], 4),
            "predict_cpu_s": round(least["predict"][1], 4),
            "panel_s": round(least["panel"][0], 4),
            "series_per_s": round(series / least["predict"][0]),
        }
    return result


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=("steps", "series", "length", "predict"), required=True)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--shrink", type=int, default=1, help="divide the largest sizes by this")
    options = parser.parse_args()
    warnings.simplefilter("error", nb.DataWarning)
    million, hundred = 1_000_000 // options.shrink, 100
    if options.case == "steps":
        result = step_times([million // 1000, million // 10, million], options.repeats)
    elif options.case == "predict":
        result = predict_times(options.repeats)
    else:
        result = whole(*((million, hundred) if options.case == "series" else (hundred, million)))
    print(json.dumps(result | {"versions": [pd.__version__, keras.__version__]}))


if __name__ == "__main__":
    main()
