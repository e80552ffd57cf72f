"""How fast a network trains, beside the matrix products that its layers alone would take.

For each precision: steps and windows a second, the arithmetic a second of the networks' products (2 M B I O forward for each
layer, twice that backward; nothing else is counted), that of a chain of bare products of the hidden layers' shape and type, and
milliseconds of a step, of its products at that chain's rate, and of the norm of the gradients and Adam's update alone.
All are measured in turn in one process, several times, and the fastest counts. Processor seconds, summed over cores, tell
more where other programs run beside this one.

python benchmarks/training_rate.py --net generic
"""

import argparse
import json
import platform
import time

import keras
import tensorflow as tf

import nbeats_basis as nb
from nbeats_basis.optimizers import Adam
from nbeats_basis.panel import Columns, Panel
from nbeats_basis.windows import Windows

PRODUCTS = 12  # in the chain
NETS = {  # how it is made, batch
    "small": (lambda: interpretable(128), 128),
    "medium": (lambda: interpretable(256), 512),
    "generic": (lambda: nb.NBeats.generic(12, 60), 1024),
}


def interpretable(units: int) -> nb.NBeats:
    """Return sixteen networks of trend and seasonality."""
    stacks = [nb.Trend(units=units), nb.Seasonality([12], units=units)]
    return nb.NBeats(stacks, 12, 48, members=16)


def blocks_of(net: nb.NBeats) -> list:
    """Return the blocks in the order they are used, a shared one several times."""
    return [stack.blocks[i % len(stack.blocks)] for stack in net.stacks for i in range(stack.num_blocks)]


def flops(net: nb.NBeats, batch: int) -> float:
    """Return the operations of the networks' products in a training step."""
    sizes = [kernel.shape for block in blocks_of(net) for kernel in block.network.kernels]
    return 3 * sum(2.0 * members * batch * reads * writes for members, reads, writes in sizes)


def training(net: nb.NBeats, batch: int, precision: str):
    """Return a function that takes one step."""
    panel = Panel.from_frame(nb.synthetic.seasonal_panel(200, 120, seed=0), Columns(), 1)
    net.compile(precision=precision)
    windows = Windows(panel, net.window, net.horizon, batch_size=batch)
    net.fit(windows, steps_per_epoch=1, verbose=0)
    step = tf.function(lambda number: net.train_step(number)["loss"])
    return lambda: step(tf.constant(0)).numpy()


def products(net: nb.NBeats, batch: int, precision: str):
    """Return a function that takes `PRODUCTS` products of the hidden layers' shape, and their operations."""
    units = blocks_of(net)[0].units
    kernel = tf.cast(tf.random.normal((net.members, units, units)) * units**-0.5, precision)
    start = tf.cast(tf.random.normal((net.members, batch, units)), precision)

    @tf.function
    def chain(hidden):
        for _ in range(PRODUCTS):
            hidden = tf.matmul(hidden, kernel)
        return hidden[0, 0, 0]

    return lambda: chain(start).numpy(), PRODUCTS * 2.0 * net.members * batch * units**2


def update(net: nb.NBeats):
    """Return a function that takes the norm of gradients and updates the weights: passes over memory, whatever the precision."""
    weights, optimizer = net.trainable_variables, Adam()
    optimizer.build(weights)
    gradients = [tf.random.normal(weight.shape) for weight in weights]

    @tf.function
    def apply():
        optimizer.apply(gradients, weights)
        return tf.linalg.global_norm(gradients)

    return lambda: apply().numpy()


def fastest(runs: dict, repeats: int) -> dict:
    """Return the shortest wall and processor time of each run, measured in turn, the first times left out."""
    times = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            wall, processor = time.perf_counter(), time.process_time()
            run()
            if repeat:
                times[name].append((time.perf_counter() - wall, time.process_time() - processor))
    return {name: tuple(map(min, zip(*each, strict=True))) for name, each in times.items()}


def main() -> None:
    """Print one JSON line a precision, the versions first."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", default="small", choices=list(NETS))
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    make, batch = NETS[options.net]
    runs, work = {("update", "float32"): update(make())}, {}
    for precision in ("float32", "bfloat16"):
        net = make()
        runs["step", precision] = training(net, batch, precision)
        runs["products", precision], work["products"] = products(net, batch, precision)
        work["step"] = flops(net, batch)
    times = fastest(runs, options.repeats)
    versions = {m.__name__: m.__version__ for m in (nb, keras, tf)}
    print(json.dumps({**versions, "python": platform.python_version()}))
    for precision in ("float32", "bfloat16"):
        wall = times["step", precision][0]
        result = {"net": options.net, "precision": precision, "steps": 1 / wall}
        result["windows"] = net.members * batch / wall
        for clock, number in (("wall", 0), ("processor", 1)):
            step, chain = (work[name] / times[name, precision][number] for name in ("step", "products"))
            result |= {f"gflops_{clock}": step / 1e9, f"products_{clock}": chain / 1e9}
            result[f"share_{clock}"] = step / chain
        result |= {"step_ms": 1e3 * wall, "products_ms": 1e3 * wall * result["share_wall"]}
        result["update_ms"] = 1e3 * times["update", "float32"][0]
        print(json.dumps({k: round(v, 2) if isinstance(v, float) else v for k, v in result.items()}))


if __name__ == "__main__":
    main()
