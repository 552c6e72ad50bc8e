# simgpt: from a fresh clone to the built book.  `make` alone lists what there is.
#
#   PROFILE=laptop        a longer book (default: smoke)
#   PYTEST_ARGS='-k loss' words for pytest
#   PYTHON=python3.12     which Python makes .venv (default: a fitting one from the PATH)
#   UV=                   install with pip even where uv is there

PROFILE     ?= smoke
PYTEST_ARGS ?=
BIN         := .venv/bin
export HF_HUB_DISABLE_TELEMETRY := 1

# .venv is ready for these pins, in this folder, and for PYTHON's version where one is named.
KEY   := $(shell { cat requirements.txt pyproject.toml; pwd; } | cksum | cut -d ' ' -f 1)
READY := .venv/.ready-$(KEY)
ifneq ($(PYTHON),)
READY := $(READY)-$(shell "$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
endif

.PHONY: help setup book test test-lowest lint links local-llm clean

help:  ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile
	@echo; sed -n 's/^#   //p' Makefile

book: $(READY)  ## run the notebooks and build the book into _build/html
	$(BIN)/simgpt book --profile $(PROFILE)

test: $(READY)  ## run the tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-lowest:  ## run them with the lowest versions that pyproject.toml allows (needs uv)
	uv venv -q --clear .venv-lowest
	uv pip install --python .venv-lowest --resolution lowest-direct -e '.[dev]'
	.venv-lowest/bin/python -m pytest $(PYTEST_ARGS)

lint: $(READY)  ## style, formatting, types, and notebook pairs in step
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m mypy
	$(BIN)/simgpt notebooks check

links: $(READY)  ## after `make book`: try the book's links to other hosts
	$(BIN)/jupyter-book build _build/source --path-output _build/links --builder linkcheck

setup: $(READY)  ## make .venv and install the pinned packages (the others do this first)

local-llm: $(READY)  ## add a small language model and its server (300 MB)
	@KEY=$(KEY) LOCAL_LLM=1 sh .ci/setup

$(READY):
	@KEY=$(KEY) sh .ci/setup

clean:  ## remove the built book and the tools' caches; .venv and runs stay
	rm -rf _build .mypy_cache .pytest_cache .ruff_cache
