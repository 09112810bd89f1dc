# Everything is done in .venv, which `make` builds itself: Python 3.11+ and make are all it needs.
# Another Python: make PYTHON=/path/to/python3.12 demo

VENV := .venv
BIN := $(VENV)/bin
LOCKS := deploy/locks
INSTALLER := $(VENV)/.installer
DEMO := $(VENV)/.demo
DEV := $(VENV)/.dev
# The development environment holds all that the demo needs: once it is there, the demo uses it.
RUNTIME := $(if $(wildcard $(DEV)),$(DEV),$(DEMO))
DEMO_ARGS ?=
BENCH_ARGS ?=
# Three for two cores, since many tests wait for a server or a clock; the long files first, as they are listed.
TEST_ARGS ?= -n 3 --dist loadfile --no-loadscope-reorder

# Demo and tests start hundreds of processes: what Python compiles is kept for the next.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test lint bench proto lock clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST)

demo: $(RUNTIME) ## replay a week of real purchases, settle each day, verify it all (DEMO_ARGS="--weeks 4")
	@$(BIN)/pointclear demo $(DEMO_ARGS)

test: $(DEV) ## run the tests
	@$(BIN)/pytest $(TEST_ARGS) tests

lint: $(DEV) ## style, types, import direction, protos, generated code current
	@.ci/lint

bench: $(DEV) ## measure, and write bench-out/results.json
	@$(BIN)/python -m tests.bench $(BENCH_ARGS)

proto: $(DEV) ## generate Python code beside the .proto files, and docs/errors.md
	@.ci/generate proto docs/errors.md

lock: $(INSTALLER) ## resolve the newest allowed dependencies into deploy/locks
	@mkdir -p $(LOCKS)
	$(COMPILE) --group install -o $(LOCKS)/install.txt
	$(COMPILE) pyproject.toml --all-extras --group dev -o $(LOCKS)/dev.txt
	$(COMPILE) pyproject.toml --all-extras --group build --constraint $(LOCKS)/dev.txt -o $(LOCKS)/demo.txt

clean: ## remove whatever make made, .venv included
	rm -rf $(VENV) demo-out bench-out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf .import_linter_cache docs/examples/node-brand/node_modules
	find adapters docs exchange partners proto settlement tests -name __pycache__ -prune -exec rm -rf {} +

# Neither hosts nor paths are written into the locks. The constraint keeps what demo and dev share at one version.
COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --upgrade --no-annotate \
	--python-version 3.11 --custom-compile-command "make lock"

# --- .venv -----------------------------------------------------------------------------------------------------

# The first Python 3.11+ that can make virtual environments, else the first 3.11+, else nothing.
FIND_PYTHON = for need in 'import ensurepip, venv' 'pass'; do \
	for candidate in python3 python3.14 python3.13 python3.12 python3.11; do \
	if $$candidate -c "import sys; assert sys.version_info >= (3, 11); $$need" 2>/dev/null; \
	then echo $$candidate; exit; fi; done; done
PYTHON ?= $(shell $(FIND_PYTHON))
CAN = $(shell $(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11); $(1)' 2>/dev/null && echo yes)
REQUIRE_PYTHON = \
	$(if $(PYTHON),,$(error Python 3.11 or newer is needed and was not found: install it, or name it with make PYTHON=/path/to/python3))\
	$(if $(call CAN,pass),,$(error $(PYTHON) is not a working Python 3.11 or newer: name another with make PYTHON=/path/to/python3))\
	$(if $(call CAN,import ensurepip),,$(error $(PYTHON) lacks ensurepip, so it cannot make .venv: install it (Debian, Ubuntu: apt-get install python3-venv) or name another with make PYTHON=/path/to/python3))

# uv installs in seconds what takes pip a minute. pip installs uv, and stands in where uv cannot reach the index
# (uv does not read pip's configuration).
$(INSTALLER): $(wildcard $(LOCKS)/install.txt)
	$(REQUIRE_PYTHON)@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "Preparing $(VENV) ..."
	@$(PIP) $(if $^,--require-hashes -r $<,uv) || echo "uv is not to be had here"
	@touch $@

$(DEMO): $(INSTALLER) $(LOCKS)/demo.txt pyproject.toml
	$(call INSTALL,$(LOCKS)/demo.txt)
	@touch $@

$(DEV): $(INSTALLER) $(LOCKS)/dev.txt pyproject.toml
	@rm -f $(DEMO)
	$(call INSTALL,$(LOCKS)/dev.txt)
	@touch $@

PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
UV = $(BIN)/uv pip --quiet
define INSTALL
@echo "Installing $(1) into $(VENV) ..."
@$(UV) sync --python $(BIN)/python --require-hashes $(1) \
	|| { echo "uv could not: pip installs instead, which takes a minute"; $(PIP) --require-hashes -r $(1); }
@$(PIP) --no-deps --no-build-isolation --editable .
endef
