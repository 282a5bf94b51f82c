# make run: set up and open the program; make test: every check; make help: the rest.
PY := .venv/bin/python
export OMP_WAIT_POLICY := passive
ifdef PYTHON
export PYTHON
endif
ifdef TORCH_INDEX
export TORCH_INDEX
endif

.PHONY: help run test bench evaluate screenshots setup clean
help:
	@echo "make run       set up, then open the window (without a display: write a wav)"
	@echo "make test      set up, then ruff, mypy and pytest"
	@echo "make bench     time every stage, streaming, and each network beside its plain form"
	@echo "make evaluate CORPUS=folder  quality figures on held-out speech (ARGS=--quick for a few clips)"
	@echo "make screenshots  pictures of the window for docs/, on a virtual display (xvfb-run)"
	@echo "make setup     only set up"
	@echo "make clean     remove caches and generated wavs (.venv and models stay)"

setup:
	@scripts/setup.sh run

run: setup
	@$(PY) -m toolbox run

test:
	@scripts/setup.sh dev
	@rc=0; for check in "ruff check ." "mypy ." "pytest"; do \
		echo "$(PY) -m $$check"; $(PY) -m $$check || rc=1; \
	done; exit $$rc

bench: setup
	$(PY) -m benchmarks.pipeline
	$(PY) -m benchmarks.streaming
	$(PY) -m benchmarks.synthesizer
	$(PY) -m benchmarks.vocoder

evaluate: setup
	@test -n "$(CORPUS)" || { echo "make evaluate CORPUS=folder of speech, as LibriSpeech lays it out"; exit 2; }
	@scripts/setup.sh evaluation
	$(PY) -m evaluation $(CORPUS) $(ARGS)

CLIPS := toolbox/assets/reference.flac
screenshots: setup
	xvfb-run -a -s "-screen 0 1920x1080x24" $(PY) -m scripts.screenshots --out docs/screenshots $(CLIPS)

clean:
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist demo_output_*.wav
	find . -name __pycache__ -not -path "./.venv/*" -prune -exec rm -rf {} +
