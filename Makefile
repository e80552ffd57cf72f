# `make demo` and `make test` need only Python 3.11+ and make; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: demo test test-slow lint clean

demo: .venv/demo.stamp
	$(BIN)/python examples/01_demo.py --output demo_output

test: .venv/test.stamp
	$(BIN)/python -m pytest --numprocesses 2

test-slow: .venv/test.stamp
	$(BIN)/python -m pytest -m slow

lint: .venv/test.stamp
	$(BIN)/ruff check .

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/demo.stamp: setup.cfg | .venv/bin/python
	$(BIN)/python -m pip install --quiet -e ".[plot]"
	touch $@

.venv/test.stamp: setup.cfg | .venv/bin/python
	$(BIN)/python -m pip install --quiet -e ".[plot,eval,bench,dev]"
	touch $@ .venv/demo.stamp

clean:
	rm -rf .venv demo_output build dist *.egg-info
