# Each target sets up .venv by itself; PYTHON is any Python from 3.11 on.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo short-demo story story-zh report test test-fast test-minimum test-launchers test-clients speed fuzz parity lint format docs docs-site clean
.DEFAULT_GOAL := demo

demo: $(VENV)/installed
	$(BIN)/zoo study three_variants

# Renews the committed report.md and pictures of an experiment from its runs: make report STUDY=residual, or STUDY=lecture/depth
report: $(VENV)/installed
	$(BIN)/zoo report $(STUDY) --out runs/reports/committed/$(STUDY)
	rm -rf experiments/$(STUDY)/pictures
	cp -R runs/reports/committed/$(STUDY)/report.md runs/reports/committed/$(STUDY)/pictures experiments/$(STUDY)/

# The demo at reduced size, its report twice: what a new user does first, in a minute.
# `make short-demo VENV=.venv-3.13 PYTHON=python3.13` runs it with another Python.
short-demo: $(VENV)/installed
	sh tests/short_demo.sh $(BIN)

# A first model that speaks: trained in minutes, then asked for three texts; docs/data.md says how it was chosen.
# OVERRIDES changes the training: make story OVERRIDES="steps=4000 threads=2"
MODELS := models
STORY := model=llama model.dim=128 model.hidden=352 optimizer.lr=3e-3 batch=8 steps=2400 evaluate=400 threads=1
NEWEST = $$(ls -td $(MODELS)/$@/*/ | head -n 1)
story: $(VENV)/installed
	$(BIN)/zoo train data=stories $(STORY) runs=$(MODELS)/$@ $(OVERRIDES)
	$(BIN)/zoo generate "$(NEWEST)" "A fluffy blue creature" --samples 3 --temperature 0.7

story-zh: $(VENV)/installed
	$(BIN)/zoo train data=chinese $(STORY) runs=$(MODELS)/$@ $(OVERRIDES)
	$(BIN)/zoo generate "$(NEWEST)" "她每天" --samples 3 --temperature 0.7

# The same with the oldest version of every direct dependency that pyproject.toml admits.
test-minimum: $(VENV)-minimum/installed
	sh tests/short_demo.sh $(VENV)-minimum/bin

# Some tests wait for processes: one more worker than there are cores.
WORKERS := $(shell $(PYTHON) -c "import os; print((os.cpu_count() or 1) + 1)")

test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST)

# What one runs between edits, under a minute and a half: no training, no browser, no further processes.
FAST := test_imports.py test_words.py test_readme.py registry config model statistics system/test_files.py components report/claims report/records
SLOW := components/objective/test_trained.py config/test_targets.py model/test_executed_flops.py report/claims/test_verdicts.py
test-fast: $(VENV)/installed-test
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal $(addprefix tests/,$(FAST)) $(addprefix --ignore tests/,$(SLOW)) $(PYTEST)

# The same study through submitit and Ray, which the other tests do without.
test-launchers: $(VENV)/installed-launchers
	$(BIN)/python -m pytest tests/launchers $(PYTEST)

# Exported models in the hands of lm-eval, sentence-transformers and TransformerLens, which the other tests do without.
test-clients: $(VENV)/installed-clients
	$(BIN)/python -m pytest tests/clients $(PYTEST)

# The same work here and in other packages: a quarter of an hour on two cores that do nothing else.
# `make speed MEASURES="step decode"` takes some of the measures, `make speed MEASURES=--quick` two minutes.
speed: $(VENV)/installed-peers
	$(BIN)/python experiments/speed/measure.py $(MEASURES)

# Ten times as many random configurations as the tests draw.
fuzz: $(VENV)/installed-test
	ZOO_DRAWS=20000 $(BIN)/python -m pytest -n auto -rP tests/fuzz

# Every family against transformers: docs/parity.md, in some minutes.
parity: $(VENV)/installed-test
	$(BIN)/python -m tests.hub.parity_page

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

format: $(VENV)/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/installed
	$(BIN)/python -m zoo.catalog docs/components

# The documentation as a site in site/index.html, with a reference made from docstrings.
docs-site: $(VENV)/installed-site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) $(VENV)-minimum

INSTALL := $(BIN)/pip --disable-pip-version-check install -q -c constraints.txt

# torch comes first, pinned: so an index that offers several builds of it gives the one asked for.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "zoo needs Python 3.11 or newer: got " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) torch
	$(INSTALL) -e .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(INSTALL) -e '.[test,lint]'
	touch $@

$(VENV)/installed-site: $(VENV)/installed
	$(INSTALL) -e '.[site]'
	touch $@

$(VENV)-minimum/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)-minimum
	$(VENV)-minimum/bin/pip --disable-pip-version-check install -q -c constraints.txt uv
	$(VENV)-minimum/bin/uv pip install -q --python $(VENV)-minimum/bin/python --resolution lowest-direct -e .
	touch $@

$(VENV)/installed-clients: $(VENV)/installed-test
	$(INSTALL) -e '.[clients]'
	touch $@

# LitGPT asks for older versions of packages that are here, and for torchvision: none of it is needed for its models.
$(VENV)/installed-peers: $(VENV)/installed-test
	$(INSTALL) psutil
	$(INSTALL) --no-deps litgpt
	touch $@

$(VENV)/installed-launchers: $(VENV)/installed-test
	$(INSTALL) -e '.[slurm,ray]'
	touch $@
