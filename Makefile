# `make help` lists what there is. Every target that runs something installs first;
# where all is installed already that takes a fraction of a second.

PORT ?= 8000
MODEL ?=
ARGS ?=
PYTEST_ARGS ?=
PYTHON := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup serve test test-long test-clients unit e2e lint types check bench bench-sampler bench-gpu eval lock licenses sbom dist plugin docs docs-build image-cpu image-cuda test-image clean

help: ## This list
	@awk -F ":.*## " '/^[a-z0-9 -]+:.*## / {printf "  make %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install all that is needed into .venv (DEVICE=cpu|cuda; default: what the machine has)
	@deploy/install.sh

serve: setup ## Serve on 127.0.0.1 (PORT=8000 MODEL=<name, folder or hub id> ARGS="…")
	@exec .venv/bin/thinking-server --host 127.0.0.1 --port $(PORT) $(if $(MODEL),--model $(MODEL)) $(ARGS)

# Clients of others: within seconds each. Those for node need it; `make test` says what it left out.
CLIENTS := langchain litellm pydantic-ai instructor llm lm-eval

# The tests on the real engine stay together, in order, in two processes (tests/conftest.py).
SIDE_BY_SIDE := --numprocesses auto --maxprocesses 4 --dist loadgroup

test: setup ## Run the whole suite (PYTEST_ARGS="…")
	@deploy/client-env.sh $(CLIENTS) docs $(if $(shell command -v npm),node)
	@deploy/test-tools.sh
	@deploy/triton.sh
	@$(PYTHON) -m pytest $(SIDE_BY_SIDE) $(PYTEST_ARGS)

test-clients: setup ## Run all clients of others against the real server, leaving out none
	@deploy/client-env.sh $(CLIENTS) openai-agents open-webui node agents curl
	@deploy/test-tools.sh
	@TEST_ALL_CLIENTS=1 $(PYTHON) -m pytest -m sdk $(PYTEST_ARGS)

test-long: setup ## Run the property tests with many more examples: after a change to the sampler, for one
	@deploy/triton.sh
	@$(PYTHON) -m pytest $(SIDE_BY_SIDE) --hypothesis-profile long -m "hypothesis and not e2e" $(PYTEST_ARGS)

unit: setup ## Run the tests that need no engine
	@$(PYTHON) -m pytest $(SIDE_BY_SIDE) -m "not e2e and not sdk and not gpu" $(PYTEST_ARGS)

e2e: setup ## Run the tests on the real engine
	@$(PYTHON) -m pytest -m e2e $(PYTEST_ARGS)

lint: setup ## Style and likely bugs
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .

types: setup ## Static types
	@.venv/bin/mypy

check: lint types test ## Lint, types, tests

bench: setup ## Measure our server beside vLLM's and llama.cpp's (ARGS="--model thinker --loads 1,32")
	@deploy/client-env.sh llama-cpp
	@$(PYTHON) -m benchmarks.serving $(ARGS)

bench-sampler: setup ## Measure a step of the sampler beside vLLM's own
	@$(PYTHON) -m benchmarks.sampler $(ARGS)

bench-gpu: setup ## Measure sampler, engine and server on a GPU, beside vLLM's own (ARGS="--minutes 14")
	@$(PYTHON) -m benchmarks.gpu $(ARGS)

eval: setup ## Show again that thinking pays: all figures of docs/proof.md (ARGS="--only budget")
	@$(PYTHON) -m benchmarks.proof $(ARGS)

lock: ## Resolve pyproject.toml into deploy/requirements/ (ARGS="--upgrade" for newer versions)
	@deploy/lock.sh $(ARGS)

licenses: ## Write the licences of the locked dependencies into deploy/requirements/LICENSES.md
	@deploy/licenses.sh

sbom: ## Write bills of materials (CycloneDX) into dist/
	@deploy/sbom.sh

dist: ## Build wheel and source distribution, with constraints and overrides, into dist/
	@deploy/wheel/build.sh

plugin: ## Build the wheel for a stock vLLM into dist/ (docs/plugin.md)
	@deploy/plugin/build.sh

# It warns of the end of its theme's support: CONTRIBUTING.md has what comes then.
MKDOCS := NO_MKDOCS_2_WARNING=1 .cache/clients/docs/bin/mkdocs
MKDOCS_CONFIG := --config-file deploy/docs/mkdocs.yml --strict

docs: setup ## Serve the documentation on 127.0.0.1 (PORT=8000), again after each change
	@deploy/client-env.sh docs
	@$(MKDOCS) serve $(MKDOCS_CONFIG) --dev-addr 127.0.0.1:$(PORT)

docs-build: setup ## Build the documentation into build/site; a broken link is an error
	@deploy/client-env.sh docs
	@$(MKDOCS) build $(MKDOCS_CONFIG)

# Docker, or another tool that knows `build --target`: make image-cpu DOCKER=podman
DOCKER ?= docker

image-cpu image-cuda: ## Build a container image
	@$(DOCKER) build --target $(@:image-%=%) --tag thinking-server:$(@:image-%=%) .

test-image: ## Build an image with buildah, run it with podman, remove both (TARGET=cpu|cuda ARGS="--volume …")
	@deploy/prove-image.sh $(ARGS)

clean: ## Remove all that was installed or cached here
	@rm -rf .venv .uv .cache .ruff_cache .hypothesis build dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
