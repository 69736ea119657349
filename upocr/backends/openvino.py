"""OpenVINO: exported weights on a CPU, in its own format or as ONNX."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from upocr.backends.archive import Archive, read_archive
from upocr.backends.graphs import GRAPHS, GraphBackend, Run


def load(path: Path, num_threads: int = 0) -> GraphBackend:
    """Load a file of `tools.export`; 0 threads: one per core. Raises ValueError."""
    return from_archive(read_archive(path), num_threads)


def from_archive(archive: Archive, num_threads: int = 0) -> GraphBackend:
    """A back end of an archive."""
    core = openvino.Core()
    # Where the processor has bfloat16, the default would round colours to 8 bits of precision.
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if num_threads:
        options["INFERENCE_NUM_THREADS"] = str(num_threads)
    models = {name: _read(core, archive, name) for name in GRAPHS}
    return GraphBackend(
        archive, {name: _request(core, model, options) for name, model in models.items()}
    )


def _read(core: openvino.Core, archive: Archive, name: str) -> openvino.Model:
    if archive.format == "onnx":
        return core.read_model(archive.files[f"{name}.onnx"], b"")
    return core.read_model(archive.files[f"{name}.xml"], archive.files[f"{name}.bin"])


def _request(core: openvino.Core, model: openvino.Model, options: dict[str, Any]) -> Run:
    compiled = core.compile_model(model, "CPU", options)

    def run(inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        found = compiled(dict(inputs))
        return [found[output] for output in compiled.outputs]

    return run
