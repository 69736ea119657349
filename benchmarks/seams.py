"""Error where windows meet: `python -m benchmarks.seams`, by the target and beside no windows."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.measure import synthetic_configs
from datasets import build_dataset
from upocr import UPOCR, tiling
from utils.cli import Parser, run

ZONES = ("borders", "inside")


@dataclass
class Errors:
    """Sums of absolute errors (0-1) over pixels, by zone."""

    tiled: dict[str, float]
    untiled: dict[str, float]
    pixels: dict[str, int]


def border_zone(height: int, width: int, window: int) -> np.ndarray:
    """(H, W) bool: where one window fades into the next."""
    ramp = tiling.ramp_of(window)
    rows, columns = np.zeros(height, bool), np.zeros(width, bool)
    for side, zone in ((height, rows), (width, columns)):
        for before, start in pairwise(tiling.window_starts(side, min(window, side), ramp)):
            first = tiling.ramp_start(start, before + window, ramp)
            zone[first : first + ramp] = True
    return rows[:, None] | columns


def measure(model: UPOCR, config: Path, data_root: Path) -> tuple[str, Errors]:
    """Errors of one data set whose sides are multiples of 32, and the name of its task."""
    dataset = build_dataset(config, tiling.STRIDE, data_root)
    predict = model.predict_windows([dataset.task])
    errors = Errors(*({zone: 0 for zone in ZONES} for _ in range(3)))
    for item in tqdm(dataset.items, desc=dataset.task, leave=False):
        sample = dataset.read(item)
        if "label" not in sample:
            raise ValueError(f"{config}: {item.name} has no target")
        image, target = np.asarray(sample["image"]), np.asarray(sample["label"]) / np.float32(255)
        target = target if target.ndim == 3 else target[..., None]
        whole = predict(tiling.to_unit(image)[None])[0].transpose(1, 2, 0)
        bands = tiling.tile(image, predict, model.window, model.batch_size)
        tiled = np.concatenate([band for _, band in bands])
        at_borders = border_zone(*image.shape[:2], model.window)
        for zone, pixels in zip(ZONES, (at_borders, ~at_borders), strict=True):
            for found, picture in ((errors.tiled, tiled), (errors.untiled, whole)):
                found[zone] += float(np.abs(picture - target)[pixels].mean(axis=1).sum())
            errors.pixels[zone] += int(pixels.sum())
    if not all(errors.pixels.values()):
        raise ValueError(f"{config}: no windows meet, choose a --window below {model.window}")
    return dataset.task, errors


def build_parser() -> Parser:
    """Options of the command."""
    parser = Parser(prog="python -m benchmarks.seams", description=__doc__)
    add = parser.add_argument
    add("--data_root", type=Path, default=Path("data"), help="folder of the data sets")
    add("--configs", type=Path, nargs="+", default=synthetic_configs("eval"))
    add("--weights", help="default: pretrained/upocr_nano.safetensors")
    add("--window", type=int, help="default: as the weights say; smaller than the pictures")
    return parser


def main() -> None:
    """The command."""
    args = build_parser().parse_args()
    model = UPOCR.from_pretrained(args.weights, "cpu", window=args.window)
    print(
        f"window {model.window}, overlap {tiling.OVERLAP}, mean absolute error to the target (0-1)"
    )
    print(f"{'task':24} {'zone':8} {'share':>6} {'untiled':>9} {'tiled':>9} {'ratio':>7}")
    for config in args.configs:
        task, errors = measure(model, config, args.data_root)
        total = sum(errors.pixels.values())
        for zone in ZONES:
            count = errors.pixels[zone]
            tiled, untiled = errors.tiled[zone] / count, errors.untiled[zone] / count
            print(
                f"{task:24} {zone:8} {count / total:6.2f} {untiled:9.5f} {tiled:9.5f} "
                f"{tiled / untiled:7.4f}",
                flush=True,
            )


if __name__ == "__main__":
    run(main)
