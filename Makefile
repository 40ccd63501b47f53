# make demo · make demo-check · make test · make check · make bench · make soak · make lock
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
STAMP := .venv/.installed
export PYTHONUNBUFFERED := 1

help:  ## What can be made here
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/ —/'

$(STAMP): requirements-dev.txt
	@test -d .venv || python3 -m venv .venv
	@echo "Installing the locked requirements (a minute or so the first time)…"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

install: $(STAMP)  ## Create .venv and install the lock

demo: $(STAMP)  ## Start everything on this machine and play a story through a real SDK
	@$(PYTHON) -m lifecycle.demo

demo-check: $(STAMP)  ## The same story, checked row by row, then stopped
	@$(PYTHON) -m lifecycle.demo --check

test: $(STAMP)  ## The whole suite, on SQLite and on PostgreSQL
	@PYTHON=$(PYTHON) bash .ci/test

check: $(STAMP)  ## Lint, types, migrations, settings, templates, architecture
	@PYTHON=$(PYTHON) bash .ci/check

bench: $(STAMP)  ## Speed, as ratios taken in one interleaved run
	@$(PYTHON) -m tests.bench $(ROWS)

soak: $(STAMP)  ## The long storms that CI leaves out
	@PYTHON=$(PYTHON) bash .ci/soak

lock: $(STAMP)  ## Resolve requirements*.in into the hash-pinned locks (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header requirements.in -o requirements.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header requirements-dev.in -o requirements-dev.txt

.PHONY: help install demo demo-check test check bench soak lock
