"""What Keras' `fit` costs over a bare compiled loop of the same training step.

Both train the same network on the same windows, in turn, several times; the ratio of the medians is printed.
"""

import argparse
import json
import statistics
import time

import keras
import tensorflow as tf

import nbeats_basis as nb
from nbeats_basis.panel import Columns, Panel
from nbeats_basis.windows import Windows


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    panel = Panel.from_frame(nb.synthetic.seasonal_panel(200, 120, seed=0), Columns(), 1)
    net = nb.NBeats(
        [nb.Trend(units=128), nb.Seasonality([12], units=128)], 12, 48, nb.heads.StudentT(), members=4
    )
    net.compile(keras.optimizers.Adam(1e-3), steps_per_execution=10)
    windows = Windows(panel, 48, 12, batch_size=128)
    net._train_source = windows

    @tf.function
    def bare(step):
        for _ in tf.range(10):
            loss = net.train_step(step)["loss"]
        return loss

    def by_fit():
        net.fit(windows, steps_per_epoch=options.steps, verbose=0)

    def by_loop():
        for step in range(options.steps // 10):
            bare(tf.constant(step))

    times = {"fit": [], "loop": []}
    for repeat in range(options.repeats + 1):
        for name, run in (("fit", by_fit), ("loop", by_loop)):
            start = time.perf_counter()
            run()
            if repeat:  # the first traces
                times[name].append((time.perf_counter() - start) / options.steps)
    fit, loop = (statistics.median(times[name]) for name in ("fit", "loop"))
    result = {"fit_ms": 1e3 * fit, "loop_ms": 1e3 * loop, "ratio": fit / loop}
    print(
        json.dumps(
            {k: round(v, 3) for k, v in result.items()}
            | {"keras": keras.__version__, "tensorflow": tf.__version__}
        )
    )


if __name__ == "__main__":
    main()
