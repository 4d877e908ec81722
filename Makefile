# Two commands for a fresh machine: `make run` and `make test`. Each sets up .venv the first time and re-installs nothing later.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run quick test check ui clean

run: .venv/installed
	$(BIN)/toolkit run pipelines/bike_sharing.yaml

quick: .venv/installed
	$(BIN)/toolkit run pipelines/bike_sharing.yaml --quick

test: .venv/installed-test
	$(BIN)/python -m pytest -n auto --dist loadfile

check: .venv/installed-test
	$(BIN)/python -m pip install -q -c constraints.txt ruff
	$(BIN)/ruff check toolkit tests
	$(BIN)/python -m pytest -n auto --dist loadfile

ui: .venv/installed
	$(BIN)/toolkit ui

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; $(PYTHON) is older. Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/installed: setup.cfg pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	@touch $@

.venv/installed-test: setup.cfg pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test]'
	@touch $@ .venv/installed

clean:
	rm -rf .venv build *.egg-info
