# make run and make test set themselves up: they need Python 3.11 to 3.14 with pip, and nothing else.

PYTHON     ?= python3
VENV       ?= .venv
PAGES_PORT ?= 8080
API_PORT   ?= 8000
AWS_PORT   ?= 4566
STAGE      ?= dev
RUNS       ?= 3000
ROUNDS     ?= 200
MINUTES    ?= 10
DATA       ?= data

BIN        := $(VENV)/bin
# What running needs is installed into the environment first, what development needs on top of it.
INSTALLED  := $(VENV)/.installed
TO_RUN     := $(VENV)/.to-run
TO_DEVELOP := $(VENV)/.to-develop
PIP         = $(PYTHON) -m pip --python $(BIN)/python --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help run test test-fast deploy undeploy fuzz soak bench redrive openapi docs screenshots lock check format clean

help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

run: $(TO_RUN) ## run the whole service on this machine; FRESH=1 forgets who is registered
	@$(BIN)/faces run --port $(AWS_PORT) --api-port $(API_PORT) --pages-port $(PAGES_PORT) --data '$(DATA)' $(if $(filter-out 0,$(FRESH)),--fresh) $(if $(filter-out 0,$(OPEN)),--open)

IN_PARALLEL = -n auto --maxprocesses 4 --dist loadfile

# The rules of the code, its units, documents and pages, and real people registered and verified.
FAST = tests/unit tests/docs tests/web tests/integration/test_register.py tests/integration/test_verify.py
FAST_OF_LOCALAWS = tests/test_policies.py tests/test_post_policy.py tests/rekognition/test_protocol.py

test-fast: $(TO_DEVELOP) ## run the tests that answer within a minute
	@cd localaws && $(abspath $(BIN))/python -m pytest -q $(IN_PARALLEL) $(FAST_OF_LOCALAWS)
	@$(BIN)/python -m pytest -q $(IN_PARALLEL) $(FAST)

test: $(TO_DEVELOP) ## run every test
	@$(if $(PYTEST_ARGS),,cd localaws && $(abspath $(BIN))/python -m pytest $(IN_PARALLEL))
	@$(BIN)/python -m pytest $(IN_PARALLEL) $(PYTEST_ARGS)

# A deploy keeps these options in .chalice/config.json; docs/deployment.md describes them.
DEPLOY = $(if $(AUTH),--auth '$(AUTH)') $(if $(OPEN_TO_ALL),--open-to-all) \
         $(if $(CORS_ORIGIN),--cors-origin '$(CORS_ORIGIN)') $(if $(ROLE_ARN),--role-arn '$(ROLE_ARN)') \
         $(if $(DATA_STACK),--data-stack '$(DATA_STACK)') $(if $(ALARM_EMAIL),--alarm-email '$(ALARM_EMAIL)') \
         $(if $(FORGET_AFTER_DAYS),--forget-after-days '$(FORGET_AFTER_DAYS)') \
         $(if $(WITHOUT),--without '$(WITHOUT)')

deploy: $(TO_RUN) ## deploy to AWS: make deploy STAGE=prod
	@$(BIN)/faces deploy --stage $(STAGE) $(DEPLOY)

undeploy: $(TO_RUN) ## remove a stage from AWS, and leave its data: make undeploy STAGE=prod
	@$(BIN)/faces undeploy --stage $(STAGE) $(if $(DELETE_DATA),--delete-data) $(if $(CONFIRM),--confirm '$(CONFIRM)')

fuzz: $(TO_DEVELOP) ## try a million inputs and, for MINUTES, requests to all ports: is each answered as it should be?
	@FUZZ_EXAMPLES=6000 FUZZ_SECONDS=$$(( $(MINUTES) * 60 )) $(BIN)/python -m pytest -s tests/contract/test_fuzz.py tests/contract/test_specification.py
	@$(BIN)/python -m bench.fuzz --minutes $(MINUTES)

soak: $(TO_DEVELOP) ## try thousands of histories with faults, and kills: does all end in agreement?
	@CONVERGENCE_RUNS=$(RUNS) $(BIN)/python -m pytest tests/integration/test_convergence.py
	@$(BIN)/python -m bench.killed --rounds $(ROUNDS)

bench: $(TO_DEVELOP) ## measure everything: make bench PHOTOS=DIR, a folder per person
	@$(BIN)/python -m bench.report --photos '$(PHOTOS)'

redrive: $(TO_RUN) ## give failed events back to their functions
	@$(BIN)/faces redrive --stage $(STAGE)

openapi: $(TO_DEVELOP) ## write docs/openapi.json and docs/api.html again
	@$(BIN)/python -m facial_recognition.specification

docs: $(TO_DEVELOP) ## build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

screenshots: $(TO_DEVELOP) ## make docs/screenshots again; needs Chromium
	@PYTHONPATH=localaws/tests $(BIN)/python -m tests.browser.screenshots

check: $(TO_DEVELOP) ## lint and check types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(TO_DEVELOP) ## format the code
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

clean: ## remove what was installed and cached
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache

LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
       --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)

lock: $(TO_DEVELOP) ## pin all packages with hashes, from requirements/*.in; UPGRADE=1 takes newer ones
	@$(LOCK) --output-file requirements.txt requirements/lambda.in
	@$(LOCK) --output-file requirements/run.txt requirements/run.in
	@$(LOCK) --output-file requirements/dev.txt requirements/dev.in

# pip comes from outside the environment, since not every Python can put one into it.
$(INSTALLED): requirements/run.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: there is no $(PYTHON); install Python 3.11 or newer, or name one: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"error: Python 3.11 or newer is needed, this one is {v[0]}.{v[1]}; name another: make PYTHON=...")'
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || { echo "error: $(PYTHON) has no pip; install it (Debian: apt-get install python3-pip)" >&2; exit 1; }
	@echo "installing into $(VENV) ..."
	@$(PYTHON) -m venv --without-pip --clear $(VENV)
	@$(PIP) install --require-hashes -r requirements/run.txt
	@touch $@

$(TO_RUN): $(INSTALLED) pyproject.toml localaws/pyproject.toml
	@$(PIP) install --quiet --no-deps -e . -e localaws
	@touch $@

$(TO_DEVELOP): $(TO_RUN) requirements/dev.txt
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@# It comes with mkdocs, which needs it only to serve. With it there, chalice local begins anew
	@# whenever any file is so much as opened, those of its own environment too.
	@$(PIP) uninstall --yes --quiet watchdog
	@touch $@
