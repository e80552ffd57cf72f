"""Wall time, and processor time over all cores, which other work on the machine hardly changes."""

import resource
import time


def clock() -> tuple[float, float]:
    """Return wall time, and the time of the process on all cores with that of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter(), time.process_time() + children.ru_utime + children.ru_stime


def since(begin: tuple[float, float], end: tuple[float, float] | None = None) -> dict:
    """Return the seconds between two times of `clock`, the second by default now."""
    wall, cpu = (now - then for now, then in zip(end or clock(), begin, strict=True))
    return {"seconds": wall, "cpu_seconds": cpu}
