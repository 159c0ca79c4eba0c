# Each target is the only command after a clone; `.venv` is made from python3 and pip alone.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test chaos lint constraints clean bench

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

# Jobs, while parts of the service are killed: make chaos RUNS=200 KILLS=60 SEED=7
chaos: install
	$(BIN)/python -m benchmarks.chaos $(if $(RUNS),--runs $(RUNS)) $(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED))

# One of them: make bench ONLY=workspaces
bench: install
	$(BIN)/python -m benchmarks $(ONLY)

# The pinned set, without the name of any index host.
constraints:
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade --all-extras --python-version 3.11 --no-emit-index-url --no-header \
		--no-annotate --output-file constraints.txt pyproject.toml

clean:
	rm -rf .venv build dist
