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

# The demo trains on a small synthetic set, and on the text-removal triplets in REAL if there are any.
# Those are evaluated and drawn as well: they show what training does, not what it leads to.
DEMO := output/demo
REAL ?= ../shared/real/TextRemoval/SCUT-EnsText/train
TRIPLETS := $(if $(wildcard $(REAL)/image),yes)
SYNTHETIC := synthetic-text-removal.yaml synthetic-tampered-text-detection.yaml \
	synthetic-text-segmentation.yaml
TRAIN_CONFIGS := $(addprefix data_configs/train/,$(SYNTHETIC) $(if $(TRIPLETS),scut-enstext-crops.yaml))
EVAL_CONFIGS := $(addprefix data_configs/eval/,$(SYNTHETIC) $(if $(TRIPLETS),scut-enstext.yaml))
DEMO_OPTIONS := --data_root $(DEMO)/data --num_workers 1

demo: $(READY)  ## train a small model jointly, evaluate it, draw contact sheets
	rm -rf $(DEMO) && mkdir -p $(DEMO)/data
	$(BIN)/python -m datasets.prepare.synthesize --output_dir $(DEMO)/data/synthetic \
		--num_train 200 --num_test 8 --size 256
	$(if $(TRIPLETS),for split in train test; do mkdir -p $(DEMO)/data/TextRemoval/SCUT-EnsText/$$split \
		&& cp -r "$(REAL)/." $(DEMO)/data/TextRemoval/SCUT-EnsText/$$split/; done)
	$(BIN)/python main.py $(DEMO_OPTIONS) --data_cfg_paths $(TRAIN_CONFIGS) --variant upocr_nano \
		--pix2pix_size 128 --vgg16_weights none --batch_size 1 --epochs 16 --iter_per_epoch 100 \
		--lr 7e-4 --lr_encoder_ratio 1 --warmup_epochs 2 --print_freq 50 --output_dir $(DEMO)/train \
		--task_weights text_removal=0.2 tampered_text_detection=0.6 text_segmentation=4
	$(BIN)/python main.py $(DEMO_OPTIONS) --eval true --resume $(DEMO)/train/checkpoint_last.pth \
		--eval_data_cfg_path $(EVAL_CONFIGS) --pix2pix_size 256 --visualize true --output_dir $(DEMO)/eval
	$(BIN)/python -m eval.contact_sheet --data_root $(DEMO)/data \
		--eval_data_cfg_path $(EVAL_CONFIGS) --output_dir $(DEMO)/eval

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
