PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup help demo package weights test quick soak lint format clean

setup: $(READY)  ## create the environment (default)
	@echo "The environment is ready. Activate it: source $(BIN)/activate"

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/make \1\t\2/' | expand -t 16

$(READY): requirements.txt requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	@echo "Installing PyTorch and the other requirements in $(VENV), which takes a few minutes ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# The demo runs the shipped weights on a synthetic test split and on photographs: those in
# REAL (photos/, and triplets for text removal) if there are any, else three from scikit-image.
DEMO := output/demo
REAL ?= ../shared/real
TRIPLETS := $(wildcard $(REAL)/TextRemoval/SCUT-EnsText/train)
PHOTOS := $(or $(wildcard $(REAL)/photos),$(addprefix $(VENV)/lib/python*/site-packages/skimage/data/, \
	page.png text.png chelsea.png))
EVAL_CONFIGS := $(addprefix data_configs/eval/,synthetic-text-removal.yaml \
	synthetic-tampered-text-detection.yaml synthetic-text-segmentation.yaml \
	$(if $(TRIPLETS),scut-enstext.yaml))
DEMO_DATA := --data_root $(DEMO)/data --eval_data_cfg_path $(EVAL_CONFIGS) --output_dir $(DEMO)/eval

demo: $(READY)  ## run the shipped weights; draws output/demo/index.html
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
	@echo "Your own pictures in a web page: $(BIN)/python -m upocr serve"

# The package carries the shipped weights as ONNX: run this whenever they change.
weights: $(READY)  ## export the shipped weights into the package
	$(BIN)/python -m tools.export pretrained/upocr_nano.safetensors --format onnx --dtype float16 \
		--output upocr/weights/upocr_nano.onnx.zip

package: $(READY)  ## build the wheel and the source archive in dist/
	$(BIN)/python -m build

# Two workers use two cores better than the threads of PyTorch do.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

test: $(READY)  ## run all tests but the long ones
	$(PYTEST) -m "not long"

quick: $(READY)  ## run the fast tests, in about a minute
	$(PYTEST) -m "not slow and not long"

soak: $(READY)  ## run the long tests, then attack the project for about an hour
	$(PYTEST) -m long
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.soak

lint: $(READY)  ## check style, formatting, layers and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	.ci/layers
	$(BIN)/mypy

format: $(READY)  ## fix style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environment and all caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
