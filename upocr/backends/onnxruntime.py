"""ONNX Runtime: exported weights on a CPU, without PyTorch."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime

from upocr.backends.archive import Archive, read_archive
from upocr.backends.graphs import GRAPHS, GraphBackend, Run


def load(path: Path, num_threads: int = 0) -> GraphBackend:
    """Load a file of `tools.export --format onnx`; 0 threads: one per core. Raises ValueError."""
    return from_archive(read_archive(path), path, num_threads)


def from_archive(archive: Archive, path: Path, num_threads: int = 0) -> GraphBackend:
    """A back end of an archive that was read from `path`; raises ValueError."""
    if archive.format != "onnx":
        raise ValueError(f"{path}: holds {archive.format}, the back end onnxruntime runs onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    # Threads that spin while they wait steal time from each other as soon as cores are shared.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    runs = {name: _session(archive.files[f"{name}.onnx"], options) for name in GRAPHS}
    return GraphBackend(archive, runs)


def _session(model: bytes, options: onnxruntime.SessionOptions) -> Run:
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        return session.run(None, dict(inputs))

    return run
