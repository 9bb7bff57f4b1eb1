# The commands of the README. Each makes what it needs in .venv; PYTHON chooses the interpreter.
PYTHON ?= python3
BIN := .venv/bin

RECIPES := $(sort $(wildcard recipes/*.yml))

.PHONY: demo recipes test lint check

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -c constraints.txt -e '.[demo,dev]'
	touch $@

demo: .venv/installed
	$(BIN)/artschool train recipes/photo_sr.yml
	$(BIN)/python recipes/photo_sr_report.py

# Every recipe to its end, some minutes each; those of speech need espeak-ng.
recipes: .venv/installed
	test -d data/speech || $(BIN)/python recipes/speech_corpus.py
	set -e; for recipe in $(RECIPES); do echo "== $$recipe"; $(BIN)/artschool train $$recipe; done

test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test
