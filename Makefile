# Needs make and Python >= 3.11. Everything is installed into $(VENV); nothing outside this folder changes.
#   make demo                     make demo ARGS=--quick
#   make lecture                  make lecture ARGS=--quick
#   make test                     make test ARGS="-m slow"
#   make demo PYTHON=python3.13   another interpreter (taken when the environment is created)

VENV ?= .venv
OUT ?= demo
ARGS ?=
# Two test workers on two cores: one thread each. NPROC bounds XLA's pool.
ONE_THREAD := NPROC=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# The first interpreter that runs (a version manager's shim may exist and still fail) and is new enough.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && break; done)

BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo lecture test lint clean

help:
	@echo "make demo   predict and train wide networks on real digits; opens as $(OUT)/index.html (ARGS=--quick: in seconds)"
	@echo "make lecture  test every statement of the lecture; opens as runs/lecture/index.html (ARGS=--quick: in minutes)"
	@echo "make test   the test suite but for the tests marked slow (ARGS is passed to pytest)"
	@echo "make lint   ruff check, ruff format --check, pyright"
	@echo "make clean  remove $(VENV) and every cache; results are kept"

demo: $(VENV)/.installed-cli
	$(BIN)/wideflow compare --out $(OUT) $(ARGS)

lecture: $(VENV)/.installed-cli
	$(BIN)/wideflow lecture $(ARGS)

test: $(VENV)/.installed-dev
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 -m "not slow" $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis build dist
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(VENV)/.installed-cli: pyproject.toml constraints.txt | $(BIN)/python
	$(call install,cli)
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(call install,dev)
	@touch $(VENV)/.installed-cli $@

# uv installs several times faster than pip; where it cannot be had, pip does the same.
define install
@echo "Installing wideflow[$(1)] into $(VENV): one or two minutes the first time, then never again"
@if [ -x $(BIN)/uv ] || $(BIN)/python -m pip install -qq -c constraints.txt uv 2>/dev/null; then \
	$(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python -c constraints.txt -e ".[$(1)]" && exit 0; \
fi; \
echo "uv is not to be had here; installing with pip, which takes longer"; \
$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null; \
$(BIN)/python -m pip install -qq -c constraints.txt -e ".[$(1)]"
endef

$(BIN)/python:
	@python="$(PYTHON)"; \
	if [ -z "$$python" ]; then \
		echo "wideflow needs Python 3.11 or newer with its venv module; python3 here: $$(python3 --version 2>&1 || echo none)."; \
		echo "Install one (Debian, Ubuntu: apt install python3 python3-venv) or name it: make PYTHON=/path/to/python3.12"; \
		exit 1; \
	fi; \
	if ! "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "PYTHON=$$python is not Python 3.11 or newer: $$("$$python" --version 2>&1)"; exit 1; \
	fi; \
	echo "Creating $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$$python could not create $(VENV); on Debian and Ubuntu: apt install python3-venv"; exit 1; }
