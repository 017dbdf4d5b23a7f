# Two commands matter to a newcomer: `make demo` and `make test`. Both make .venv and install what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONNOUSERSITE := 1
# Every branch of these is tested (tests/conftest.py). Only they are measured: tracing the rest would nearly double the time.
ROOMS := protocols.ring protocols.noise protocols.secagg node.gate node.disclosure node.ledger node.policy

.PHONY: demo test check bench audit docs requirements wheelhouse clean

demo: $(VENV)/demo.stamp ## six synthetic cities, one study, a report in Chinese and English
	$(BIN)/hpfed-simulate demo --out demo

test: $(VENV)/test.stamp check ## everything that CI runs
	$(BIN)/python -m pytest -n 3 --no-loadscope-reorder $(ROOMS:%=--cov=%) --cov-report= --whole-branches -m "not slow" tests

check: $(VENV)/test.stamp ## format, lint, types, import contracts, generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python docs/generate.py --check
	$(BIN)/python -m pip --disable-pip-version-check check

bench: $(VENV)/bench.stamp ## benchmarks beside their peers, measured in one run (installs the peers)
	$(BIN)/hpfed-simulate bench

audit: $(VENV)/demo.stamp ## what a city's reviewer reads, with line counts and digests
	$(BIN)/python docs/generate.py --audit

docs: $(VENV)/demo.stamp ## regenerate the generated pages
	$(BIN)/python docs/generate.py

requirements: ## recompile the pinned requirements from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --no-annotate pyproject.toml --constraint requirements/build.in requirements/build.in -o requirements/demo.txt
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --no-annotate pyproject.toml --extra test --extra flower requirements/build.in --constraint requirements/demo.txt -o requirements/test.txt
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --no-annotate pyproject.toml --extra test --extra flower --extra databases requirements/build.in --constraint requirements/test.txt -o requirements/all.txt
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --no-annotate pyproject.toml --extra flower --extra databases --constraint requirements/all.txt -o requirements/node.txt
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --no-annotate pyproject.toml --extra flower --constraint requirements/all.txt -o requirements/coordinator.txt
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --no-annotate pyproject.toml --extra simulation --constraint requirements/all.txt -o requirements/simulation.txt

wheelhouse: $(VENV)/demo.stamp ## every wheel for a machine without an index, x86_64 and aarch64, glibc 2.28 (in build/wheelhouse)
	$(BIN)/python requirements/wheelhouse.py build/wheelhouse

clean:
	rm -rf $(VENV) demo build bench

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: requirements/demo.txt pyproject.toml requirements/install.py | $(VENV)/bin/python
	@test -e $(VENV)/test.stamp -a $(VENV)/test.stamp -nt requirements/test.txt || $(BIN)/python requirements/install.py requirements/demo.txt
	@touch $@

$(VENV)/test.stamp: requirements/test.txt pyproject.toml requirements/install.py | $(VENV)/bin/python
	@$(BIN)/python requirements/install.py requirements/test.txt
	@touch $@ $(VENV)/demo.stamp

$(VENV)/bench.stamp: requirements/all.txt pyproject.toml requirements/install.py | $(VENV)/bin/python
	@$(BIN)/python requirements/install.py requirements/all.txt
	@touch $@ $(VENV)/test.stamp $(VENV)/demo.stamp
