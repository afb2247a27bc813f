# Two commands a newcomer needs: `make demo` and `make test`. Each sets itself up on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHARED ?= ../shared
BENCHMARK ?= paper
MODEL ?= model
MODEL_STARS ?= 4000
MODEL_LINES ?= 24000

.PHONY: dist quickstart demo model spectrum-check shipped-model periods periods-finder mock-check test slow test-catalog lint hostile audit docs real bench scale parity clean

$(VENV)/.core: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/.core

.venv-catalog/.done: pyproject.toml constraints.txt
	test -x .venv-catalog/bin/python || $(PYTHON) -m venv .venv-catalog
	.venv-catalog/bin/python -m pip install --quiet --editable '.[catalog]' pytest hypothesis
	touch $@

$(VENV)/.docs: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@ $(VENV)/.core

demo: $(VENV)/.core          ## mock survey -> training -> embedding -> report.html
	$(BIN)/desa demo -o demo

# A test process a core, a thread each: two that share a thread pool wait for each other most of the time.
test: $(VENV)/.dev           ## every quick test, with coverage
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile --cov --cov-report=term

test-catalog: .venv-catalog/.done  ## matching on Dask; LSDB needs an environment of its own
	.venv-catalog/bin/python -m pytest tests/catalogs/test_crossmatch_hats.py

docs: $(VENV)/.docs          ## the documentation as web pages, in docs/_build
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build

lint: $(VENV)/.dev           ## style and types
	$(BIN)/ruff check src tests benchmarks scripts
	$(BIN)/ruff format --check src tests benchmarks scripts
	$(BIN)/mypy

hostile: $(VENV)/.dev        ## damaged files of every layout by the thousand: counts of what is refused and accepted
	$(BIN)/python tests/hostile/campaign.py

audit: $(VENV)/.dev          ## known vulnerabilities of the pinned versions, where a database can be had
	@if $(BIN)/python -m pip install --quiet pip-audit && $(BIN)/python -m pip_audit --version >/dev/null; \
	then $(BIN)/python -m pip_audit --requirement constraints.txt --no-deps --disable-pip 2>&1 | tee $(VENV)/audit.txt; \
	    echo "audit: $$(grep -c == constraints.txt) pinned, $$(grep -c 'could not be audited' $(VENV)/audit.txt) of them not looked up"; \
	else echo "audit: pip-audit can't be had, so nothing was checked"; fi

parity: $(VENV)/.dev         ## the published model at full size: 2.2 GB of random weights, minutes
	$(BIN)/python -m pytest -m slow tests/models

slow: $(VENV)/.dev           ## every test that takes minutes or gigabytes
	$(BIN)/python -m pytest -m slow

REAL_MODEL ?= demo/joint/model
REAL_LABELS := kepler/star_labels.csv lamost/dr10_labels.csv lamost/dr1_fits_index.csv \
  $(addprefix catalogs/,keplerq9v3_targets.txt kirk2016_eclipsing_binaries.parquet yu2018_red_giants.parquet)

real: $(VENV)/.benchmark     ## a mock-trained model (REAL_MODEL; else the demo's) on the real files beside the project: real/results
	test -d $(REAL_MODEL) || $(MAKE) demo
	test -f real/survey/survey.json || $(BIN)/desa ingest --lightcurves $(SHARED)/data/kepler --spectra $(SHARED)/data/lamost \
	  $(foreach table,$(REAL_LABELS),--labels $(SHARED)/data/$(table)) -o real/survey || test -f real/survey/survey.json
	$(BIN)/desa benchmark real/survey --model $(REAL_MODEL) --seeds 1 -o real/results

MODEL_FOLDS := 1/5 2/5 3/5 4/5 5/5 all
MODEL_TRAIN = $(BIN)/desa pretrain spectrum $(MODEL)/lines=0.25 $(MODEL)/real-spectra=0.75 --start $(MODEL)/on-lines/model \
  --config recipes/spectrum.yaml

$(MODEL)/real-spectra/survey.json: | $(VENV)/.core
	$(BIN)/desa ingest --spectra $(SHARED)/data/lamost/dr10_compact.npz --labels $(SHARED)/data/lamost/dr10_labels.csv --kind real -o $(MODEL)/real-spectra

# A new model, with every part of the one in the package. What the package holds now was not made by all of these
# steps: its periods.safetensors by `make periods`, its spectrum_check.safetensors by `make spectrum-check`, but its
# encoders and their heads by a program of an earlier commit (model.json: made_by), with other settings.
model: $(VENV)/.core $(MODEL)/real-spectra/survey.json ## a new model by the recipe, twins of five folds, checks and finder: MODEL/shipped; goes on where it stopped
	$(BIN)/desa ingest --lightcurves $(SHARED)/data/kepler/singlequarter_compact.parquet --labels $(SHARED)/data/kepler/star_labels.csv --kind real -o $(MODEL)/real-lightcurves
	$(BIN)/desa simulate --stars $(MODEL_STARS) --seed 20263 --quarters 6 --short 0.4 -o $(MODEL)/mock
	$(BIN)/desa simulate --continua $(MODEL)/real-spectra --stars $(MODEL_LINES) --seed 20263 -o $(MODEL)/lines
	$(BIN)/desa pretrain spectrum $(MODEL)/lines --config recipes/lines.yaml -o $(MODEL)/on-lines $(MODEL_OPTIONS)
	$(foreach fold,$(MODEL_FOLDS),$(MODEL_TRAIN) --fold $(fold) -o $(MODEL)/fold-$(firstword $(subst /, ,$(fold))) $(MODEL_OPTIONS) &&) true
	$(BIN)/desa pretrain lightcurve $(MODEL)/mock --config recipes/joint.yaml -o $(MODEL)/lightcurve $(MODEL_OPTIONS)
	$(BIN)/desa align $(MODEL)/mock --spectrum $(MODEL)/fold-all/model --lightcurve $(MODEL)/lightcurve/model --config recipes/joint.yaml -o $(MODEL)/joint $(MODEL_OPTIONS)
	$(BIN)/desa calibrate $(MODEL)/real-lightcurves --model $(MODEL)/joint/model -o $(MODEL)/shipped
	$(BIN)/desa calibrate $(MODEL)/real-spectra --model $(MODEL)/shipped --hottest $(MODEL_HOTTEST) --half -o $(MODEL)/shipped \
	  $(foreach fold,$(filter-out all,$(MODEL_FOLDS)),--twin $(MODEL)/fold-$(firstword $(subst /, ,$(fold)))/model)
	$(MAKE) periods-finder
	cp $(PERIODS)/periods.safetensors $(MODEL)/shipped/
	@echo "$(MODEL)/shipped is a new model. The encoders and heads in src/desa/pretrained are not by these steps, but by an earlier program (model.json: made_by)."

MODEL_HOTTEST ?= 12000

spectrum-check: $(VENV)/.core $(MODEL)/real-spectra/survey.json ## the check of spectra that comes with the package: hotter than the model's stars (its labels end at 8000 K), unlike them
	$(BIN)/desa calibrate $(MODEL)/real-spectra --model src/desa/pretrained --hottest 8000 --keep-heads --half -o $(MODEL)/checked
	cp $(MODEL)/checked/spectrum_check.safetensors src/desa/pretrained/

MEASURED ?=
shipped-model: $(VENV)/.core $(MODEL)/real-spectra/survey.json ## docs/results/shipped-model.md, then the numbers of README; MEASURED="--candidate MODEL" beside a model of one fold
	$(BIN)/python scripts/shipped_model.py $(MODEL)/real-spectra $(SHARED) $(MEASURED) \
	  $(addprefix --periods ,$(wildcard $(PERIODS)/survey))
	$(BIN)/python docs/_ext/project_pages.py

PERIODS ?= periods
PERIOD_OPTIONS ?= --injections 1600 --steps 350
PERIOD_LABELS := $(addprefix catalogs/,santos2019_rotation_KM.parquet santos2021_rotation_FG.parquet mcquillan2014_rotation.parquet \
  reinhold2015_rotation_gyroage.parquet kirk2016_eclipsing_binaries.parquet yu2018_red_giants.parquet)

periods: periods-finder      ## the finder of rotation periods that comes with the package, and docs/results/periods.md
	cp $(PERIODS)/periods.safetensors src/desa/pretrained/
	cp $(PERIODS)/periods.md docs/results/periods.md

periods-finder: $(VENV)/.core
	mkdir -p $(PERIODS)
	awk -F, 'NR == 1 {print "star_id,prot"} NR > 1 && $$8 == 0 && $$6 > 0 {print "EPIC " $$1 "," $$6}' $(SHARED)/data/kepler/k2_hyades/index.csv > $(PERIODS)/k2.csv
	(echo kic; gzip -dc $(SHARED)/data/catalogs/mcquillan2014_table2_nonperiodic.dat.gz | awk '$$1 + 0 > 0 {print $$1 + 0}') > $(PERIODS)/mcquillan_quiet.csv
	$(BIN)/desa ingest --lightcurves $(SHARED)/data/kepler --kind real -o $(PERIODS)/survey --labels $(PERIODS)/k2.csv \
	  $(foreach table,$(PERIOD_LABELS),--labels $(SHARED)/data/$(table)) || test -f $(PERIODS)/survey/survey.json
	$(BIN)/desa pretrain periods $(PERIODS)/survey --quiet $(SHARED)/data/catalogs/santos2021_no_rotation_kics.parquet \
	  --quiet $(PERIODS)/mcquillan_quiet.csv -o $(PERIODS) $(PERIOD_OPTIONS)

mock-check: $(VENV)/.core    ## mock survey beside the real files: mock-check/report.html, minutes
	mkdir -p mock-check
	$(BIN)/python scripts/build_spectral_residuals.py $(SHARED)/data/lamost --half --out mock-check/half.npz
	$(BIN)/desa simulate --check $(SHARED)/data --residuals mock-check/half.npz -o mock-check

bench: $(VENV)/.dev          ## speed and memory tables
	$(BIN)/python benchmarks/preprocess.py
	$(BIN)/python benchmarks/ingest.py --kepler $(SHARED)/data/kepler/multiquarter --lamost $(SHARED)/data/lamost
	$(BIN)/python benchmarks/training.py

scale: $(VENV)/.dev          ## time, memory and bytes of each step against the number of stars: scale/; half an hour
	$(BIN)/python benchmarks/scale.py scale --json scale/numbers.json

benchmark: $(VENV)/.benchmark ## the paper's experiments on a mock survey: tables, figures, report.html; about an hour
	$(BIN)/desa simulate --stars 5000 --seed 11 --quarters 4 -o $(BENCHMARK)/survey
	$(BIN)/desa benchmark $(BENCHMARK)/survey --preset mini --seeds 3 -o $(BENCHMARK)/results

$(VENV)/.benchmark: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[benchmark]'
	touch $@ $(VENV)/.core

dist:                        ## source archive and wheel in dist/, their metadata checked
	test -x .venv-dist/bin/python || $(PYTHON) -m venv .venv-dist
	.venv-dist/bin/pip install --quiet build twine
	rm -rf dist
	.venv-dist/bin/python -m build --outdir dist
	.venv-dist/bin/twine check --strict dist/*

quickstart: dist             ## the wheel in a fresh environment runs README and the quick start
	rm -rf .venv-quickstart && $(PYTHON) -m venv .venv-quickstart
	.venv-quickstart/bin/pip install --quiet --constraint constraints.txt dist/*.whl pytest
	cd tests && ../.venv-quickstart/bin/python -m pytest -c /dev/null --rootdir . --noconftest -q docs/test_code_blocks.py -k "runs_in_a_shell"

clean:                       ## remove what the targets made
	rm -rf demo real periods mock-check paper scale docs/_build .pytest_cache .mypy_cache .ruff_cache .coverage
