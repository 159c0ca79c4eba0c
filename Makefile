# Each target is the only command after a clone; `.venv` is made from python3 and pip alone.
PYTHON ?= python3
BIN := .venv/bin
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
# What Python compiles is kept, whatever the shell says: each process of the service would compile it anew.
export PYTHONDONTWRITEBYTECODE :=
NODE_CLIENTS := tests/service/clients/node

.PHONY: install demo test pytest test-long git-walk chaos lint constraints clean bench clients schemas attack scale-test container-test systemd-test docs newcomer

install: .venv/.installed

IS_NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
# One that another Python has left, or whose making was interrupted, would be in the way of the right one.
ifneq ($(wildcard .venv),)
ifneq ($(shell $(BIN)/python $(IS_NEW_ENOUGH) 2> /dev/null && $(BIN)/python -m pip --version > /dev/null 2>&1 && echo good),good)
$(shell rm -rf .venv)
endif
endif

$(BIN)/python:
	@$(PYTHON) $(IS_NEW_ENOUGH) 2> /dev/null || { \
		echo "Python 3.11 or later is needed, and $(PYTHON) is $$($(PYTHON) --version 2>&1 | tail -n 1)." >&2; \
		echo "Install one and name it: make $(or $(MAKECMDGOALS),install) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

# All of it is pinned, so there is nothing to work out, and two processes can install a half each; a newer pip than
# Python's own needs half of its time. Much of it is only imported in part, so nothing is compiled ahead.
define install_pins
	$(BIN)/python $(PIP_INSTALL) 'pip>=25'
	tr '\n' '\0' < $(1) | xargs -0 -P 2 -n $$(($$(wc -l < $(1)) / 2 + 1)) $(BIN)/python $(PIP_INSTALL) --no-compile --no-deps
	$(BIN)/python $(PIP_INSTALL) --no-compile --no-deps -e .
endef

# What the service needs; the rest is for working on it.
.venv/.runs: pyproject.toml requirements.txt | $(BIN)/python
	$(call install_pins,requirements.txt)
	touch $@

.venv/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(call install_pins,constraints.txt)
	touch .venv/.runs $@

# It wants older versions than the rest.
.venv/.instructor: tests/service/clients/programs/requirements.txt | $(BIN)/python
	$(PYTHON) -m venv .venv/instructor
	.venv/instructor/bin/python $(PIP_INSTALL) --no-compile -r tests/service/clients/programs/requirements.txt
	touch $@

demo: .venv/.runs
	$(BIN)/agent-service demo

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Types are checked while the first tests run: that is one process alone.
test: install
	$(MAKE) --jobs=2 lint pytest

# What all processes of the tests import is compiled by one, and not by each of those that begin at once.
pytest: install
	.ci/tools
	$(BIN)/python -c 'import api.server, deployments.standalone.prefect_app'
	TMPDIR="$$(.ci/tmp)" $(BIN)/pytest $(ARGS)

# Every combination of what `make test` has some of.
test-long: install .venv/.instructor
	.ci/tools scale browser
	$(BIN)/pytest -m long $(ARGS)

# Random sequences of what agents do with git, against the truth: make git-walk SEQUENCES=500 SEED=7
git-walk: install
	TMPDIR="$$(.ci/tmp)" GIT_WALK_SEQUENCES=$(or $(SEQUENCES),2000) GIT_WALK_SEED=$(or $(SEED),0) \
		$(BIN)/pytest --numprocesses=0 --capture=no tests/agent/workspaces/test_git_walk.py $(ARGS)

# Jobs, while the service is hurt: make chaos RUNS=200 FAULTS=60 LONGEST=300 SEED=7
chaos: install
	$(BIN)/python -m benchmarks.chaos $(if $(RUNS),--runs $(RUNS)) $(if $(FAULTS),--faults $(FAULTS)) $(if $(LONGEST),--longest $(LONGEST)) $(if $(SEED),--seed $(SEED))

# Several hosts on one Prefect, PostgreSQL and Redis, while hosts go: make scale-test JOBS=200 HOSTS=3
scale-test: install
	.ci/tools scale
	$(BIN)/python -m benchmarks.scale $(if $(JOBS),--jobs $(JOBS)) $(if $(HOSTS),--hosts $(HOSTS)) $(if $(SEED),--seed $(SEED))

# The image, and the topology of the compose file, by a container engine; skipped, with the reason, where none can run.
container-test: install
	.ci/tools container
	$(BIN)/pytest -n0 -m "" tests/deployments/containers/test_container.py tests/deployments/containers/test_compose.py $(ARGS)

# A machine that systemd boots, in a container, with the unit as docs/deploying.md has it.
systemd-test: install
	.ci/tools container
	$(BIN)/pytest -n0 -m "" tests/deployments/containers/test_systemd.py $(ARGS)

# All of BENCHMARKS.md, in some 45 minutes; one part of it: make bench ONLY=latency
bench: install
	$(BIN)/python -m benchmarks $(ONLY)

# each of 300 schemas answered in its form, or refused before a model call
schemas: install
	if command -v npm > /dev/null; then npm ci --prefix $(NODE_CLIENTS) --ignore-scripts --no-audit --no-fund; fi
	$(BIN)/pytest -n0 -s -m long tests/service/clients/test_schemas.py $(ARGS)

clients: install .venv/.instructor
	if command -v npm > /dev/null; then npm ci --prefix $(NODE_CLIENTS) --ignore-scripts --no-audit --no-fund; fi
	$(BIN)/pytest -n0 -m "" -k "not 300_schemas" tests/service/clients --thorough --clients-table docs/clients.md $(ARGS)

# docs/http-api.md, from the service's own OpenAPI document.
docs: .venv/.runs
	$(BIN)/python -m api.reference
	$(BIN)/python -m api.settings_reference

# From a fresh clone to the first answer, by the commands of the README: exit 1 if it takes too long.
newcomer: .venv/.runs
	$(BIN)/python -m benchmarks.newcomer

# A hostile agent tries what it can, in sandboxes and without: exit 1 if something goes through that should be held.
attack: install
	.ci/tools
	$(BIN)/pytest tests/attacks --worlds=both --table=docs/attacks.md --numprocesses=0 --tb=short --quiet $(ARGS)

# The pinned sets, without the name of any index host: constraints.txt has all, requirements.txt what the service runs on.
constraints:
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade --all-extras --python-version 3.11 --no-emit-index-url --no-header \
		--no-annotate --output-file constraints.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --constraint constraints.txt --python-version 3.11 --no-emit-index-url --no-header \
		--no-annotate --output-file requirements.txt pyproject.toml
	echo instructor | $(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --no-emit-index-url --no-header \
		--no-annotate --output-file tests/service/clients/programs/requirements.txt -

clean:
	rm -rf .venv build dist $(NODE_CLIENTS)/node_modules
