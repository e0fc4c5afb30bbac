# The commands of a working day. Each one makes the environment it needs; none needs an active one.
PYTHON ?= python3
VENV := .venv
# A real wheel (not editable), built as on a machine without a compiler.
PURE := .venv-pure
PYTEST_ARGS ?= -n auto
export OMP_NUM_THREADS := 1

NATIVE_SOURCES := $(shell find native -type f 2>/dev/null)
PYTHON_SOURCES := $(shell find src -type f -not -name '*.pyc' 2>/dev/null)

.PHONY: demo test check lint test-pure bench bugs docs train fuzz mutate clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	@$(VENV)/bin/opentrn demo

# Seconds that `make fuzz` and `make mutate` may take, and where their random numbers begin.
BUDGET ?= 600
SEED ?= 1

# The closing line of the last pytest is the last line of the output.
test: lint $(VENV)/installed-dev
	@echo "== tests, native core if there is a compiler =="
	@if command -v $(CXX) >/dev/null; then $(VENV)/bin/python -c 'import opentrn._native'; fi
	$(VENV)/bin/pytest $(PYTEST_ARGS)
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory test-pure

# Times against published measurements, and pages against what they show. The event loop in Python would take long for the first.
check: $(VENV)/installed-dev # pages show programs of torch and jax
	@echo "== published measurements, generated pages =="
	@if $(VENV)/bin/python -c 'import opentrn._native' 2>/dev/null; \
	  then said=$$($(VENV)/bin/opentrn validate --check) && echo "$$said" | tail -n 1; \
	  else echo "opentrn validate is left out: no native core"; fi
	@$(VENV)/bin/opentrn docs --outputs --check && echo "the pages of docs/ are up to date"
	@$(VENV)/bin/python -m tests.bugs.matrix --check

lint: $(VENV)/installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python
	$(VENV)/bin/lint-imports

test-pure: $(PURE)/installed
	@echo "== tests, pure Python =="
	@$(PURE)/bin/python -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("opentrn._native") is not None)'
	$(PURE)/bin/pytest -m "not slow"

# torch, the reference of exp and gelu, comes with the development tools
bench: $(VENV)/installed-dev
	@$(VENV)/bin/opentrn bench

# Every seeded bug, whether it is caught, and docs/bug-catch.md.
bugs: $(VENV)/installed
	@$(VENV)/bin/python -m tests.bugs.matrix

# Random programs: the native core against the meanings, then the native core under sanitizers.
fuzz: $(VENV)/installed-dev
	@$(VENV)/bin/python -m tests.fuzz --seed $(SEED) --budget $(BUDGET) --verbose
	@$(VENV)/bin/python -m tests.fuzz.sanitize --seed $(SEED) --budget $(BUDGET)

# Correct kernels made wrong: how many of the wrong ones are noticed.
mutate: $(VENV)/installed
	@$(VENV)/bin/python -m tests.mutation --seed $(SEED) --budget $(BUDGET)

# A small transformer learns through the kernels, in PyTorch and in JAX, beside the same on the CPU; docs/training.md shows it.
TRAINED := build/train
train: $(VENV)/installed-dev
	@$(VENV)/bin/python examples/train_gpt.py --out $(TRAINED)/torch
	@$(VENV)/bin/python examples/train_gpt_jax.py --out $(TRAINED)/jax
	@$(VENV)/bin/python examples/training_result.py $(TRAINED) docs
	@echo "curves and reports are in $(TRAINED), the page is docs/training.md"

docs: $(VENV)/installed-dev
	@$(VENV)/bin/opentrn docs

clean:
	rm -rf $(VENV) $(PURE) build dist .hypothesis .import_linter_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian's python3 may come without ensurepip; then the pip beside it puts one into the new environment.
%/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "opentrn needs Python 3.11 or newer as '$(PYTHON)'; name another one with: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv $* >/dev/null || { $(PYTHON) -m venv --clear --without-pip $* && \
	  $(PYTHON) -m pip --python $@ install -q pip; } || \
	  { rm -rf $*; echo "cannot make an environment: install pip or venv for $(PYTHON) (Debian: apt-get install python3-venv)" >&2; exit 1; }

# Editable: a change of a Python file needs no new install.
$(VENV)/installed: pyproject.toml $(NATIVE_SOURCES) | $(VENV)/bin/python
	@echo "installing opentrn into $(VENV) (once; again when pyproject.toml or native/ changes)"
	@$(VENV)/bin/python -m pip install -q -e '.[cli]'
	@touch $@

$(VENV)/installed-dev: pyproject.toml $(VENV)/installed
	@echo "installing the tools for development"
	@$(VENV)/bin/python -c 'import tomllib; extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; \
	  print(*(need for need in extras["test"] + extras["dev"] if not need.startswith("opentrn")), sep="\n")' > $(VENV)/dev.txt
	@$(VENV)/bin/python -m pip install -q -r $(VENV)/dev.txt
	@touch $@

$(PURE)/installed: pyproject.toml $(NATIVE_SOURCES) $(PYTHON_SOURCES) | $(PURE)/bin/python
	@echo "installing opentrn into $(PURE) with no compiler"
	@CC=false CXX=false $(PURE)/bin/python -m pip install -q '.[test]'
	@touch $@
