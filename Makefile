# Every target does its own set-up: all that is needed is Python 3.11 or newer, a C compiler and make.
# PYTHON names the Python to build with; all other variables are passed on as `make help` says.

PYTHON ?= $(shell command -v python3 || command -v python)
VENV := .venv/bin
DEVELOP := $(PYTHON) tools/develop.py

.DEFAULT_GOAL := help
.PHONY: build run test lint format bench judges crash sim fuzz clean distclean help python
.PHONY: cluster-up cluster-down rejoin failover chaos

build: python  ## compile everything and install kvorum into .venv
	@$(DEVELOP) build

run: build  ## start a server on port 6379; ARGS="--port 7000 --maxmemory 1gb" is passed on
	@exec $(VENV)/kvorum server $(ARGS)

test: python  ## run every test; ARGS="-k strings -x" is passed on to pytest
	@$(DEVELOP) dev
	@$(VENV)/python -m pytest $(ARGS)

lint: python  ## check style and types
	@$(DEVELOP) dev --no-build
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .
	@$(VENV)/mypy
	@$(VENV)/python tools/lint_cython.py src

format: python  ## put all files into the one format
	@$(DEVELOP) dev --no-build
	@$(VENV)/ruff check --fix .
	@$(VENV)/ruff format .

bench: python  ## measure beside redis-server; QUICK=1 for two minutes, PARTS=pipeline,memory for some parts
	@$(DEVELOP) bench
	@$(VENV)/python -m bench $(if $(QUICK),--quick) $(if $(PARTS),--parts "$(PARTS)") $(ARGS)

judges: python  ## run outside test suites whose checkouts REDIS_SUITE, REDIS_PY_SUITE and TAIR_SUITE name
	@$(DEVELOP) dev
	@$(VENV)/python tools/judge.py $(ARGS)

crash: python  ## kill a server under load 200 times and see that nothing acknowledged is lost; KILLS=1000 for more
	@$(DEVELOP) dev
	@CRASH_KILLS=$(or $(KILLS),200) $(VENV)/python -m pytest tests/persistence/test_kills.py $(ARGS)

cluster-up: build  ## start three servers as one group in .devcluster; SIZE=5, ARGS="--acks leader" is passed on
	@$(VENV)/python tools/devcluster.py up $(if $(SIZE),--size $(SIZE)) $(ARGS)

cluster-down: build  ## end them, their data stay; WIPE=1 removes .devcluster, too
	@$(VENV)/python tools/devcluster.py down $(if $(WIPE),--wipe)

rejoin: build  ## start a server of the group that was killed, or add one: REJOIN_NODE=n2, REJOIN_PORT=7002
	@$(VENV)/python tools/devcluster.py rejoin $(or $(REJOIN_NODE),$(error make rejoin REJOIN_NODE=n2 REJOIN_PORT=7002)) $(REJOIN_PORT)

failover: python  ## kill the leader of a group and show what happens; KILLS=5, ARGS="--pause"
	@$(DEVELOP) build
	@$(VENV)/python tools/failover.py $(if $(KILLS),--kills $(KILLS)) $(ARGS)

chaos: python  ## kill, pause and cut off servers under load and judge what clients saw; SECONDS=1800, SEED=7
	@$(DEVELOP) build
	@$(VENV)/python -m kvorum.testing.chaos $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

sim: python  ## simulate whole groups in which everything goes wrong; SEEDS=1-5000, ARGS="--story" or "--mutation NAME"
	@$(DEVELOP) dev
	@$(VENV)/python -m kvorum.testing.simulation $(or $(SEEDS),1-300) $(ARGS)

fuzz: python  ## feed random input to the parsers; FUZZ_SECONDS=600 for each instead of 60
	@$(DEVELOP) fuzz
	@$(VENV)/python tools/fuzz.py $(FUZZ_SECONDS)

clean:  ## remove what was built
	@rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis src/*.egg-info
	@find src tests tools bench \( -name '*.so' -o -name '*.pyc' \) -delete
	@find src tests tools bench -name __pycache__ -type d -empty -delete

distclean: clean  ## remove the environment and the caches of downloads too
	@rm -rf .venv .cache dist

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*##/\1 -/p' Makefile

python:
	@test -n "$(PYTHON)" || { echo "kvorum needs Python 3.11 or newer, and there is no python3 here" >&2; exit 1; }
