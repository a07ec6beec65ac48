# `make demo` and `make test` set up all they need; `make setup` alone makes .venv.
# Another Python has its own environment: make oracles PYTHON=python3.13 VENV=.venv-3.13
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# What must come out the same on every Python: exact answers behind each verb, and each verb from end to end.
ORACLES := tests/cli/test_verbs.py

.PHONY: setup demo claims test test-all oracles lint type bench clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/demo.sh

claims: $(READY)
	$(BIN)/python scripts/claims.py

test: $(READY)
	$(BIN)/pytest -n 2 -m 'not slow'

test-all: $(READY)
	$(BIN)/pytest -n 2

oracles: $(READY)
	$(BIN)/pytest -n 2 -m 'not slow' $(ORACLES)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(READY)
	$(BIN)/pyright

# The tools that it compares with are installed into .venv first.
bench: $(READY)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m scripts.bench.chains
	$(BIN)/python -m scripts.bench.ess

clean:
	rm -rf .venv .venv-* $(VENV) build dist .pytest_cache .ruff_cache
