"""Tables of the results measured, in Markdown, put between the marks of docs/benchmarks.md.

Accuracy: this package, peers and naive references beside published numbers (published.json); `--asked` names a file of the same
form with what is asked of this package.

python benchmarks/tables.py            # rewrites docs/benchmarks.md
python benchmarks/tables.py --print
"""

import argparse
import json
import re
from pathlib import Path

from metrics import average
from records import RESULTS, read

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
GROUPS = {
    "m1": ("yearly", "quarterly", "monthly"),
    "m3": ("yearly", "quarterly", "monthly", "other"),
    "tourism": ("yearly", "quarterly", "monthly"),
}
NAMES = {
    "default": ("ours", "default"),
    "fast": ("ours", 'preset="fast"'),
    "best": ("ours", 'preset="best"'),
    "default-bfloat16": ("ours", "default, products in bfloat16"),
    "fast-bfloat16": ("ours", 'preset="fast", products in bfloat16'),
    "best-bfloat16": ("ours", 'preset="best", products in bfloat16'),
    "paper": ("ours", "the paper's settings, 6 networks"),
    "nbeats": ("peer", "neuralforecast N-BEATS-I"),
    "nhits": ("peer", "neuralforecast N-HiTS"),
    "darts": ("peer", "darts N-BEATS-I"),
    "ets": ("peer", "statsforecast AutoETS"),
    "dot": ("peer", "statsforecast DynamicOptimizedTheta"),
    "seasonal_naive": ("naive", "seasonal naive"),
    "naive2": ("naive", "Naive2"),
}
OWN = {"m1": "smape", "m3": "smape", "tourism": "mape"}
SPENT = {
    "fit_seconds": "fit s",
    "fit_cpu_seconds": "fit CPU s",
    "predict_seconds": "predict s",
    "predict_cpu_seconds": "predict CPU s",
}
TITLES = {"smape": "sMAPE", "mape": "MAPE", "mase": "MASE", "owa": "OWA"}


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """Return a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float | None, digits: int = 2) -> str:
    """Return a number as text, a dash for None."""
    return "–" if value is None else f"{value:.{digits}f}"


def spent(records: list[dict], what: str) -> str:
    """Return the seconds over all groups, the mean over the seeds, wall time marked where other work shared the cores."""
    if any(what not in r for r in records):
        return "–"
    seconds = sum(r[what] for r in records) / len({r["seed"] for r in records})
    shared = "cpu" not in what and any(r["load"] > r["cores"] for r in records)
    return f"{seconds:.{0 if seconds >= 10 else 1}f}" + "*" * shared


def errors(records: list[dict]) -> dict[str, dict]:
    """Return the measures by group, means over the seeds; `average` if no group is missing."""
    by_group: dict = {}
    for group in GROUPS[records[0]["dataset"]]:
        known = [r for r in records if r["group"] == group]
        if known:
            by_group[group] = {m: sum(r[m] for r in known) / len(known) for m in TITLES}
    if len(by_group) == len(GROUPS[records[0]["dataset"]]):
        points = [next(r["points"] for r in records if r["group"] == group) for group in by_group]
        by_group["average"] = average(list(by_group.values()), points)
    return by_group


def accuracy(dataset: str, part: str, folder: Path, others: list[tuple[str, dict]]) -> str:
    """Return the tables of one data set and part of it.

    Args:
        dataset: "m1", "m3" or "tourism".
        part: "test" or "validation".
        folder: of the results.
        others: kind and numbers of further rows, of the form of published.json.
    """
    found = {model: read(folder / f"{dataset}-{part}-{model}.json") for model in NAMES}
    found = {model: records for model, records in found.items() if records}
    if not found:
        return ""
    measured = {model: errors(records) for model, records in found.items()}
    groups, own = [*GROUPS[dataset], "average"], OWN[dataset]
    reference = measured["naive2"].get("average")
    rows, all_four = [], []
    for model, by_group in measured.items():
        kind, name = NAMES[model]
        seeds = len({r["seed"] for r in found[model]})
        name += f", mean of {seeds} seeds" * (seeds > 1)
        cells = [number(by_group[g][own] if g in by_group else None) for g in groups]
        rows.append([kind, name, *cells, *(spent(found[model], what) for what in SPENT)])
        if "average" in by_group:
            total = by_group["average"]
            owa = (total["smape"] / reference["smape"] + total["mase"] / reference["mase"]) / 2
            cells = [number(total[m]) for m in ("smape", "mape")]
            all_four.append([kind, name, *cells, number(total["mase"], 3), number(owa, 3)])
    for kind, table in others:
        if (table["dataset"], table["measure"], part) == (dataset, own, "test"):
            rows += [
                [kind, name, *(number(v) for v in values), *[""] * len(SPENT)]
                for name, values in table["rows"].items()
            ]
    first = next(iter(found.values()))[0]
    title = f"**{TITLES[own]}** on {dataset.upper() if dataset != 'tourism' else 'Tourism'}, {part} part"
    head = ["", "method", *groups, *SPENT.values()]
    tables = f"{title} ({first['cpu']}, {first['cores']} cores):\n\n{markdown(head, rows)}"
    if all_four:
        head = ["", "method", *TITLES.values()]
        tables += f"\n\nAverages over the data set, all four measures:\n\n{markdown(head, all_four)}"
    return tables


def speed(path: Path) -> str:
    """Return a table for each task measured; only processor time where other work shared the cores."""
    texts = []
    for record in read(path):
        shared = record["load"] > record["cores"]
        head = [
            k for k in next(iter(record["rows"].values())) if not (shared and re.fullmatch("seconds|.*/s", k))
        ]
        rows = [
            [name, *(row[k] if isinstance(row[k], str) else f"{row[k]:,}" for k in head)]
            for name, row in record["rows"].items()
        ]
        settings = {k: v for k, v in record.items() if isinstance(v, int | str) and k not in ("task", "date")}
        said = ", ".join(f"{k} {v}" for k, v in settings.items())
        shown = "; the cores were shared: processor time only" * shared
        texts.append(f"`{record['task']}` ({said}{shown}):\n\n{markdown(['', *head], rows)}")
        if "first_seconds" in record and not shared:
            firsts = ", ".join(f"{k} {v} s" for k, v in record["first_seconds"].items())
            texts.append(f"First calls and imports: {firsts}.")
    return "\n\n".join(texts)


def fill(page: str, name: str, text: str) -> str:
    """Return the page with the text between the marks `<!-- name -->` and `<!-- end name -->`."""
    pattern = rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)"
    if not re.search(pattern, page, re.DOTALL):
        raise ValueError(f"The page has no marks <!-- {name} --> and <!-- end {name} -->.")
    return re.sub(pattern, lambda m: f"{m[1]}\n{text}\n\n{m[2]}", page, flags=re.DOTALL)


def main() -> None:
    """Write or print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--print", action="store_true")
    parser.add_argument("--asked", type=Path, default=None)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    others = [("published", t) for t in json.loads((Path(__file__).parent / "published.json").read_text())]
    if options.asked:
        others += [("asked", table) for table in json.loads(options.asked.read_text())]
    parts = [
        accuracy(dataset, part, options.results / "accuracy", others)
        for part in ("test", "validation")
        for dataset in GROUPS
    ]
    texts = {"accuracy": "\n\n".join(filter(None, parts)), "speed": speed(options.results / "speed.json")}
    if options.print:
        print("\n\n".join(texts.values()))
        return
    page = PAGE.read_text()
    for name, text in texts.items():
        page = fill(page, name, text)
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
