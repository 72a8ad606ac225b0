# Every target does its own set-up, and a second run repeats none of it.
#
#   make demo DIR=folder        make test ARGS="-k cursor"        make test PYTHON=python3.13 VENV=.venv-3.13

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
ARGS ?=
DIR ?=

BIN := $(VENV)/bin
PREPARE := $(PYTHON) scripts/prepare.py --venv $(VENV)
# Not every folder is there in every checkout (the sdist has no benchmarks); the type checkers want all they name.
SOURCES := $(wildcard src tests examples benchmarks scripts)

.DEFAULT_GOAL := help
.PHONY: help demo test test-all coverage check format bench proof screenshots build pins clean python

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 12

demo: python ## serve a small demonstration: make demo [DIR=folder]
	@$(PREPARE) demo
	$(BIN)/agentprogress demo $(ARGS) $(if $(DIR),"$(DIR)")

test: python ## run the tests: make test [ARGS="-k cursor"]
	@$(PREPARE) test
	$(BIN)/python -m pytest -n $(JOBS) --dist loadscope $(ARGS)

test-all: python ## run the tests on every supported Python that is installed
	@$(PYTHON) scripts/test_all.py

coverage: python ## run the tests and say which lines they miss
	@$(PREPARE) test
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(JOBS) $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

check: python ## formatting, lint, types and layers
	@$(PREPARE) check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(SOURCES)
	$(BIN)/basedpyright --pythonpath $(BIN)/python $(SOURCES)
	$(BIN)/lint-imports

format: python ## format, and repair what the linter can
	@$(PREPARE) check
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .

proof: python ## prove by numbers what is too long for the tests
	@$(PREPARE) test
	$(BIN)/python -m benchmarks.proof
	$(BIN)/python -m benchmarks.cuts
	$(BIN)/python -m benchmarks.chaos
	$(BIN)/python -m pytest -m proof $(ARGS)

bench: python ## measure, beside the usual ways: make bench [ARGS=…]
	@$(PREPARE) bench
	$(BIN)/python -m benchmarks $(ARGS)

screenshots: python ## take the pictures of docs/images anew: make screenshots [ARGS="running dark"]
	@$(PREPARE) test
	$(BIN)/python -m scripts.screenshots $(ARGS)

build: python ## make the wheel and the sdist in dist/
	@$(PREPARE) demo
	rm -rf dist
	$(BIN)/python -m hatchling build

pins: python ## choose the newest versions of all tools: writes requirements/*.txt
	$(PYTHON) scripts/pin.py

clean: ## remove everything that the targets made, environments included
	rm -rf .venv .venv-* tests/browser/node_modules build dist htmlcov .coverage .coverage.* .hypothesis
	rm -rf .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "agentprogress needs Python 3.11 or newer, and '$(PYTHON)' is not: name one with make PYTHON=python3.12" >&2; \
		exit 1; }
