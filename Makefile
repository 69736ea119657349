PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test lint format clean

help:  ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/make \1\t\2/' | expand -t 16

$(READY): requirements.txt requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# The demo runs the shipped weights on a synthetic test split made for it and on photographs: those in
# REAL (photos/, and triplets of text removal), or else three that scikit-image ships.
DEMO := output/demo
REAL ?= ../shared/real
TRIPLETS := $(wildcard $(REAL)/TextRemoval/SCUT-EnsText/train)
PHOTOS := $(or $(wildcard $(REAL)/photos),$(addprefix $(VENV)/lib/python*/site-packages/skimage/data/, \
	page.png text.png chelsea.png))
EVAL_CONFIGS := $(addprefix data_configs/eval/,synthetic-text-removal.yaml \
	synthetic-tampered-text-detection.yaml synthetic-text-segmentation.yaml \
	$(if $(TRIPLETS),scut-enstext.yaml))
DEMO_DATA := --data_root $(DEMO)/data --eval_data_cfg_path $(EVAL_CONFIGS) --output_dir $(DEMO)/eval

demo: $(READY)  ## run the shipped weights on made pictures and on photographs, draw one page
	rm -rf $(DEMO) && mkdir -p $(DEMO)/data/TextRemoval/SCUT-EnsText
	$(BIN)/python -m synthesis.synthesize --output_dir $(DEMO)/data/synthetic \
		--num_train 0 --num_test 24 --seed 1
	$(if $(TRIPLETS),cp -r "$(TRIPLETS)" $(DEMO)/data/TextRemoval/SCUT-EnsText/test)
	$(BIN)/python main.py --eval true --resume pretrained/upocr_nano.safetensors $(DEMO_DATA) \
		--num_workers 1 --visualize true
	$(BIN)/python -m tools.contact_sheet $(DEMO_DATA) --num_images 4
	$(BIN)/python predict.py $(PHOTOS) --task all --output_dir $(DEMO)/photos
	$(BIN)/python -m tools.gallery --photo_dir $(DEMO)/photos --eval_dir $(DEMO)/eval \
		--output $(DEMO)/index.html

test: $(READY)  ## run all tests
	$(BIN)/python -m pytest

lint: $(READY)  ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)  ## fix style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environment and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache
