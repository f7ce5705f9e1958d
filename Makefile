# Every target does its own set-up: Python 3.11 and pip are all it takes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-full check bench lock clean

demo: $(READY)            ## build, judge and seal a world of about 100 000 parties
	$(BIN)/fraudworld run --profile demo

test: $(READY)            ## fast tests: laws, units, faults
	$(BIN)/python -m pytest -n 2

test-full: $(READY)       ## everything, with the slow statistical, fault and scale tests
	$(BIN)/python -m pytest -n 2 -m "full or not full"

check: $(READY)           ## format, lint, types, import contracts, fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2

bench: $(READY)           ## timings; see benches/
	$(BIN)/python benches/authority.py

lock:                     ## refresh requirements.lock from pyproject.toml
	uv pip compile pyproject.toml --group dev --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --output-file requirements.lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $(READY)
