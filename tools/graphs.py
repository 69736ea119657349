"""A checkpoint as two graphs for ONNX Runtime and OpenVINO, checked against PyTorch."""

import hashlib
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import torch
from torch import Tensor, nn

from models import UPOCRNetwork
from models.checkpoint import Checkpoint, build_from_checkpoint
from models.fast.graphs import DecoderGraph, EncoderGraph, build_graphs
from upocr.backends import Backend
from upocr.backends.archive import Archive, Half
from upocr.backends.graphs import DECODER, ENCODER, FEATURES
from upocr.backends.layout import Tables, decoder_tables, encoder_tables
from upocr.tiling import to_unit

OPSET = 23  # the first with attention as one operator
TOLERANCE = 1e-3  # largest difference from PyTorch, of values in [0, 1]
SMALL = (96, 160)  # a picture whose maps do not divide into windows
LEAST_SIZE = 256  # smaller constants keep their type
PICTURES = ("page", "text", "chelsea")  # of scikit-image: print, handwriting, none


class _Encoder(nn.Module):
    """The encoder with its tables as positional arguments, in the order of `names`."""

    def __init__(self, graph: EncoderGraph, names: Sequence[str]) -> None:
        super().__init__()
        self.network, self.names = graph, list(names)  # fx reserves `graph`

    def forward(self, images: Tensor, *tables: Tensor) -> list[Tensor]:
        return self.network(images, dict(zip(self.names, tables, strict=True)))


class _Decoder(nn.Module):
    """The decoder likewise; the tables follow the features."""

    def __init__(self, graph: DecoderGraph, names: Sequence[str]) -> None:
        super().__init__()
        self.network, self.names = graph, list(names)  # fx reserves `graph`

    def forward(self, task: Tensor, *inputs: Tensor) -> Tensor:
        count = len(FEATURES)
        tables = dict(zip(self.names, inputs[count:], strict=True))
        return self.network(task, list(inputs[:count]), tables)


def export_archive(checkpoint: Checkpoint, format: str, dtype: str) -> Archive:
    """The archive of a checkpoint, whose weights have been rounded to `dtype` already.

    Raises ValueError if packages are missing, and if the graphs differ from PyTorch by more than
    `TOLERANCE`.
    """
    model = build_from_checkpoint(checkpoint).eval()
    files = _onnx_files(model)
    if format == "openvino":
        files = _openvino_files(files)
    numbers = model.architecture
    encoder, decoder = (
        Half(tuple(numbers[f"{half}_depths"]), numbers[f"{half}_window_size"])
        for half in ("enc", "dec")
    )
    archive = Archive(
        format=format,
        tasks=checkpoint.tasks,
        image_size=checkpoint.image_size,
        verdict=checkpoint.verdict,
        encoder=encoder,
        decoder=decoder,
        dtype=dtype,
        weights=weights_checksum(checkpoint.model),
        files=files,
    )
    worst = difference(model, _backend(archive), checkpoint.image_size)
    if not worst <= TOLERANCE:
        raise ValueError(
            f"the exported graphs differ from PyTorch by {worst:.1e}, more than {TOLERANCE:g}: the "
            "installed versions of torch, onnx and the runtime do not fit together"
        )
    return archive


def weights_checksum(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, shapes and float32 values."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        value = weights[name].float().contiguous()
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def _backend(archive: Archive) -> Backend:
    if archive.format == "openvino":
        from upocr.backends import openvino  # noqa: PLC0415 - optional

        return openvino.from_archive(archive)
    from upocr.backends import onnxruntime  # noqa: PLC0415 - takes a second

    return onnxruntime.from_archive(archive, Path(ENCODER))


def difference(model: UPOCRNetwork, backend: Backend, side: int) -> float:
    """Largest difference of all tasks on real pictures, whole windows and small ones."""
    worst = 0.0
    for height, width in ((side, side), SMALL):
        images = real_pictures(height, width)
        with torch.inference_mode():
            tasks = [list(model.tasks)] * len(images)
            expected = model(torch.from_numpy(images), tasks)[-1].clamp(0, 1).numpy()
        found = backend.predict(images, model.tasks)
        worst = max(worst, float(np.abs(found - expected).max()))
    return worst


def real_pictures(height: int, width: int) -> np.ndarray:
    """Corners of photographs of scikit-image, (3, 3, height, width) float32 in [0, 1]."""
    corners = []
    for name in PICTURES:
        image = np.atleast_3d(getattr(skimage.data, name)())[:height, :width, :3]
        missing = [(0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0)]
        padded = np.pad(image, missing, mode="symmetric")
        corners.append(to_unit(np.broadcast_to(padded, (height, width, 3))))
    return np.stack(corners)


def _onnx_files(model: UPOCRNetwork) -> dict[str, bytes]:
    """Both graphs as ONNX."""
    encoder, decoder = build_graphs(model)
    numbers = model.architecture
    # Sides that no two dimensions share, so that the exporter does not take them for one.
    height, width = 352, 416
    images = torch.zeros(2, 3, height, width)
    tables = _tensors(
        encoder_tables(height, width, numbers["enc_depths"], numbers["enc_window_size"])
    )
    with torch.no_grad():
        features = encoder(images, tables)
    dynamic = torch.export.Dim.DYNAMIC
    sizes = ({0: dynamic, 2: dynamic, 3: dynamic}, _dynamic(tables))
    files = {
        f"{ENCODER}.onnx": _export(
            _Encoder(encoder, list(tables)),
            (images, *tables.values()),
            ["images", *tables],
            list(FEATURES),
            sizes,
        )
    }
    tables = _tensors(
        decoder_tables(height, width, numbers["dec_depths"], numbers["dec_window_size"])
    )
    maps = tuple({0: dynamic, 1: dynamic, 2: dynamic} for _ in FEATURES)
    files[f"{DECODER}.onnx"] = _export(
        _Decoder(decoder, list(tables)),
        (torch.zeros(1, dtype=torch.int64), *features, *tables.values()),
        ["task", *FEATURES, *tables],
        ["image"],
        (None, (*maps, *_dynamic(tables))),
    )
    return files


def _tensors(tables: Tables) -> dict[str, Tensor]:
    return {name: torch.from_numpy(table) for name, table in tables.items()}


def _dynamic(tables: Mapping[str, Tensor]) -> tuple[dict[int, Any], ...]:
    """Which sizes of the tables are free: windows; height and width of maps."""
    free = torch.export.Dim.DYNAMIC
    is_map = {name: name.endswith(("map", "merge")) for name in tables}
    return tuple({0: free, 1: free} if is_map[name] else {0: free} for name in tables)


def _export(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    input_names: list[str],
    output_names: list[str],
    sizes: tuple[Any, ...],
) -> bytes:
    try:
        import onnxscript  # noqa: F401, PLC0415 - torch.onnx needs it
    except ImportError:
        raise ValueError("--format needs `pip install onnx onnxscript`") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about names of sizes
        program = torch.onnx.export(
            module.eval(),
            inputs,
            dynamo=True,  # the older exporter writes another network without complaint
            opset_version=OPSET,
            input_names=input_names,
            output_names=output_names,
            dynamic_shapes=sizes,
            verbose=False,
        )
    assert program is not None
    return _with_short_constants(program.model_proto).SerializeToString()


def _with_short_constants(model: Any) -> Any:
    """Store constants in float16 where that changes no value; runtimes widen them when loading."""
    import onnx  # noqa: PLC0415 - see `_export`

    graph = model.graph
    widened = []
    for constant in graph.initializer:
        values = onnx.numpy_helper.to_array(constant)
        if values.dtype != np.float32 or values.size < LEAST_SIZE:
            continue
        with np.errstate(over="ignore"):
            short = values.astype(np.float16)
        if not np.array_equal(short.astype(np.float32), values):
            continue
        name = constant.name
        constant.CopyFrom(onnx.numpy_helper.from_array(short, f"{name}_float16"))
        cast = onnx.helper.make_node(
            "Cast", [constant.name], [name], to=onnx.TensorProto.FLOAT, name=f"{name}_widened"
        )
        widened.append(cast)
    nodes = [*widened, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


@cache
def _openvino() -> Any:
    try:
        import openvino  # noqa: PLC0415 - optional
    except ImportError:
        raise ValueError("--format openvino needs `pip install openvino`") from None
    return openvino


def _openvino_files(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """ONNX graphs in the format of OpenVINO."""
    openvino = _openvino()
    found: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in (ENCODER, DECODER):
            model = openvino.Core().read_model(files[f"{name}.onnx"], b"")
            path = Path(folder) / f"{name}.xml"
            openvino.save_model(model, path, compress_to_fp16=False)
            for file in (path, path.with_suffix(".bin")):
                found[file.name] = file.read_bytes()
    return found
