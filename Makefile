# make demo   a virtual environment, adbench in it, and a real run that ends with a table
# make test   the same environment with the test tools, and the whole test suite
# make stress  tests that take long: power simulations, kill loops, many writers, 100,000 images
# make lint   ruff, the arrows between the folders, mypy

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# A machine with a GPU: make demo FAISS=gpu (faiss-cpu and faiss-gpu exclude each other).
FAISS ?= cpu
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test stress lint clean

demo: $(VENV)/.installed-$(FAISS)
	$(BIN)/adbench run --methods all --dataset synthetic --preset smoke

test: $(VENV)/.installed-dev
	$(BIN)/pytest -q --numprocesses auto --dist worksteal

stress: $(VENV)/.installed-dev
	$(BIN)/pytest -q -m stress
	$(BIN)/python tests/stress/kill_loop.py --count 100
	$(BIN)/python tests/stress/kill_loop.py --count 70 --executor local
	$(BIN)/python tests/stress/kill_loop.py --count 30 --executor ray
	$(BIN)/python tests/stress/share_folder.py --runs 2 --cells 200
	$(BIN)/python tests/stress/share_folder.py --runs 8 --cells 200
	$(BIN)/python tests/stress/fuzz.py --count 50000

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-$(FAISS): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[$(FAISS)]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-$(FAISS)
	$(PIP) --editable '.[$(FAISS),dev]'
	touch $@

clean:
	rm -rf $(VENV)
