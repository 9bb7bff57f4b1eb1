# The commands of the README. Each makes what it needs in .venv; PYTHON chooses the interpreter.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install -c constraints.txt -e '.[demo]'

# The last one starts from what digits_ddpm trained.
RECIPES := $(sort $(wildcard recipes/*.yml)) recipes/with_weights/digits_lora.yml
# What `make fast` leaves out: tests that train, check, build or show many files.
LONG := tests/broken tests/schema tests/graph tests/mutants tests/cli/test_schema.py \
  tests/components/test_every_component.py tests/engine/test_resume.py tests/engine/test_store.py tests/trace/test_operations.py tests/test_docs.py tests/test_docs_site.py tests/test_no_skips.py \
  tests/test_package.py tests/test_recipes.py tests/test_traced_recipes.py

.PHONY: demo recipes fast test soak gpu pretended versions bounds lint check

.venv/demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(INSTALL)
	touch $@

# Without a network for npm the tests of the language server are skipped.
.venv/dev: .venv/demo
	$(INSTALL) --group dev
	-$(BIN)/npm install --silent --no-audit --no-fund --prefix .venv/language-server yaml-language-server@1.25.0
	touch $@

demo: .venv/demo
	$(BIN)/artschool train recipes/photo_sr.yml
	$(BIN)/python recipes/photo_sr_report.py

# Every recipe to its end, some minutes each.
recipes: .venv/dev
	test -d data/speech || $(BIN)/python recipes/speech_corpus.py
	set -e; for recipe in $(RECIPES); do echo "== $$recipe"; $(BIN)/artschool train $$recipe; done

fast: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow and not soak and not gpu" $(LONG:%=--ignore=%)

test: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

# What takes too long for every change: several processes, whole runs, compiled networks, an hour of faults at random.
soak: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m soak
	$(BIN)/python benchmarks/faults.py

# What needs a CUDA device, then artschool beside loops written by hand; writes gpu.json.
gpu: .venv/dev
	$(BIN)/python -m pytest -m gpu tests/gpu
	$(BIN)/python benchmarks/gpu.py

# The tests of `gpu` on a CUDA device that does not exist. Needs g++.
pretended: .venv/dev
	$(BIN)/python -m tests.pretended_cuda -n 2 --dist loadfile

# Any of these tests with another torch and Python: make versions TORCH=2.10.0 PYTHON=python3.12 TESTS=tests/engine
TORCH ?= 2.15.0
versions: OTHER := .venv/torch-$(TORCH)
versions:
	$(PYTHON) -m venv $(OTHER)
	$(OTHER)/bin/pip install --quiet torch==$(TORCH) -e '.[demo]' --group test
	OMP_NUM_THREADS=1 $(OTHER)/bin/python -m pytest -n 2 $(TESTS)

# The oldest versions that pyproject.toml allows, of packages and extras; what only tests need is new.
EXTRAS := audio,bitsandbytes,demo,diffusers,kornia,mlflow,notify,onnx,optim,peft,remote,show,sweep,tokenizers,torchao,transformers,video
bounds:
	$(PYTHON) -m venv .venv/bounds
	.venv/bounds/bin/pip install --quiet uv
	.venv/bounds/bin/uv pip install --quiet --python .venv/bounds/bin/python --resolution lowest-direct --override constraints.txt -e '.[$(EXTRAS)]'
	.venv/bounds/bin/uv pip install --quiet --python .venv/bounds/bin/python --group test
	OMP_NUM_THREADS=1 .venv/bounds/bin/python -m pytest -n 2 $(TESTS)

lint: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test

include docs/docs.mk
