# The verbs for people, hooks and CI alike. `make install` runs by itself when pyproject.toml changed.
PYTHON ?= python3
BIN := .venv/bin
MUSIC ?=
EMOTIFY ?=
LABELS ?=
SCORE ?=
RUNS ?= runs/frameworks_debian

.PHONY: install demo test check format bench bench-recommend bench-frameworks clean

install: .venv/installed

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	@echo "installing mirclr and its development tools into .venv (a few minutes the first time)"
	$(BIN)/python -m pip install --quiet --editable ".[all,dev]"
	@touch $@

demo: install
	$(BIN)/mirclr demo $(if $(MUSIC),--music "$(MUSIC)")

test: install
	$(BIN)/python -m pytest

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy mirclr
	$(BIN)/lint-imports --no-cache

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install
	$(BIN)/python -m tests.benchmarks

# what needs labelled music takes it from the folder EMOTIFY; a million synthetic tracks take some 10 GB of disk and memory
bench-recommend: install
	MIRCLR_EMOTIFY="$(EMOTIFY)" $(BIN)/python -m tests.benchmarks latency hubs duplicates $(if $(EMOTIFY),personal)

# MUSIC and LABELS: labelled music that is never trained on; hours on two cores, resumed where it was stopped
bench-frameworks: install
	PYTHON=$(BIN)/python recipes/frameworks_debian/run.sh "$(RUNS)" --music "$(MUSIC)" --labels "$(LABELS)" \
		$(if $(SCORE),--score "$(SCORE)")

clean:
	rm -rf .venv dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
