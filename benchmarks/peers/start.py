"""Start a script of this folder in the peers' own environment."""

import subprocess
from pathlib import Path


def start(python: str, script: str, *arguments: str) -> str:
    """Return what a script prints; raise RuntimeError with the end of its errors where it fails.

    Args:
        python: Python of the environment.
        script: name of the file.
        *arguments: of the script.
    """
    command = [python, str(Path(__file__).parent / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout
