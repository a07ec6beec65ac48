# `make demo` and `make test` set up all they need; `make setup` alone makes .venv.
# Another Python has its own environment: make oracles PYTHON=python3.13 VENV=.venv-3.13
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Workers and the processes that tests start read compiled files.
unexport PYTHONDONTWRITEBYTECODE
# What must come out on every Python: the exact answers behind train, sample, evaluate and diagnose, then all four verbs
# from end to end.
ORACLES := $(addprefix tests/,objective/test_score_matching.py objective/test_exact.py objective/test_gaussian_family.py \
	sampler path/test_rates.py \
	energy/test_phi4.py partition/test_exact.py partition/test_quadrature.py metric/test_log_z.py metric/test_nll.py \
	diagnostic/test_r_hat.py diagnostic/test_ess.py diagnostic/test_autocorrelation.py \
	cli/test_verbs.py)

.PHONY: setup demo claims test test-all oracles lint type bench clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" python scripts/demo.py

claims: $(READY)
	$(BIN)/python scripts/claims.py

test: $(READY)
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'not slow'

test-all: $(READY)
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

oracles: $(READY)
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'not slow' $(ORACLES)

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
	$(BIN)/python -m scripts.bench.spins
	$(BIN)/python -m scripts.bench.discrete_rivals

clean:
	rm -rf .venv .venv-* $(VENV) build dist .pytest_cache .ruff_cache
