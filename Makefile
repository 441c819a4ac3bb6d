# Two commands matter: `make demo` and `make test`. Each makes .venv ready by itself.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Compiled modules are kept, whatever the shell says: hundreds of processes of the tests import the same package.
export PYTHONDONTWRITEBYTECODE :=

VENV ?= .venv
PY := $(VENV)/bin/python
SOURCES := Backend FastBackend SimpleBackend client tests scripts
# Three workers on two cores: most tests wait for children and servers, which take free ports. The files of the
# long tests come first by name; pytest-xdist's own order, by the number of tests, would leave them to the end.
PYTEST := $(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder

##@ The two commands

# Make exports what stands on its command line; the demo reads it there.
.PHONY: demo
demo: venv ## Train a small LoRA end to end on this machine [MODEL= ARCH= DATASET= TRAINER= STEPS= OUT= CONSOLE=1]
	@$(PY) -m lorapod.client.demo $(ARGS)

CHECKS := format lint types layers docs-check

.PHONY: test
test: venv ## Everything that CI checks: first the checks, two at a time, then the tests
	@$(MAKE) -j 2 --output-sync=target $(CHECKS) collected \
		|| { printf '\nA check failed: see above. Again alone: make %s\n' 'NAME ($(CHECKS))'; exit 1; }
	@printf '\n== tests\n'
	@$(MAKE) tests || { printf '\n== The tests failed; again alone: make tests\n'; exit 1; }

##@ The stages of `make test`

.PHONY: format
format: venv ## Is the code formatted? (`make fmt` does it)
	@$(PY) -m ruff format --check $(SOURCES)

.PHONY: lint
lint: venv ## ruff on the Python, shellcheck on the shell, hadolint on the Dockerfile
	@$(PY) -m ruff check $(SOURCES)
	@$(VENV)/bin/shellcheck .ci/run startup.sh scripts/*.sh
	@$(VENV)/bin/hadolint Dockerfile

.PHONY: types
types: venv ## mypy --strict
	@$(PY) -m mypy

.PHONY: layers
layers: venv ## Who may import whom (import-linter)
	@$(VENV)/bin/lint-imports --no-logo

.PHONY: docs-check
docs-check: venv ## Is docs/reference what the code's models say? (`make docs` writes it)
	@$(PY) scripts/reference.py --check

# pytest compiles each test file with its asserts rewritten: once here, beside the checks, not once in each of its processes.
.PHONY: collected
collected: venv
	@[ -n "$$(find tests/unit -name '*-pytest-*.pyc' -print -quit)" ] || $(PY) -m pytest --collect-only -qq tests >/dev/null

.PHONY: tests
tests: venv servers ## Unit, contract, integration and acceptance tests [ARGS=]
	@$(PYTEST) tests --ignore=tests/benchmarks --ignore=tests/images $(ARGS)

##@ Parts and upkeep

.PHONY: unit contract integration acceptance
unit: venv ## The unit tests alone [ARGS=]
	@$(PYTEST) tests/unit $(ARGS)
contract: venv servers ## The contract suites, each against the fake and every real adapter [ARGS=]
	@$(PYTEST) tests/contract $(ARGS)
integration: venv servers ## Real children, servers and sockets [ARGS=]
	@$(PYTEST) tests/integration $(ARGS)
acceptance: venv ## What a user sees, through the real worker loop [ARGS=]
	@$(PYTEST) tests/acceptance $(ARGS)

.PHONY: bench
bench: venv servers ## Measure speed and memory against the bounds in tests/benchmarks; write docs/benchmarks.md [ARGS=]
	@status=0; $(PY) -m pytest tests/benchmarks -m benchmark --results docs/benchmarks.json $(ARGS) || status=$$?; \
		$(PY) scripts/benchmarks.py; exit $$status

.PHONY: image-test
image-test: venv ## Build the images without a container engine, start them and train in one (as root) [ARGS=]
	@bash scripts/image-tools.sh
	@$(PY) -m pytest tests/images -m image $(ARGS)

.PHONY: chaos
chaos: venv ## Kill, stop and freeze workers under a crowd of callers [CHAOS_TRAININGS= CHAOS_WORKERS= CHAOS_SEED=]
	@CHAOS_TRAININGS="$${CHAOS_TRAININGS:-30}" CHAOS_WORKERS="$${CHAOS_WORKERS:-3}" \
		$(PY) -m pytest tests/chaos -s --show-capture=no $(ARGS)

.PHONY: fmt
fmt: venv ## Format, and repair what ruff can
	@$(PY) -m ruff format $(SOURCES)
	@$(PY) -m ruff check --fix $(SOURCES)

.PHONY: docs
docs: venv ## Write docs/reference from the code's models
	@$(PY) scripts/reference.py --write

.PHONY: site
site: venv ## Build the documentation as a site in site/ (`make site ARGS=--help`: options of mkdocs)
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet $(ARGS)
	@printf 'Look at it: %s -m http.server --directory site, then http://127.0.0.1:8000\n' '$(PY)'

.PHONY: venv
venv: ## Make .venv ready (does nothing when it is) [PYTHON=]
	@VENV='$(VENV)' PYTHON='$(PYTHON)' bash scripts/venv.sh

.PHONY: servers
servers: ## Install the servers and the browser that tests start (does nothing when they are there)
	@bash scripts/test-servers.sh

.PHONY: lock
lock: venv ## Add to the lock files what pyproject.toml asks anew [ARGS=--upgrade: every package at its newest]
	@$(PY) scripts/lock.py $(ARGS)

.PHONY: release audit sbom release-version
release: venv ## Build both distributions into dist/, installed and checked, with SBOM and checksums [ARGS=--no-audit]
	@$(PY) scripts/release.py all $(ARGS)
audit: venv ## Ask for known vulnerabilities of the pinned packages; says so if nobody answers [ARGS=]
	@$(PY) scripts/release.py audit $(ARGS)
sbom: venv ## Write the list of components (CycloneDX) of the lock files into dist/
	@$(PY) scripts/release.py sbom
release-version: venv ## Make a version of what is unreleased in CHANGELOG.md [VERSION=]
	@$(PY) scripts/release.py version '$(VERSION)'

.PHONY: clean
clean: ## Remove .venv and every cache
	@rm -rf '$(VENV)' build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
