# make run and make test set themselves up: they need Python 3.11 or newer with pip, and nothing else.

PYTHON     ?= python3
VENV       ?= .venv
PAGES_PORT ?= 8080
API_PORT   ?= 8000
AWS_PORT   ?= 4566
STAGE      ?= dev
RUNS       ?= 3000
DATA       ?= data

BIN       := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help run test soak redrive screenshots check format clean

help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

run: $(INSTALLED) ## run the whole service on this machine; FRESH=1 forgets who is registered
	@$(BIN)/python -m localaws --port $(AWS_PORT) --api-port $(API_PORT) --pages-port $(PAGES_PORT) --data '$(DATA)' $(if $(filter-out 0,$(FRESH)),--fresh)

test: $(INSTALLED) ## run every test
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

soak: $(INSTALLED) ## try thousands of histories with faults: does all end in agreement?
	@CONVERGENCE_RUNS=$(RUNS) $(BIN)/python -m pytest tests/integration/test_convergence.py

redrive: $(INSTALLED) ## put the events that failed through again
	@$(BIN)/python -m infra.redrive --stage $(STAGE)

screenshots: $(INSTALLED) ## make docs/screenshots anew; needs Chromium
	@$(BIN)/python -m tests.browser.screenshots

check: $(INSTALLED) ## lint and check types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(INSTALLED) ## format the code
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

clean: ## remove what was installed and cached
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache

# pip comes from outside the environment, since not every Python can put one into it.
$(INSTALLED): requirements.txt requirements-dev.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: there is no $(PYTHON); install Python 3.11 or newer, or name one: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"error: Python 3.11 or newer is needed, this one is {v[0]}.{v[1]}; name another: make PYTHON=...")'
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || { echo "error: $(PYTHON) has no pip; install it (Debian: apt-get install python3-pip)" >&2; exit 1; }
	@echo "installing into $(VENV) ..."
	@$(PYTHON) -m venv --without-pip --clear $(VENV)
	@$(PYTHON) -m pip --python $(BIN)/python --disable-pip-version-check install -r requirements-dev.txt
	@touch $@
