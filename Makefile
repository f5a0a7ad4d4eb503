# Everything a contributor needs. `make` alone lists the targets.

PYTHON ?= python3
DEMO_ARGS ?=
TEST_ARGS ?=
BENCH_ARGS ?=

BIN := .venv/bin
CODE := src tests tools deploy

# Checks and tests start many processes: let each of them keep what it has compiled.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long browser check format bench docs lock clean

help: ## list these targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with airback and all it needs in it; quick when nothing changed
	@PYTHON="$(PYTHON)" sh tools/setup.sh

demo: setup ## watch airtime become money (DEMO_ARGS="--once" ends by itself; --help lists more)
	@$(BIN)/airback demo $(DEMO_ARGS)

test: setup ## every check and every test (TEST_ARGS="tests/ledger -k holds" goes to pytest)
	@sh tools/test_machine.sh
	@sh tools/checks.sh --then $(BIN)/python -m pytest -n 2 --dist loadgroup $(TEST_ARGS)

test-long: setup ## fifty seeds of the simulator and every planted bug (within an hour)
	@$(BIN)/python -m pytest -q -m long tests $(TEST_ARGS)

browser: setup ## of these only the tests in a real browser; their pictures stand in tests/screenshots
	@sh tools/test_machine.sh
	@$(BIN)/python -m pytest tests/browser $(TEST_ARGS)

check: setup ## the quick checks before a commit: style, types, layers, house rules
	@sh tools/checks.sh --then $(BIN)/python -m pytest -q tests/house

format: setup ## put the code into the house's form
	@$(BIN)/ruff check --fix $(CODE)
	@$(BIN)/ruff format $(CODE)

bench: setup ## the platform's speed as ratios to this machine's own (BENCH_ARGS="--full --out bench.html")
	@$(BIN)/airback bench $(BENCH_ARGS)

docs: setup ## draw the state diagrams in docs/architecture.md from the transition tables
	@$(BIN)/python tools/draw_states.py

lock: setup ## resolve requirements/*.txt and package-lock.json anew from pyproject.toml and package.json
	@sh tools/lock.sh
	@$(BIN)/python tools/browser_assets.py --lock

clean: ## remove .venv, fetched and built files; data directories stay
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf src/airback/web/static/vendor tests/vendor tests/screenshots
	find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
