# Every target does its own set-up: Python 3.11 and pip are all it takes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
FULL := .venv-full
BENCH := build/bench

.PHONY: help demo test test-full lint check bench bench-authority docs library lock dist clean

demo: $(READY)            ## build, judge and seal a world of about 100 000 parties
	$(BIN)/fraudworld run --profile demo

help:                     ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1\t\2/p' Makefile | expand -t 20

test: $(READY)            ## fast tests: laws, units, faults
	$(BIN)/python -m pytest -n 2

test-full: $(FULL)/.ready  ## everything: statistical, fault, scale tests, exports in their tools
	$(FULL)/bin/python -m pytest -n 2 --dist worksteal -m "full or not full"

lint: $(READY)            ## format, lint, types, import contracts, spelling, links
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/typos
	$(BIN)/python -m pytest tests/repo/test_pages.py -k links

check: lint test          ## lint, then the fast tests: everything a change must pass

bench: $(READY)           ## the authority world from nothing, then seconds per state
	rm -rf $(BENCH)
	$(BIN)/fraudworld run --profile authority --runs-root $(BENCH)
	$(BIN)/fraudworld perf show $(BENCH)/*/

bench-authority: $(READY) ## the authority world cold, three times, each beside its floor
	rm -rf $(BENCH)
	$(BIN)/python benches/authority.py --root $(BENCH)

docs: $(READY)            ## write the reference pages from contracts and registries
	$(BIN)/python tools/reference_pages.py

library: $(FULL)/.ready    ## fetch the plotting library that reports embed
	$(FULL)/bin/python tools/report_library.py

lock:                     ## refresh the lock files from pyproject.toml; existing pins stay
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet uv
	$(COMPILE) --group dev --output-file requirements.lock
	$(COMPILE) --group dev --group exports --output-file requirements-full.lock

dist: $(READY)            ## wheel and source archive in dist/, with their SHA-256
	rm -rf dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m hatchling build -d dist
	cd dist && sha256sum * > SHA256SUMS

clean:                    ## remove what the targets made, except worlds under runs/
	rm -rf $(VENV) $(FULL) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

COMPILE := build/lock/bin/uv pip compile pyproject.toml --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet

$(READY): requirements.lock
$(FULL)/.ready: requirements-full.lock
$(READY) $(FULL)/.ready: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit('Python 3.11 or newer is needed: make PYTHON=python3.11') \
	  if sys.version_info < (3, 11) else None"
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --require-hashes -r $(filter %.lock,$^)
	$(@D)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@
