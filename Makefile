# `make demo` and `make test` need Python 3.11 or newer, a C compiler and nothing else.

VENV := .venv
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
    $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
    && { echo $$p; break; }; done)
ifeq ($(origin CC),default)
CC := $(shell command -v gcc || command -v clang || command -v cc)
endif
# Given to the demo, to pytest, and to every other program a target runs.
ARGS ?=

BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -q
INSTALL = CC="$(CC)" $(BIN)/python -m pip install --disable-pip-version-check --quiet
SOURCES := setup.py pyproject.toml $(wildcard native/*)
PACKAGE := $(shell find stem_actor -name '*.py')
CRASHPOINTS := build/crashpoints

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench model fault fuzz asan mutants crashpoints toolchain \
    clean

help:
	@echo "make demo   run the main job (ARGS=--chaos kills processes while it runs)"
	@echo "make test   build and run the tests (ARGS goes to pytest)"
	@echo "make lint   ruff, mypy --strict, pyright"
	@echo "make bench  the figures, and the peers beside them"
	@echo "make model  the protocol model: three crashes; three tasks; four workers"
	@echo "make fault  every crash point, the long run"
	@echo "make fuzz   the parsers under a fuzzer, the rings under TSan"
	@echo "make asan   the core tests under ASan and UBSan"
	@echo "make mutants  known bugs put into the core: the tests must find them"
	@echo "make clean  remove what was built"

demo: $(VENV)/installed
	$(BIN)/stem-actor demo $(ARGS)

test: $(VENV)/tested $(CRASHPOINTS)/built
	$(PYTEST) $(ARGS)

lint: $(VENV)/linted
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict stem_actor
	$(BIN)/pyright

bench: $(VENV)/benched
	$(BIN)/python -m bench $(ARGS)

model: $(VENV)/tested
	$(BIN)/python -m tests.model $(ARGS)

fault: $(VENV)/tested $(CRASHPOINTS)/built
	STEM_ACTOR_FAULT=long $(PYTEST) --timeout=0 tests/fault \
	    tests/limits/test_kills.py tests/limits/test_races.py tests/canvas $(ARGS)

fuzz: $(VENV)/tested
	CC="$(CC)" sh tests/native/run_threads.sh tsan
	$(BIN)/python -m tests.fuzz $(ARGS)

# The script builds a variant of its own; the product's extension stays as it is.
asan: $(VENV)/tested
	@if [ -f tests/native/run_asan.sh ]; then \
	    PYTHON="$(abspath $(BIN)/python)" CC="$(CC)" \
	        bash tests/native/run_asan.sh $(ARGS); \
	else echo "asan: there is no tests/native/run_asan.sh yet, nothing ran"; fi

# ARGS: names of mutants, quoted; without, all of them: about half a minute each.
mutants: $(VENV)/tested $(CRASHPOINTS)/built
	$(BIN)/python -m tests.native.mutants $(ARGS)

crashpoints: $(CRASHPOINTS)/built

clean:
	rm -rf $(VENV) .venv-3.* build dist *.egg-info stem_actor/_guardian
	find stem_actor -name '*.so' -delete

toolchain:
	@if [ -z "$(PYTHON)" ]; then \
	    echo "stem_actor: no Python 3.11 or newer found; install one, or run" \
	        "make PYTHON=/path/to/python3.11" >&2; exit 1; fi
	@if ! command -v "$(firstword $(CC))" >/dev/null; then \
	    echo "stem_actor: no C compiler found; install gcc or clang" \
	        "(Debian, Ubuntu: apt install build-essential)" >&2; exit 1; fi

$(BIN)/python: | toolchain
	"$(PYTHON)" -m venv $(VENV)

# A stamp says: this tree is built and installed, with these extras. A change of a
# native source, of setup.py or of pyproject.toml makes every stamp stale.
$(VENV)/installed: $(SOURCES) | $(BIN)/python
	$(INSTALL) --editable .
	@touch $@

$(VENV)/tested: $(SOURCES) | $(BIN)/python
	$(INSTALL) --editable '.[test]'
	@touch $(VENV)/installed $@

$(VENV)/linted: $(SOURCES) | $(BIN)/python
	$(INSTALL) --editable '.[test,lint]'
	@touch $(VENV)/installed $(VENV)/tested $@

$(VENV)/benched: $(SOURCES) | $(BIN)/python
	$(INSTALL) --editable '.[bench]'
	@touch $(VENV)/installed $@

# The whole package once more, with a kill switch at each numbered step: tests put this
# folder first on the path of the processes they mean to kill. Compiled when native
# sources change, copied when anything does.
$(CRASHPOINTS)/built: $(CRASHPOINTS).native/built $(PACKAGE)
	@rm -rf $(CRASHPOINTS)
	@mkdir -p $(CRASHPOINTS)
	@cp -r stem_actor $(CRASHPOINTS)
	@cp -r $(CRASHPOINTS).native/stem_actor $(CRASHPOINTS)
	@touch $@

$(CRASHPOINTS).native/built: $(SOURCES) | $(VENV)/tested
	CC="$(CC)" STEM_ACTOR_BUILD=crashpoints $(BIN)/python setup.py --quiet build_ext \
	    --build-lib $(@D) --build-temp $(@D)/objects
	@touch $@
