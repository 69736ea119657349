"""Command: checkpoints as one safetensors file, to share or to run: weights and architecture."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save

from models.checkpoint import load_checkpoint
from models.upocr import STRIDE
from utils.cli import Parser, positive_int, run
from utils.dist import AMP_DTYPES
from utils.files import atomic_path
from utils.weights import METADATA

DTYPES = {"float32": torch.float32, **AMP_DTYPES}


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "checkpoints",
        type=Path,
        nargs="+",
        help="of main.py, or an official file; of several of one training the mean is taken",
    )
    parser.add_argument("output", type=Path, help="file to write, NAME.safetensors")
    parser.add_argument(
        "--dtype", choices=sorted(DTYPES), default="float32", help="of the weights; 16 bits: half"
    )
    parser.add_argument(
        "--image_size",
        type=positive_int,
        help="side in pixels of windows and of images in evaluation; default: as in training",
    )
    return parser


def export(
    checkpoints: Sequence[Path], output: Path, dtype: torch.dtype, image_size: int | None = None
) -> None:
    """Write the mean of the weights of `checkpoints`, without states of training and VGG16.

    The mean over the last epochs is less noisy than the last weights alone (Izmailov et al.,
    "Averaging Weights Leads to Wider Optima and Better Generalization").

    `image_size`: side in pixels that the file names, in place of that of the training.
    Raises ValueError for a file that cannot be read or is of another network than the first, and
    for an output of another suffix.
    """
    if image_size is not None and image_size % STRIDE:
        raise ValueError(f"--image_size is {image_size}, expected a multiple of {STRIDE}")
    if output.suffix != ".safetensors":
        raise ValueError(f"{output}: expected a name that ends with .safetensors")
    found = load_checkpoint(checkpoints[0])
    found.image_size = image_size or found.image_size
    total = {name: value.double() for name, value in found.model.items()}
    for path in checkpoints[1:]:
        other = load_checkpoint(path)
        if (other.architecture, other.tasks) != (found.architecture, found.tasks):
            raise ValueError(f"{path}: another network or other tasks than {checkpoints[0]}")
        total = {name: value + other.model[name].double() for name, value in total.items()}
    weights = {
        name: (value / len(checkpoints)).to(dtype).contiguous() for name, value in total.items()
    }
    entries = {**vars(found), "verdict": vars(found.verdict)}
    header = {name: json.dumps(entries[name]) for name in METADATA}
    with atomic_path(output) as temporary:
        temporary.write_bytes(save(weights, header))


def main() -> None:
    """Read, write, say so."""
    args = build_parser().parse_args()
    export(args.checkpoints, args.output, DTYPES[args.dtype], args.image_size)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run(main)
