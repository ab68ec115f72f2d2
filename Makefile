# Every target works on a fresh Debian with python3 (3.11+), python3-venv, ca-certificates and make, and nothing else.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
HOME_DIR ?= home
JOBS   ?= 2
PYTEST  = $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help setup demo up check test soak bench lint types contracts fast format lock packages clean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '  make %-9s %s\n' "$$name" "$$text"; done

setup: $(VENV)/.ready ## Prepare .venv from the lock, with hashes; nothing outside this folder changes

$(VENV)/.ready: requirements/dev.txt pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh scripts/setup.sh

$(VENV)/interop/.ready: $(VENV)/.ready requirements/interop.txt scripts/interop.sh
	@VENV="$(VENV)" sh scripts/interop.sh

demo: setup ## Play the story: a real CA, gateway, broker, devices and impostors, under a minute
	@$(BIN)/troth demo

up: setup ## Make a home in ./home if there is none, and run everything
	@$(BIN)/troth init --home $(HOME_DIR) --name localhost --public-url http://localhost:8080
	@$(BIN)/troth up --home $(HOME_DIR)

check: setup ## Lint, types, import contracts and the fast tests, side by side: under a minute
	@$(MAKE) --no-print-directory -j4 --output-sync=target lint types contracts fast

fast: setup
	@$(PYTEST) tests/unit tests/repo -q -n $(JOBS) -m "not slow and not soak" --hypothesis-profile quick

lint: setup
	@$(BIN)/ruff check -q . && $(BIN)/ruff format -q --check .

types: setup
	@$(BIN)/mypy

contracts: setup
	@$(BIN)/lint-imports --config importlinter.ini --no-cache

test: setup packages $(VENV)/interop/.ready ## Everything but the soak; as root with APT=1 or CI=true it installs the system programs it needs
	@$(PYTEST) tests -q -n $(JOBS) -m "not soak"

soak: setup packages $(VENV)/interop/.ready ## What is too long for `make test`
	@$(PYTEST) tests -q -m soak --timeout 1800

packages:
	@sh scripts/packages.sh tests/system-packages.txt

bench: setup packages ## Measure beside Mosquitto, NATS and other policy engines in the same run and print ratios
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input \
	    --require-hashes --only-binary :all: -r requirements/bench.txt
	@$(BIN)/python -m bench
	@$(BIN)/python -m bench.policy

format: setup ## Format and mend what can be mended without thought
	@$(BIN)/ruff check -q --fix . ; $(BIN)/ruff format -q .

lock: setup ## Remake the locks (maintainers; needs uv on PATH)
	@sh scripts/lock.sh

clean: ## Remove what was made here, the home excepted
	@rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis build dist
