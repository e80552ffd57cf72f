"""Draw what `sparse_coding.py` measured: error after each layer, beside published numbers, and error against training time.

Reads its JSON lines (noiseless, well conditioned), of as many files as you like. Published: read to about 1 dB off the figure of the
Open-L2O benchmark (Chen et al. 2021), 256 x 512, layer 16, trained for hours on a GPU.

python benchmarks/sparse_coding.py --part untrained --train ALISTA GatedALISTA --steps 700 --rate 2e-3 > lines.jsonl
python benchmarks/sparse_coding.py --part --train LISTA LISTACPSS --start analytic --steps 200 > more.jsonl
python benchmarks/sparse_curves.py lines.jsonl more.jsonl --output docs/convergence.png
"""

import argparse
import json
from pathlib import Path

from matplotlib.figure import Figure

PUBLISHED = {"LISTA": -35, "LISTACPSS": -63, "ALISTA": -79}


def read(paths: list[str]) -> dict:
    """Return the last row of each method."""
    rows = [json.loads(line) for path in paths for line in Path(path).read_text().splitlines()]
    return {
        row["method"]: row
        for row in rows
        if "method" in row and row["noise_db"] is None and row["condition"] is None
    }


def draw(rows: dict) -> Figure:
    """Return the figure."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for i, (name, row) in enumerate(rows.items()):
        errors = row.get("by_layer") or [error for _, error in row["curve"]]  # of each stage's last layer
        left.plot(range(1, 1 + len(errors)), errors, f"C{i}", label=name)
        if name in PUBLISHED:
            left.plot(16.4, PUBLISHED[name], f"C{i}<", markersize=7)
        if "curve" in row:
            seconds, errors = zip(*row["curve"], strict=True)
            right.plot(seconds, errors, f"C{i}o-", markersize=3, label=name)
        else:
            right.plot(row["seconds"], row["nmse_db"], f"C{i}D")
    left.plot([], [], "k<", label="published, layer 16")
    left.set(xlabel="layers or iterations", ylabel="error of the codes, dB")
    right.plot([], [], "kD", label="chosen by search, not trained")
    right.set(xlabel="seconds of training, a point a stage", xscale="symlog")
    for ax in (left, right):
        ax.legend(frameon=False, fontsize=8)
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    """Draw the figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lines", nargs="+")
    parser.add_argument("--output", default="convergence.png")
    options = parser.parse_args()
    draw(read(options.lines)).savefig(options.output, dpi=110)


if __name__ == "__main__":
    main()
