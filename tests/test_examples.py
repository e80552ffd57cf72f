"""Every example runs."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
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
