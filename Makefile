# Every target sets up what it needs: a virtual environment in .venv, from a lock with hashes. What the program needs
# comes from requirements.lock; the developers' tools, from tests/requirements.lock, only where a target uses them.
# The locks are shown to be whole for Python 3.11 to 3.14; one of these is taken before a later one.
PYTHON ?= $(shell for wanted in '(3, 11) <= version < (3, 15)' '(3, 11) <= version'; do \
	for p in python3 python3.14 python3.13 python3.12 python3.11; do \
		$$p -c "import sys; version = sys.version_info; sys.exit(not ($$wanted))" 2>/dev/null && { echo $$p; exit; }; \
	done; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TOOLS := $(VENV)/.tools
BENCH := .venv-bench
NOTEBOOK := .venv-notebook
DEMO := out/demo
REVIEW := out/review.html
# More than there are processors: many tests wait for a server, and those that take minutes for processes as well.
PROCESSORS := $(shell getconf _NPROCESSORS_ONLN)
WORKERS := $(shell echo $$(($(PROCESSORS) + 1)))
MORE_WORKERS := $(shell echo $$(($(PROCESSORS) * 2)))
# The tests start hundreds of processes: what is compiled once is kept, whatever the surroundings say.
test test-long: export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo notebooks review test test-long lint format lock cassettes docs bench clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(READY)  ## a whole migration offline, from the recorded demo cassette, and a rehearsal of its load
	@rm -rf $(DEMO)
	@$(BIN)/chat-migrate run --replay demo --out $(DEMO)
	@$(BIN)/chat-migrate rehearse $(DEMO)/mapped --snapshot $(DEMO)/snapshot

notebooks: $(NOTEBOOK)/.ready  ## review the demo, or your own data, in JupyterLab
	$(NOTEBOOK)/bin/python -m notebooks.demo $(DEMO)
	$(NOTEBOOK)/bin/jupyter lab notebooks $(if $(filter 0,$(shell id -u)),--allow-root)

review: $(NOTEBOOK)/.ready  ## one page of the notebooks without their code, for whoever signs (REVIEW=FILE)
	$(NOTEBOOK)/bin/python -m notebooks.demo $(DEMO)
	$(NOTEBOOK)/bin/python -m notebooks.export '$(REVIEW)'

test: $(TOOLS)  ## run the tests, with coverage
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal --cov --cov-report=term

test-long: $(TOOLS)  ## run the tests that take minutes: chaos, kills, scale
	$(BIN)/python -m pytest -m long --numprocesses $(MORE_WORKERS) --dist load --maxschedchunk 1

lint: $(TOOLS)  ## lint, formatting, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(TOOLS)  ## apply the formatter and the safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

cassettes: $(TOOLS)  ## record the demo cassette again, from the stand-in; leaves no difference
	$(BIN)/python -m cassettes.record

docs: $(TOOLS)  ## write what is made from the program: pages of docs/, what the notebooks show
	$(BIN)/python -m migrate.report.catalogue > docs/findings.md
	$(BIN)/python -m docs.reference > docs/commands.md
	$(BIN)/python -m docs.picture > docs/demo.svg
	$(BIN)/python -m docs.scale_page
	$(BIN)/python -m notebooks.execute

bench: $(BENCH)/.ready  ## measure each stage beside other ways to do the same
	$(BENCH)/bin/python -m bench.start
	$(BENCH)/bin/python -m bench.extract
	$(BENCH)/bin/python -m bench.map
	$(BENCH)/bin/python -m bench.verify
	$(BENCH)/bin/python -m bench.diff
	$(BENCH)/bin/python -m bench.engine
	$(BENCH)/bin/python -m bench.services
	$(BENCH)/bin/python -m bench.fleet
	$(BENCH)/bin/python -m bench.review
	$(BENCH)/bin/python -m bench.report

COMPILE := uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --custom-compile-command 'make lock' --quiet

lock: $(TOOLS)  ## resolve the pinned versions again (needs uv)
	$(COMPILE) --output-file requirements.lock
	$(COMPILE) --extra dev --constraint requirements.lock --output-file tests/requirements.lock
	$(COMPILE) --extra bench --constraint tests/requirements.lock --output-file bench/requirements.lock
	$(COMPILE) --extra notebook --constraint tests/requirements.lock --output-file notebooks/requirements.lock
	$(BIN)/python -m tests.locks

clean:  ## remove everything that the other targets made
	rm -rf $(VENV) $(BENCH) $(NOTEBOOK) out dist .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Installs exactly what a lock names. --no-deps: nothing is resolved, so no later release and no old resolver has a say;
# tests/test_locks.py shows that a lock leaves nothing out. Wheels alone: to build one would download its build tools.
define pip_install
	$(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
		--require-hashes --requirement $(2)
endef

define install  # a virtual environment, a lock, and this project
	@test -n "$(PYTHON)" || { echo "chat-migrate needs Python 3.11 or newer on the PATH (or: make PYTHON=/path/to/python3)" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(1)
	$(call pip_install,$(1),$(2))
	$(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(1)/.ready
endef

$(READY): requirements.lock pyproject.toml
	$(call install,$(VENV),requirements.lock)

$(TOOLS): tests/requirements.lock $(READY)
	$(call pip_install,$(VENV),tests/requirements.lock)
	@touch $(TOOLS)

$(BENCH)/.ready: bench/requirements.lock pyproject.toml
	$(call install,$(BENCH),bench/requirements.lock)

$(NOTEBOOK)/.ready: notebooks/requirements.lock pyproject.toml
	$(call install,$(NOTEBOOK),notebooks/requirements.lock)
