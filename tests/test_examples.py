"""Every example runs."""

import subprocess
import sys
from pathlib import Path

import pytest

SLOW = ("04_irregular_panel.py", "08_sparse_atoms.py")
EXAMPLES = [
    pytest.param(path, marks=[pytest.mark.slow] * (path.name in SLOW), id=path.name)
    for path in sorted((Path(__file__).parent.parent / "examples").glob("*.py"))
]


@pytest.mark.parametrize("path", EXAMPLES)
def test_example(path, tmp_path):
    assert path.read_text().count("\n") < 80
    result = subprocess.run(
        [sys.executable, path, "--quick", "--output", tmp_path], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert "mean absolute error" in result.stdout
    assert {p.suffix for p in tmp_path.iterdir()} >= {".png"} and (
        tmp_path / "saved_model" / "saved_model.pb"
    ).exists()
