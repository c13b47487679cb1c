# Needs Python 3.11+ (with venv), make and git; everything else is installed into .venv from the lock files.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
EXPERIMENT ?= experiments/00-hello

.DELETE_ON_ERROR:
.PHONY: run test check test-live test-rest format bench pynq lock clean help

# What plays boards, lines and runs against the clock; with `make -j2 test` everything else goes on beside it, behind it.
LIVE := tests/flow tests/experiments tests/testbed/cli tests/testbed/coordinator tests/testbed/test_blocking.py \
  tests/testbed/test_pytest_plugin.py $(addprefix tests/drivers/,agent boards links session virtual)

help:
	@echo "make run    run $(EXPERIMENT) on virtual boards (installs what it needs first)"
	@echo "make test   all checks and all tests (with -j2: side by side)"
	@echo "make check  format, lint, types and import rules"
	@echo "make bench  how fast the testbed itself is"
	@echo "make pynq   an environment with the pynq package, for the tests of simulated PYNQ boards"
	@echo "make lock   resolve the dependencies anew"
	@echo "make clean  remove everything that was made here except runs/"

run: $(VENV)/.stamp-run
	$(BIN)/testbed run $(EXPERIMENT) --gap

test: check test-live test-rest

test-live: $(VENV)/.stamp-dev
	$(BIN)/python -m pytest $(LIVE)

test-rest: $(VENV)/.stamp-dev
	nice -n 19 $(BIN)/python -m pytest $(addprefix --ignore=,$(LIVE))

check: $(VENV)/.stamp-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.stamp-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.stamp-dev
	$(BIN)/python -m benchmarks

$(VENV)/.stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than 3.11: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.stamp-run: requirements.lock pyproject.toml | $(VENV)/.stamp-venv
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.stamp-dev: requirements-dev.lock $(VENV)/.stamp-run
	$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

# pynq wants numpy 1, so it lives beside; without it the tests that need it are skipped and say so.
pynq: .venv-pynq/.stamp

.venv-pynq/.stamp: requirements-pynq.lock
	$(PYTHON) -m venv .venv-pynq
	.venv-pynq/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements-pynq.lock
	@touch $@

# The lock files name versions and hashes only, never where to fetch them.
COMPILE = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet --upgrade
lock: $(VENV)/.stamp-venv
	$(PIP) install uv
	echo hatchling | $(COMPILE) pyproject.toml - -o requirements.lock
	echo hatchling | $(COMPILE) pyproject.toml - -c requirements.lock --extra dev -o requirements-dev.lock
	printf 'msgspec>=0.19\npynq==4.0.0\nverilator>=5.48\n' | $(COMPILE) - -o requirements-pynq.lock

clean:
	rm -rf $(VENV) .venv-pynq dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
