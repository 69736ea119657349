"""Command: checkpoints as one file to share or to run, or as a web page that needs no server."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save

from models.checkpoint import Checkpoint, load_checkpoint
from models.upocr import STRIDE
from tools import web
from tools.graphs import export_archive
from upocr.backends.archive import FORMATS, SUFFIX, Archive, read_archive
from upocr.backends.choice import DEFAULT_WEIGHTS, is_exported
from utils.cli import Parser, positive_int, run
from utils.dist import AMP_DTYPES
from utils.files import atomic_path
from utils.weights import METADATA

DTYPES = {"float32": torch.float32, **AMP_DTYPES}
# Format -> how the name of its files ends.
SUFFIXES = {
    "safetensors": ".safetensors",
    **{format: f".{format}{SUFFIX}" for format in FORMATS},
}
WEB = "web"


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "checkpoints",
        type=Path,
        nargs="*",
        help="of main.py, or an official file; of several of one training the mean is taken; "
        f"none, with --format {WEB}: the shipped weights",
    )
    names = ", ".join(f"NAME{suffix} ({format})" for format, suffix in SUFFIXES.items())
    parser.add_argument(
        "--output", type=Path, required=True, help=f"file to write: {names}; or a folder ({WEB})"
    )
    parser.add_argument("--format", choices=(*sorted(SUFFIXES), WEB), default="safetensors")
    parser.add_argument(
        "--dtype", choices=sorted(DTYPES), default="float32", help="of the weights; 16 bits: half"
    )
    parser.add_argument(
        "--image_size",
        type=positive_int,
        help="side in pixels of windows and of images in evaluation; default: as in training",
    )
    parser.add_argument(
        "--onnxruntime_web",
        type=Path,
        help=f"folder of the unpacked npm package {web.PACKAGE} {web.VERSION}, for --format {WEB}; "
        "default: fetched with npm",
    )
    return parser


def export(
    checkpoints: Sequence[Path],
    output: Path,
    dtype: str,
    image_size: int | None = None,
    format: str = "safetensors",
    runtime: Path | None = None,
) -> None:
    """Write the mean of the weights of `checkpoints`, without states of training and VGG16.

    The mean over the last epochs is less noisy than the last weights alone (Izmailov et al.,
    "Averaging Weights Leads to Wider Optima and Better Generalization").

    `dtype`: of the weights, a name of `DTYPES`; `image_size`: side in pixels that the file names,
    in place of that of the training; `format`: of `SUFFIXES`, or `web`, which takes the shipped
    weights without a checkpoint; `runtime`: see `web.export_site`.
    Raises ValueError for a file that cannot be read or is of another network than the first, for an
    output of another suffix, and for graphs that differ from PyTorch.
    """
    if image_size is not None and image_size % STRIDE:
        raise ValueError(f"--image_size is {image_size}, expected a multiple of {STRIDE}")
    if not output.name.endswith(SUFFIXES.get(format, "")):
        raise ValueError(f"{output}: expected a name that ends with {SUFFIXES[format]}")
    if format != "safetensors" and dtype == "bfloat16":
        raise ValueError(f"--dtype bfloat16 is for safetensors; --format {format} has float16")
    if format == WEB:
        web.export_site(_archive(checkpoints, dtype, image_size), output, runtime)
        return
    if not checkpoints:
        raise ValueError("name a checkpoint")
    found = _mean(checkpoints, DTYPES[dtype])
    found.image_size = image_size or found.image_size
    if format == "safetensors":
        entries = {**vars(found), "verdict": vars(found.verdict)}
        header = {name: json.dumps(entries[name]) for name in METADATA}
        with atomic_path(output) as temporary:
            temporary.write_bytes(save(found.model, header))
    else:
        export_archive(found, format, dtype).write(output)


def _archive(checkpoints: Sequence[Path], dtype: str, image_size: int | None) -> Archive:
    """The weights as ONNX: of checkpoints, of a file that this command wrote, or the shipped."""
    if checkpoints and not is_exported(checkpoints[0]):
        found = _mean(checkpoints, DTYPES[dtype])
        found.image_size = image_size or found.image_size
        return export_archive(found, "onnx", dtype)
    if len(checkpoints) > 1:
        raise ValueError(f"{checkpoints[0]}: an exported file has no mean with others")
    path = checkpoints[0] if checkpoints else DEFAULT_WEIGHTS
    archive = read_archive(path)
    if archive.format != "onnx":
        raise ValueError(f"{path}: holds {archive.format}, the page runs onnx")
    return replace(archive, image_size=image_size or archive.image_size)


def _mean(checkpoints: Sequence[Path], dtype: torch.dtype) -> Checkpoint:
    """The first checkpoint with the mean of all weights, in `dtype`."""
    found = load_checkpoint(checkpoints[0])
    total = {name: value.double() for name, value in found.model.items()}
    for path in checkpoints[1:]:
        other = load_checkpoint(path)
        if (other.architecture, other.tasks) != (found.architecture, found.tasks):
            raise ValueError(f"{path}: another network or other tasks than {checkpoints[0]}")
        total = {name: value + other.model[name].double() for name, value in total.items()}
    found.model = {
        name: (value / len(checkpoints)).to(dtype).contiguous() for name, value in total.items()
    }
    return found


def main() -> None:
    """Read, write, say so."""
    args = build_parser().parse_args()
    if args.onnxruntime_web and args.format != WEB:
        raise ValueError(f"--onnxruntime_web is for --format {WEB}")
    runtime = args.onnxruntime_web
    export(args.checkpoints, args.output, args.dtype, args.image_size, args.format, runtime)
    print(f"{args.output}: {_size(args.output) / 1e6:.1f} MB")


def _size(output: Path) -> int:
    files = output.rglob("*") if output.is_dir() else [output]
    return sum(path.stat().st_size for path in files)


if __name__ == "__main__":
    run(main)
