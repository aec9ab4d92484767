# Every target that needs the virtual environment makes it first, with uv when there is one, else with venv and pip.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CONSTRAINTS := $(wildcard constraints/py3.*.txt)
SPEC ?= deployments/specs/adult.yaml
# Three processes on two cores, since whole audits wait for servers and for processes to start. Whole files to a worker,
# so that what a file's tests share is made once; in order, since long ones come first.
TEST_ARGS ?= -n 3 --dist loadfile --no-loadscope-reorder
BENCH ?=
RINGS := networks,pipeline,test
BENCH_VENV := .venv-bench
TORCH_VENV := .venv-torch
PYTHON ?= python3.11 python3.12 python3.13 python3
UV ?= $(shell command -v uv 2>/dev/null)

SUPPORTED := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
MINOR := import sys; print("py%d.%d" % sys.version_info[:2])

export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := true
export MLFLOW_DISABLE_TELEMETRY := true
# As pip does: a certificate authority that the system trusts, such as a company's own, counts for uv too.
export UV_SYSTEM_CERTS ?= true

.DEFAULT_GOAL := help
.PHONY: help audit reference test torch torch-venv check bench bench-full bench-venv clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

audit: $(STAMP)  ## audit a random forest on UCI Adult, or SPEC=path/to/spec.yaml
	@$(BIN)/umbrameter audit $(SPEC)

reference: $(STAMP)  ## write docs/reference.md, the page of all settings, from the models
	@$(BIN)/umbrameter reference > docs/reference.md.new && mv docs/reference.md.new docs/reference.md

test: $(STAMP)  ## run all tests, slow ones too (TEST_ARGS="-n 4 -m 'not slow'" chooses)
	@$(BIN)/python -m pytest $(TEST_ARGS)

torch: torch-venv  ## test PyTorch and skorch, in an environment of their own
	@$(TORCH_VENV)/bin/python -m pytest -q tests/flows/test_page.py tests/targets/test_adapter.py tests/estimators/test_skorch.py

torch-venv:
	@$(MAKE) --no-print-directory VENV=$(TORCH_VENV) RINGS=networks,pipeline,torch,test $(TORCH_VENV)/.installed

check: $(STAMP)  ## format, lint, types, import rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: bench-venv  ## measure beside what others use, in half an hour; BENCH="network cnn" chooses
	@$(BENCH_VENV)/bin/python -m benches --write $(BENCH)

bench-full: bench-venv  ## the same with more rounds, kills at random moments and the paper's Location audit
	@$(BENCH_VENV)/bin/python -m benches --full --write $(BENCH)

bench-venv:
	@$(MAKE) --no-print-directory VENV=$(BENCH_VENV) RINGS=networks,pipeline,bench $(BENCH_VENV)/.installed

clean:  ## remove the virtual environment and the caches; audits under runs/ stay
	@rm -rf $(VENV) $(BENCH_VENV) $(TORCH_VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A Python found on the path may be a shim that does not run, or lack ensurepip: each candidate is tried, not trusted.
$(STAMP): pyproject.toml $(CONSTRAINTS)
	@set -eu; \
	if ! $(BIN)/python -c '$(SUPPORTED)' 2>/dev/null || { [ -z "$(UV)" ] && ! $(BIN)/python -m pip --version >/dev/null 2>&1; }; then \
	    rm -rf $(VENV); found=; \
	    for python in $(PYTHON); do \
	        if $$python -c '$(SUPPORTED)' >/dev/null 2>&1; then found=$$python; break; fi; \
	    done; \
	    if [ -n "$(UV)" ]; then $(UV) venv --quiet --python "$${found:->=3.11,<3.14}" $(VENV); \
	    elif [ -n "$$found" ]; then $$found -m venv $(VENV); \
	    else echo "umbrameter needs Python 3.11, 3.12 or 3.13 with venv; none of these runs: $(PYTHON)." \
	        "Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; fi; \
	fi; \
	constraints=constraints/$$($(BIN)/python -c '$(MINOR)').txt; \
	if [ -n "$(UV)" ]; then echo "Installing into $(VENV) with uv (seconds to a minute)"; \
	    $(UV) pip install --quiet --python $(BIN)/python -c "$$constraints" -e '.[$(RINGS)]'; \
	else echo "Installing into $(VENV) with pip (one to three minutes)"; \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check -c "$$constraints" -e '.[$(RINGS)]'; fi; \
	touch $@
