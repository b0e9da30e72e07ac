# `make demo` and `make test` need Python 3.11+, make and a package index; everything else they set up themselves.
# Another interpreter, in an environment of its own: `make test PYTHON=python3.13 VENV=.venv-3.13`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help .venv demo test test-long check openapi images bench soak clean

help:  ## this list
	@grep -E '^[.a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.venv: $(INSTALLED)  ## the virtual environment with everything in it

# The stamp is written last, so an installation that was broken off is done again.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; name another with PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[postgres,distributed,test,dev]'
	@touch $@

demo: $(INSTALLED)  ## the sample company: load it, rate it, read the mail
	$(BIN)/batchwright demo --folder demo

PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal --durations 15

test: $(INSTALLED)  ## the short suite, on SQLite and on a real PostgreSQL
	$(PYTEST)

test-long: $(INSTALLED)  ## every test, and each as deep as it goes
	$(PYTEST) --long

check: $(INSTALLED)  ## lint, format, types and import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

openapi: $(INSTALLED)  ## docs/openapi.json as the doors of the API are now
	$(BIN)/python -m batchwright.console.api > docs/openapi.json

images: $(INSTALLED)  ## docs/images as the pages of the console are now; needs chromium
	$(BIN)/python -m tests.console.browser.look --manual --to docs/images

bench: $(INSTALLED)  ## records per second against the floor of the database
	$(BIN)/python -m bench

soak: test-long  ## the long tests, then: kills, stops, outages, queues, rival runs, damaged files
	$(BIN)/python -m tests.soak

clean:  ## take away what the other targets made
	rm -rf .venv .venv-* demo dist build .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
