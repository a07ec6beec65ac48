# `make demo` and `make test` set up all they need; `make setup` alone makes .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo claims test test-all lint type bench clean

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
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache
