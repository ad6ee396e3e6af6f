# Lightbox. Every path here is relative and quoted by being so: the folder's own name may hold spaces.

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
EXTRA  ?= cpu
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help run setup setup-dev test lint browser-test services-test environments-test vllm-test bench constraints clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

run: setup ## install what is missing, then start Lightbox and print its address
	@exec $(PY) manage.py serve

setup: $(VENV)/for-$(EXTRA) ## only install what running needs (EXTRA=gpu for FAISS on a GPU)

setup-dev: $(VENV)/for-dev ## only install what the tests need too

test: setup-dev ## the tests, but for those in a browser and on services
	@$(PY) -m pytest -n auto --dist loadfile -m "not browser and not services and not environments and not vllm" $(ARGS)

lint: setup-dev ## ruff, mypy, the import contracts, Django's own checks
	@sh .ci/lint $(PY)

browser-test: setup-dev ## the whole story in Chromium; writes docs/screenshot.png
	@$(PY) -m pytest -n 2 --dist loadfile -m browser tests/browser $(ARGS)

# What a database or a broker can change: queries, constraints, locks, streams, workers. SERVICES=tests takes all.
SERVICES ?= $(addprefix tests/assistant/,test_access.py test_api.py test_api_stream.py test_import_worker.py \
	test_pages_live.py test_races.py test_runs.py test_served_model.py test_workers.py) $(addprefix tests/corpus/,\
	imports/test_canary.py imports/test_library.py test_files.py test_load.py test_refresh.py test_selection.py test_worker.py)

services-test: setup-dev ## the tests again on PostgreSQL and Redis (own servers, or DATABASE_URL and REDIS_URL)
	@bash .ci/with-services $(PY) -m pytest -n auto --dist loadfile -m "not browser and not environments and not vllm" $(SERVICES) $(ARGS)

environments-test: setup-dev ## an extra tool in an environment of its own: builds the example's, and uses it
	@$(PY) manage.py models environment example
	@$(PY) -m pytest -m environments tests/environments $(ARGS)

vllm-test: setup-dev ## the whole story in Chromium with a small model on a real vLLM (CPU; installs 3 GB the first time)
	@PYTHON="$(PYTHON)" bash .ci/vllm-environment
	@$(PY) -m pytest -m vllm tests/vllm $(ARGS)

bench: setup ## how fast it starts, searches and answers
	@$(PY) -m bench

constraints: ## write constraints.txt anew from the ranges in pyproject.toml
	@sh .ci/constraints "$(PYTHON)"

clean: ## remove the virtual environment and caches; the data in var/ stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# A stamp file says that the environment fits pyproject.toml and constraints.txt: the second start installs nothing.
$(VENV)/for-%: pyproject.toml constraints.txt
	@sh .ci/install "$(PYTHON)" "$*" "$(EXTRA)"
	@touch "$@"
