"""Results of benchmarks in JSON files: what was measured, by which versions, on which machine, when."""

import datetime
import json
import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def cpu() -> str:
    """Return the processor's model as the system names it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """Return the commit of this repository's tree, with a plus where more than results has changed since; None outside git."""
    if shutil.which("git") is None:
        return None

    def git(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )

    commit = git("rev-parse", "--short", "HEAD").stdout.strip()
    changed = git("diff", "--quiet", "HEAD", "--", ":/", ":(top,exclude)benchmarks/results").returncode
    return commit + "+" * (changed > 0) if commit else None


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def settle() -> None:
    """Wait, three minutes at most, until the load average of what ran before is half a core below their number."""
    begin = time.monotonic()
    while os.getloadavg()[0] > cores() - 0.5 and time.monotonic() < begin + 180:
        time.sleep(2)


def about(versions: dict) -> dict:
    """Return versions, commit, machine, threads (of OMP_NUM_THREADS), load and date.

    Args:
        versions: of the packages measured, by name.
    """
    return {
        "versions": {**versions, "python": platform.python_version()},
        "commit": _commit(),
        "cpu": cpu(),
        "cores": cores(),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "load": round(os.getloadavg()[0], 1),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def read(path: Path) -> list[dict]:
    """Return the records of a file, none if it is not there."""
    return json.loads(path.read_text()) if path.exists() else []


def put(path: Path, record: dict, key: tuple[str, ...]) -> None:
    """Write a record into a file, in place of the one whose values of `key` are the same."""
    others = [r for r in read(path) if any(r.get(k) != record.get(k) for k in key)]
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps([*others, record], indent=1) + "\n")
    beside.replace(path)
