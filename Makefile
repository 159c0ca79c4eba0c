# Each target is the only command after a clone; `.venv` is made from python3 and pip alone.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test attack lint constraints clean

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: install
	$(BIN)/agent-service demo

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	.ci/tools
	$(BIN)/pytest $(ARGS)

# A hostile agent tries what it can, in cells and without: exit 1 if something goes through that should be held.
attack: install
	.ci/tools
	$(BIN)/pytest tests/attacks --worlds=both --table=docs/attacks.md --numprocesses=0 --tb=short --quiet $(ARGS)

# The pinned set, without the name of any index host.
constraints:
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade --all-extras --python-version 3.11 --no-emit-index-url --no-header \
		--no-annotate --output-file constraints.txt pyproject.toml

clean:
	rm -rf .venv build dist
