# make train [CONFIG=lsdm_digits] [ACCELERATOR=cpu|cuda13|tpu]     from a fresh clone: venv, training, evaluation, picture
# make test                                                        from a fresh clone: venv, the tests
# make lint
# make results                                                     the tables of README.md and docs/ and a curve, from the files in results/
CONFIG ?= lsdm_digits
ACCELERATOR ?= cpu
WORKDIR ?= runs/$(subst :,_,$(CONFIG))
PYTHON ?= python3

JAX_cpu := jax
JAX_cuda13 := jax[cuda13]
JAX_tpu := jax[tpu]
JAX := $(JAX_$(ACCELERATOR))
ifeq ($(JAX),)
$(error ACCELERATOR=$(ACCELERATOR): choose cpu, cuda13 or tpu)
endif

# configs/NAME.py[:VARIANT] of CONFIG=NAME[:VARIANT]
NAME := $(firstword $(subst :, ,$(CONFIG)))
VARIANT := $(patsubst $(NAME)%,%,$(CONFIG))

BIN := .venv/bin
RUN := .venv/.installed-$(ACCELERATOR)
TEST := .venv/.installed-test

.PHONY: train test lint results clean

train: $(RUN)
	$(BIN)/python train.py --config configs/$(NAME).py$(VARIANT) --workdir $(WORKDIR)
	$(BIN)/python eval.py --workdir $(WORKDIR)

test: $(TEST)
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(TEST)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

results: $(RUN)
	$(BIN)/python results/tables.py
	$(BIN)/python results/curve.py

clean:
	rm -rf .venv runs

$(BIN)/python:
	$(PYTHON) -m venv .venv

$(RUN): requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt "$(JAX)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(TEST): requirements-test.txt $(RUN)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	touch $@
