# make run     the whole board, ends with the path of the report
# make test    the tests
# make slow    the tests that take longest, and campaigns
# make torture half an hour of kills, full disks and damaged files; ends with a table of what was survived
# make clusters a Slurm and a Ray of two hosts on this machine, disturbed; installs no Slurm, but says what is missing
# make test-latest  the tests, with the newest dependencies that pyproject.toml allows, in an environment of their own
# make lint    style, types and which way imports go
# make docs    the documentation as a site, in site/; a dead link fails
# Needs Python 3.11 or newer, make and git; makes .venv first when it is missing.

PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Many small processes: more threads than that only get in each other's way.
export OMP_NUM_THREADS ?= 1
# Nor is each to compile all modules anew, half a second a time, where this is set as it often is in containers.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test test-latest slow torture clusters lint docs

run: .venv/installed
	@$(BIN)/dartsboard sweep
	@echo "report: $(CURDIR)/reports/generated/report.html"

test: .venv/installed
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

# torch and torchvision stay at their tested versions: they must match each other, and a newer torch from another index
# would bring gigabytes of CUDA libraries.
LATEST := .cache/latest
test-latest: export PATH := $(CURDIR)/$(LATEST)/bin:$(PATH)
test-latest:
	$(PYTHON) -m venv --clear $(LATEST)
	grep -E "^(torch|torchvision)==" constraints.txt > $(LATEST)/kept.txt
	$(LATEST)/bin/python -m pip install --quiet --upgrade -c $(LATEST)/kept.txt -e ".[dev]"
	$(LATEST)/bin/python -m pip list
	$(LATEST)/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder

slow: .venv/installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[ray]"
	$(BIN)/pytest -m slow

torture: .venv/installed
	$(BIN)/python -m tests.faults.torture --minutes 30

# Slurm is Debian's (apt-get install slurm-wlm munge); two hosts need root.
clusters: .venv/installed
	$(BIN)/python -m benchmarks.clusters

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/installed
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo "documentation: $(CURDIR)/site/index.html"

# An environment names the folder that it was made in; in one that was moved or copied it is made anew.
MOVED := $(shell test ! -e .venv/installed || grep -qF "$$(pwd -P)/.venv" .venv/pyvenv.cfg || echo moved)
.PHONY: moved

.venv/installed: constraints.txt pyproject.toml $(MOVED)
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	@touch $@
