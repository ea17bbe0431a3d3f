# make run | test | bench | topic | receipts | goldens | sabotage | screenshots | lock | clean   (options of the app: make run ARGS="--port 8000")

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CHROMIUMS := chromium chromium-browser google-chrome chrome
SUITABLE := import sys, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for p in python3.12 python3.11 python3.10 python3; do \
	"$$p" -c '$(SUITABLE)' 2>/dev/null && echo "$$p" && break; done)
ORACLES := $(wildcard requirements-oracles.txt)

.PHONY: run test check browser bench topic receipts goldens sabotage screenshots lock clean
.DELETE_ON_ERROR:

run: $(VENV)/installed
	@$(BIN)/python app.py $(ARGS)

test: check browser
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(VENV)/installed-test browser
	$(BIN)/python -m tests.bench $(ARGS)

# make topic TOPIC=systems/flash_attention TITLE="FlashAttention" ZH="..." (the Chinese title, if it is known already)
topic: $(VENV)/installed-test
	@$(BIN)/python -m demos.new_topic "$$TOPIC" "$$TITLE" "$$ZH"

receipts: $(VENV)/installed-test
	$(BIN)/python -m pytest --write-receipts tests/core

# Read the difference before you keep it. One topic: make goldens ARGS="-k flash-attention"
goldens: $(VENV)/installed-test
	$(BIN)/python -m pytest --write-goldens tests/demos/test_contract.py $(ARGS)

sabotage: $(VENV)/installed-test
	$(BIN)/python -m tests.sabotage $(ARGS)

screenshots: $(VENV)/installed-test browser
	$(BIN)/python -m tests.e2e.screenshots $(ARGS)

# Exact versions for Python 3.10 to 3.12. PyTorch's CUDA libraries stay out: its CPU build has none, its GPU build names its own.
lock: $(VENV)/installed-test
	$(PIP) install uv
	echo "torch==2.13.0" > $(VENV)/pins.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-annotate --no-header --upgrade \
		--extra test --extra bench --constraints $(VENV)/pins.txt --output-file $(VENV)/lock.txt pyproject.toml
	{ echo "# Made by 'make lock': exact versions of requirements.txt and of the extras test and bench."; \
		grep --invert-match --extended-regexp "^(cuda|nvidia|triton)|>= '3\.13'" $(VENV)/lock.txt; } > constraints.txt

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .gradio build *.egg-info screenshots

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Glassbox needs Python 3.10, 3.11 or 3.12: install one, or name it: make PYTHON=/path/to/python"; exit 1; }
	@"$(PYTHON)" -c '$(SUITABLE)' || { echo "$(PYTHON) is not Python 3.10, 3.11 or 3.12 (or does not run)."; exit 1; }
	@echo "Making the environment $(VENV) with $(PYTHON) ..."
	@"$(PYTHON)" -m venv $(VENV)

$(VENV)/installed: requirements.txt constraints.txt | $(VENV)/bin/python
	@echo "Installing the libraries (once; PyTorch is large) ..."
	@$(PIP) install --constraint constraints.txt --requirement requirements.txt
	@touch $@

$(VENV)/installed-test: pyproject.toml $(ORACLES) $(VENV)/installed
	@echo "Installing what the tests need ..."
	@$(PIP) install --constraint constraints.txt ".[test,bench]"
	@$(if $(ORACLES),$(PIP) install --no-deps --requirement $(ORACLES))
	@touch $@

# The tests drive Debian's Chromium, or the one that GLASSBOX_CHROMIUM names.
browser:
	@for b in "$$GLASSBOX_CHROMIUM" $(CHROMIUMS); do command -v "$${b:-none}" >/dev/null && exit 0; done; \
	if ! command -v apt-get >/dev/null; then \
		echo "The browser tests need Chromium: install it, or name one in GLASSBOX_CHROMIUM."; exit 1; fi; \
	if [ "$$(id -u)" = 0 ]; then as=; elif command -v sudo >/dev/null; then as=sudo; else \
		echo "The browser tests need Chromium: run 'apt-get install chromium' as root, or name one in GLASSBOX_CHROMIUM."; exit 1; fi; \
	$$as apt-get update -qq && $$as apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk
