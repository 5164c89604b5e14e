# `make demo` and `make test` install what they need into .venv first, once.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test readme lint clean

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/installed.stamp
LOG := $(VENV)/install.log

# make demo VIDEO=clip.mp4 OUTPUT=folder; without VIDEO a synthetic person is rendered.
VIDEO ?=
OUTPUT ?= demo_output
# A template's .npz file of pface_build_template; the default one when empty.
TEMPLATE ?=
# Which Python makes .venv; looked for when empty.
PYTHON ?=
# The tested versions; `make LOCK= test` tries the newest that setup.py allows.
LOCK ?= requirements.lock
# Given to pytest, such as PYTEST_ARGS="tests/core -x".
PYTEST_ARGS ?=
# Given to tests/readme/run_readme.py, such as README_ARGS=--quick.
README_ARGS ?=
# Test files that run at a time; each process takes up to 4 GB.
WORKERS ?= 2

# The shell gets them as variables, so that a path may hold spaces and quotes.
export VIDEO OUTPUT TEMPLATE PYTHON

help:
	@echo "make demo [VIDEO=clip.mp4] [OUTPUT=folder] [TEMPLATE=face.npz]"
	@echo "                             train on one clip, see the pictures"
	@echo "make test [PYTEST_ARGS=...]  run the tests"
	@echo "make readme [README_ARGS=--quick]  run every command of README.md, for an hour"
	@echo "make lint                    ruff, as .ci/run does"
	@echo "make clean                   remove build products and caches"

demo: $(STAMP)
	@set -- --output_dir="$$OUTPUT"; \
	if [ -n "$$VIDEO" ]; then set -- "$$@" --video="$$VIDEO"; fi; \
	if [ -n "$$TEMPLATE" ]; then set -- "$$@" --template="$$TEMPLATE"; fi; \
	$(PY) tools/demo.py "$$@"

test: $(STAMP)
	@$(PY) -m pytest -q -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

readme: $(STAMP)
	@$(PY) tests/readme/run_readme.py $(README_ARGS)

lint: $(STAMP)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# A version manager's shim can exist and yet not run: each candidate is tried.
FITS := import sys, venv, ensurepip; \
  sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 11))

$(STAMP): setup.py pyproject.toml $(wildcard $(LOCK))
	@if ! $(PY) -c 'import pip; $(FITS)' >/dev/null 2>&1; then \
	  candidates=(python3.11 python3.10 python3 python \
	    "$$HOME"/.pyenv/versions/3.1[01].*/bin/python); \
	  if [ -n "$$PYTHON" ]; then candidates=("$$PYTHON"); fi; \
	  found=; \
	  for candidate in "$${candidates[@]}"; do \
	    if "$$candidate" -c '$(FITS)' >/dev/null 2>&1; then \
	      found=$$candidate; break; \
	    fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "No Python 3.10 or 3.11 that can make a virtual environment was found" \
	      "among: $${candidates[*]}; install one (Debian, Ubuntu: apt-get install -y" \
	      "python3 python3-venv) or name it: make PYTHON=/path/to/python3.11" >&2; \
	    exit 1; \
	  fi; \
	  echo "Making $(VENV) with $$("$$found" -V)"; \
	  "$$found" -m venv --clear $(VENV); \
	fi
	@echo "Installing into $(VENV): TensorFlow and the rest, 3.5 GB on disk," \
	  "a few minutes (log: $(LOG))"
	@# The pip that comes with Python 3.10 can search for half an hour.
	@$(PY) -m pip install -qq --disable-pip-version-check 'pip>=24.1'
	@set -o pipefail; \
	$(PY) -m pip install --disable-pip-version-check --progress-bar off \
	    $(if $(LOCK),--constraint $(LOCK)) --editable '.[test]' 2>&1 \
	  | tee $(LOG) \
	  | awk '/^Collecting /{printf "."; fflush()} \
	      /(Downloading|Using cached) .*\([0-9][0-9]+(\.[0-9]+)? MB\)/{ \
	        split($$2, wheel, "-"); \
	        printf "\n  %s %s MB ", wheel[1], substr($$(NF - 1), 2); fflush()} \
	      /^Installing collected/{printf "\n  unpacking, which takes a minute\n"; fflush()}' \
	  || { echo; echo "The installation failed; the end of $(LOG) says why:" >&2; \
	    tail -n 5 $(LOG) >&2; exit 1; }
	@$(PY) tools/_app.py
	@touch $@
