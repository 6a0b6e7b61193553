# Everything runs in .venv, made on first use from nothing but Python, pip and git. `make` lists the targets.
# Variables: PYTHON (3.11 or newer), TORCH_INDEX (where torch comes from), FEATURES; DATA and OUT reach the demo's script.

PYTHON ?= python3
TORCH_INDEX ?=
PY := .venv/bin/python
# uv is many times faster, but takes the CUDA build of torch unless a folder of wheels says otherwise. Like pip it compiles what it installs, without
# which every start takes seconds longer where Python may not write bytecode.
UV := $(if $(UV_FIND_LINKS),$(shell command -v uv))
PIP := $(if $(UV),uv pip install --compile-bytecode --python $(PY),$(PY) -m pip install --disable-pip-version-check)
BASE := .venv/.base-installed
DEV := .venv/.dev-installed
CHECKS := test lint types bench

.PHONY: help demo $(CHECKS) clean
.DELETE_ON_ERROR:

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-6s %s\n", $$1, $$2}' Makefile

# Together with a check the demo waits for the second installation too: pip must not work beneath its feet.
demo: $(if $(filter $(CHECKS),$(MAKECMDGOALS)),$(DEV),$(BASE))  ## the whole story on a toy kitchen, or on DATA=folder (OUT=folder for the results)
	@PATH="$$PWD/.venv/bin:$$PATH" bash scripts/demo.sh

test: $(DEV)  ## lint, types and all tests
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check
	@$(PY) -m mypy
	@$(PY) -m pytest -n 2

lint: $(DEV)  ## repair style and format
	@$(PY) -m ruff check --fix
	@$(PY) -m ruff format

types: $(DEV)  ## check the types
	@$(PY) -m mypy

bench: $(DEV)  ## every benchmark, each with the ratio it prints (FEATURES=folder for those of training)
	@set -e; for name in cca evaluation extraction index; do echo "== benchmarks/$$name.py"; $(PY) benchmarks/$$name.py; done
ifdef FEATURES
	@set -e; for name in deep_cca training; do echo "== benchmarks/$$name.py"; $(PY) benchmarks/$$name.py "$(FEATURES)"; done
else
	@echo "deep_cca and training: need FEATURES=folder, made by savor features --patches --tokens"
endif

clean:  ## remove the environment, caches and built packages; results in out/ stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find src tests benchmarks scripts -name __pycache__ -type d -exec rm -rf {} +

# A stamp is written last, so that an interrupted installation is taken up again.
$(BASE): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Savor needs Python 3.11 or newer; name one, for example: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv .venv || $(PYTHON) -m venv --clear .venv
	@echo "Installing Savor into .venv (once; some minutes, most of them torch)"
	@$(if $(TORCH_INDEX),$(PIP) -c constraints.txt --index-url "$(TORCH_INDEX)" torch)
	@$(PIP) -c constraints.txt -e .
	@touch $@

$(DEV): $(BASE)
	@echo "Installing the tools for checks into .venv (once)"
	@$(PIP) -c constraints.txt -e ".[dev]"
	@touch $@
