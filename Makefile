# Two commands for everybody: `make run` and `make test`. Both set up .venv on first use.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
RUN_STAMP := $(VENV)/.run-ready
DEV_STAMP := $(VENV)/.dev-ready

.PHONY: run test check format bench constraints clean
.DEFAULT_GOAL := run

run: $(RUN_STAMP)  ## install, fetch the default models, serve both on this device
	$(BIN)/loadsheet up $(ARGS)

test: $(DEV_STAMP)  ## every test that this machine can run
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(ARGS)

check: $(DEV_STAMP)  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV_STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(DEV_STAMP)  ## measure this machine; results land in benchmarks/results
	$(BIN)/python benchmarks/first_flight.py $(ARGS)

constraints: $(DEV_STAMP)  ## freeze what is installed, without local builds' suffixes
	$(BIN)/python scripts/freeze.py > constraints.txt

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 14) else f"Python {v.major}.{v.minor} found; loadsheet needs 3.11 to 3.13: make PYTHON=python3.12 run")'
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --progress-bar on --constraint constraints.txt --editable '.[torch,openvino,bench]'
	touch $@

$(DEV_STAMP): pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --progress-bar on --constraint constraints.txt --editable '.[torch,openvino,bench,train,jax,wandb,dev]'
	touch $@ $(RUN_STAMP)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
