#!/usr/bin/env bash
# Install the lowest versions that requirements-dev.txt allows in a temporary environment, and run
# the quick tests in it. Needs 6 GB of disk; arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/tools"
"$folder/tools/bin/python" -m pip install --quiet --disable-pip-version-check uv
uv=$folder/tools/bin/uv

"$uv" venv --quiet --python "${PYTHON:-python3}" "$folder/lowest"
export VIRTUAL_ENV=$folder/lowest UV_LINK_MODE=copy UV_CACHE_DIR=$folder/cache
"$uv" pip install --quiet --resolution lowest-direct -r requirements-dev.txt
"$uv" pip freeze
# The reference samples were decoded by a newer libjpeg, which differs by up to two grey levels.
OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 "$folder/lowest/bin/python" -m pytest -m "not slow" \
  --deselect tests/datasets/test_reference_samples.py "$@"
