# make run     the whole board, ends with the path of the report
# make test    the tests
# make slow    the tests that take longer than a minute each
# make torture half an hour of kills, full disks and damaged files; ends with a table of what was survived
# make lint    style and types
# Needs Python 3.11 or newer, make and git; makes .venv first when it is missing.

PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Many small processes: more threads than that only get in each other's way.
export OMP_NUM_THREADS ?= 1

.PHONY: run test slow torture lint

run: .venv/installed
	@$(BIN)/python -m pipelines.board
	@echo "report: $(CURDIR)/reports/generated/report.html"

test: .venv/installed
	$(BIN)/pytest -n 2 --dist loadfile

slow: .venv/installed
	$(BIN)/pytest -m slow

torture: .venv/installed
	$(BIN)/python -m tests.faults.torture --minutes 30

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/installed: constraints.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	@touch $@
