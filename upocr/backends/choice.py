"""Which back end runs which weights, and which is the fastest one there."""

import importlib.util
from pathlib import Path

from upocr.backends import Backend
from upocr.backends.archive import SUFFIX, read_archive
from upocr.backends.graphs import check_options
from upocr.download import DOWNLOADS, Downloads, cached, is_url

AUTO, TORCH, ONNXRUNTIME, OPENVINO = "auto", "torch", "onnxruntime", "openvino"
BACKENDS = (AUTO, TORCH, ONNXRUNTIME, OPENVINO)
# On a CPU, fastest first: `python -m benchmarks.backends`. OpenVINO, which is installed on request
# only, takes a second to load.
FASTEST = (OPENVINO, ONNXRUNTIME, TORCH)

PACKAGE = Path(__file__).resolve().parents[1]
CLONE = PACKAGE.parent
DEFAULT_WEIGHTS = PACKAGE / "weights" / "upocr_nano.onnx.zip"
HOW = {
    TORCH: "works in a clone of the repository with its requirements: run predict.py there",
    ONNXRUNTIME: "needs `pip install onnxruntime`",
    OPENVINO: "needs `pip install openvino`",
}


def is_available(name: str) -> bool:
    """Whether a back end can run here; imports nothing."""
    if name != TORCH:
        return importlib.util.find_spec(name) is not None
    # Another package may be called `models`.
    found = importlib.util.find_spec("models")
    ours = found is not None and found.origin == str(CLONE / "models" / "__init__.py")
    return ours and importlib.util.find_spec("torch") is not None


def choose(backend: str, weights: str | Path | None, device: str, dtype: str, compile: bool) -> str:
    """Name of the back end for some weights; arguments as of `UPOCR.from_pretrained`.

    Raises ValueError if there is none.
    """
    if backend not in BACKENDS:
        raise ValueError(f"unknown back end {backend!r}, expected one of {', '.join(BACKENDS)}")
    if backend == AUTO:
        backend = _fastest(weights, device, dtype, compile)
    if not is_available(backend):
        needed = "" if weights is None or is_exported(weights) else f"{weights}: "
        raise ValueError(f"{needed}the back end {backend} {HOW[backend]}")
    return backend


def _fastest(weights: str | Path | None, device: str, dtype: str, compile: bool) -> str:
    if weights is not None and not is_exported(weights):
        return TORCH
    if device not in ("auto", "cpu") or dtype not in ("auto", "float32") or compile:
        return TORCH
    if weights is None and device == "auto" and is_available(TORCH) and _has_accelerator():
        return TORCH
    return next((name for name in FASTEST if is_available(name)), ONNXRUNTIME)


def _has_accelerator() -> bool:
    from upocr.backends.torch import has_accelerator  # noqa: PLC0415 - torch takes seconds

    return has_accelerator()


def is_exported(weights: str | Path) -> bool:
    """Whether weights are a file of `tools.export` for other runtimes than PyTorch."""
    return str(weights).endswith(SUFFIX)


def load_backend(
    backend: str = AUTO,
    weights: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    compile: bool = False,
    num_threads: int = 0,
    downloads: Downloads = DOWNLOADS,
) -> Backend:
    """Load weights; arguments as of `UPOCR.from_pretrained`. Raises ValueError."""
    if isinstance(weights, str) and is_url(weights):
        weights = cached(weights, downloads)
    name = choose(backend, weights, device, dtype, compile)
    if name == TORCH:
        if weights is not None and is_exported(weights):
            raise ValueError(f"{weights}: exported weights, which the back end torch does not run")
        from upocr.backends import torch  # noqa: PLC0415 - takes seconds, and needs a clone

        return torch.load(weights, device, dtype, compile, num_threads)
    check_options(name, device, dtype, compile)
    if weights is not None and not is_exported(weights):
        raise ValueError(
            f"{weights}: the back end {name} runs files of `python -m tools.export --format onnx`, "
            f"whose names end with {SUFFIX}"
        )
    path = DEFAULT_WEIGHTS if weights is None else Path(weights)
    archive = read_archive(path)
    if name == ONNXRUNTIME:
        from upocr.backends import onnxruntime  # noqa: PLC0415 - loads the runtime

        return onnxruntime.from_archive(archive, path, num_threads)
    from upocr.backends import openvino  # noqa: PLC0415 - loads the runtime

    return openvino.from_archive(archive, num_threads)
