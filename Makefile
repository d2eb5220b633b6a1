# make demo   a virtual environment, adbench in it, and a real run that ends with a table
# make test   the same environment with the test tools, and the whole test suite
# make stress  tests that take long: power simulations, kill loops, many writers, 100,000 images
# make lint   ruff, the arrows between the folders, mypy
# make docs   the documentation, into site/: open site/index.html

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# A machine with a GPU: make demo FAISS=gpu (faiss-cpu and faiss-gpu exclude each other).
FAISS ?= cpu
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# What `make stress` tries; less on a machine with a time limit.
SERIAL_KILLS ?= 100
LOCAL_KILLS ?= 70
RAY_KILLS ?= 30
CELLS ?= 200
IMAGES ?= 100000
INPUTS ?= 50000

.PHONY: demo test stress lint docs clean

demo: $(VENV)/.installed-$(FAISS)
	$(BIN)/adbench run --methods all --dataset synthetic --preset smoke

test: $(VENV)/.installed-dev
	$(BIN)/pytest -q --numprocesses auto --dist worksteal

stress: $(VENV)/.installed-dev
	IMAGES=$(IMAGES) $(BIN)/pytest -q -m stress --numprocesses auto
	$(BIN)/python tests/stress/kill_loop.py --count $(SERIAL_KILLS)
	$(BIN)/python tests/stress/kill_loop.py --count $(LOCAL_KILLS) --executor local
	$(BIN)/python tests/stress/kill_loop.py --count $(RAY_KILLS) --executor ray
	$(BIN)/python tests/stress/share_folder.py --runs 2 --cells $(CELLS)
	$(BIN)/python tests/stress/share_folder.py --runs 8 --cells $(CELLS)
	$(BIN)/python tests/stress/fuzz.py --count $(INPUTS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# The variable silences an advertisement of the theme's makers.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-$(FAISS): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[$(FAISS)]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-$(FAISS)
	$(PIP) --editable '.[$(FAISS),dev]'
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed-$(FAISS)
	$(PIP) --editable '.[$(FAISS),docs]'
	touch $@

clean:
	rm -rf $(VENV) site
