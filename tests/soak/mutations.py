"""Mutation fuzzing: damaged copies of every kind of file that the project reads."""

import io
import json
import random
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
import yaml
from hostile import texts
from PIL import Image
from safetensors.torch import save_file
from vectors import TINY

import options
from datasets import build_dataset
from datasets.boxes import paint_boxes, read_boxes
from datasets.files import names_of_split
from datasets.prepare.scut_enstext import draw_mask, read_polygons
from eval.records import read_metrics
from models import build_upocr
from models.checkpoint import build_from_checkpoint, load_checkpoint
from soak import Row
from soak.limits import Outcome, outcomes
from synthesis.replacing import replacing
from synthesis.scene.scans import read_scan
from tools import false_alarms, gallery, plot
from upocr.backends.archive import read_archive
from upocr.backends.choice import DEFAULT_WEIGHTS
from upocr.picture import read_pages
from upocr.records import Records, read_results
from utils.image import read_grey, read_rgb
from utils.logger import RunLog

INPUTS = 20_000  # at scale 1
BATCH = 50  # inputs per child process
MEMORY = 2**29  # bytes
MAX_PIXELS = 1_000_000  # of pictures; more are refused
# Numbers at which sizes and offsets break, little-endian and big-endian.
MAGIC = [
    number.to_bytes(size, order)
    for size in (2, 4, 8)
    for number in (0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1)
    for order in ("little", "big")
]

Read = Callable[[Path], Any]


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Args:
        file: name of the file.
        content: of a sound one.
        read: its reader; raises ValueError that names the file.
        values: its content as lists and dictionaries, if it is a text of them, and `dump`.
        dump: these values -> content.
    """

    file: str
    content: bytes
    read: Read = field(repr=False)
    values: Any = None
    dump: Callable[[Any], str] = json.dumps


def kinds(folder: Path) -> dict[str, Kind]:
    """Every kind of file, by name; `folder` is for files on the way."""
    return _pictures() | _weights(folder) | _records() | _texts()


def _pictures() -> dict[str, Kind]:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(noise[:5, :6]).resize((60, 40)))
    found: dict[str, Kind] = {}
    for suffix, arguments in {
        "png": {},
        "jpg": {"quality": 90, "exif": b"Exif\0\0" + Image.Exif().tobytes()},
        "webp": {"lossless": True},
        "gif": {},
        "bmp": {},
        "ppm": {},
        "tif": {"compression": "tiff_lzw"},
    }.items():
        stream = io.BytesIO()
        Image.fromarray(smooth).save(
            stream, Image.registered_extensions()[f".{suffix}"], **arguments
        )
        found[suffix] = Kind(f"a.{suffix}", stream.getvalue(), _read_picture)
    deep = np.arange(40 * 60 * 3, dtype=np.uint16).reshape(40, 60, 3) * 9
    for name, arguments in {
        "16-bit TIFF": {"compression": "zlib"},
        "tiled TIFF": {"compression": "zlib", "tile": (16, 16)},
        "plain TIFF": {},
    }.items():
        stream = io.BytesIO()
        tifffile.imwrite(stream, deep, photometric="rgb", **arguments)
        found[name] = Kind("a.tif", stream.getvalue(), _read_picture)
    stream = io.BytesIO()
    Image.fromarray(deep[:, :, 0]).save(stream, "PNG")
    found["16-bit PNG"] = Kind("a.png", stream.getvalue(), _read_picture)
    stream = io.BytesIO()
    Image.fromarray(smooth[:, :, 0]).save(stream, "PNG")
    found["label"] = Kind("a.png", stream.getvalue(), read_grey)
    found["image of a data set"] = Kind("a.jpg", found["jpg"].content, read_rgb)
    return found


def _read_picture(path: Path) -> None:
    for picture in read_pages(path, MAX_PIXELS):
        assert picture.rgb().shape[:2] == picture.size


def _weights(folder: Path) -> dict[str, Kind]:
    torch.manual_seed(0)
    model = build_upocr("upocr", **TINY)
    content = {"model": model.state_dict(), "architecture": model.architecture}
    torch.save(content | {"tasks": list(model.tasks), "image_size": 64}, folder / "a.pth")
    header = {"architecture": model.architecture, "tasks": list(model.tasks), "image_size": 64}
    save_file(
        model.state_dict(),
        folder / "a.safetensors",
        {name: json.dumps(value) for name, value in header.items()},
    )
    read = {name: (folder / name).read_bytes() for name in ("a.pth", "a.safetensors")}
    return {
        "checkpoint": Kind("a.pth", read["a.pth"], _read_weights),
        "safetensors": Kind("a.safetensors", read["a.safetensors"], _read_weights),
        "export": Kind("a.onnx.zip", DEFAULT_WEIGHTS.read_bytes(), read_archive),
    }


def _read_weights(path: Path) -> None:
    build_from_checkpoint(load_checkpoint(path))


def _records() -> dict[str, Kind]:
    page = {"page": "a", "width": 40, "height": 30, "files": ["a.removed.png", "a.mask.png"]}
    page |= {"text_segmentation": {"text_area": 3}}
    page |= {"tampered_text_detection": {"text_area": 3, "tampered_area": 1}}
    results = [{"input": "a.png", "tasks": ["a"], "options": {}, "seconds": 0.1, "pages": [page]}]
    metrics = {"a": {"task": "text_removal", "num_images": 2, "strict": {"psnr": 31.25}}}
    log = {"epoch": 0, "lr": 1e-4, "train": {"total": 1.0, "a/b": 2.0}, "val": {"a": {"psnr": 3}}}
    splits = {"train": ["a1", "a2"], "val": [], "test": ["a3"]}
    manifest = {"name": "train_000000", "split": "train"}
    return {
        name: Kind(file, json.dumps(values).encode(), read, values)
        for name, file, values, read in (
            ("results.json", "results.json", results, _read_results),
            ("metrics.json", "metrics.json", metrics, _read_metrics),
            ("log.txt", "log.txt", log, _read_log),
            ("split.json", "split.json", splits, lambda path: names_of_split(path, "train")),
            ("manifest.jsonl", "manifest.jsonl", manifest, _replace),
        )
    }


def _read_results(path: Path) -> None:
    Records(path.parent).files()
    for record in read_results(path):
        for page in record["pages"]:
            gallery.task_files(page)
    false_alarms.shares(path.parent)


def _read_metrics(path: Path) -> None:
    gallery.figure_rows(read_metrics(path))


def _read_log(path: Path) -> None:
    plot.read_run(path.parent)
    RunLog(path.parent, {"run": {"seed": 1}}, 1).begin()


def _replace(path: Path) -> None:
    with replacing(path.parent, overwrite=True) as folder:
        (folder / path.name).touch()


def _texts() -> dict[str, Kind]:
    run = {"run": {"device": "cpu", "seed": 1}, "optimisation": {"lr": 1e-4, "epochs": 3}}
    run |= {"data": {"data_cfg_paths": ["a.yaml"]}, "model": {"swin_enc_depths": [1, 1, 1, 1]}}
    data = {
        "task": "text_removal",
        "dataset": "scut_enstext",
        "name": "a",
        "root": "none",
        "split": "train",
        "transforms": [
            {"random_crop": {"probability": 1.0, "min_ratio": 0.4, "max_ratio": 1.0}},
            {"random_rotation": {"probability": 0.3, "max_angle": 10}},
            "resize",
        ],
    }
    texts_of = {
        "boxes": ("a.txt", "3,4,20,30,1\n5,6,30,40,2\n", _draw_boxes),
        "polygons": ("a.txt", "3,4,20,4,20,30,3,30\n1,1,9,1,9,9,1,9,word\n", _draw_polygons),
        "words of a scan": ("a.txt", "3,4,20,30,word\n5,6,30,40,two words\n", _read_words),
    }
    found = {
        name: Kind("a.yaml", yaml.safe_dump(values).encode(), read, values, yaml.safe_dump)
        for name, values, read in (
            ("options", run, lambda path: options.read_config(str(path))),
            ("data configuration", data, lambda path: build_dataset(path, 64)),
        )
    }
    return found | {
        name: Kind(file, text.encode(), read) for name, (file, text, read) in texts_of.items()
    }


def _draw_boxes(path: Path) -> None:
    paint_boxes(read_boxes(path), (64, 64))


def _draw_polygons(path: Path) -> None:
    draw_mask(read_polygons(path), (64, 64))


def _read_words(path: Path) -> None:
    Image.new("RGB", (64, 64)).save(path.with_suffix(".png"))
    read_scan.cache_clear()
    read_scan(path.with_suffix(".png"))


def mutated(kind: Kind, rng: random.Random) -> bytes:
    """A damaged copy of a file; half of those of lists and dictionaries have another value."""
    if kind.values is not None and rng.random() < 0.5:
        path, value = rng.choice(texts.paths(kind.values)), rng.choice(texts.VALUES)
        text = kind.dump(texts.with_value(kind.values, path, value))
        return text.encode("utf-8", "surrogateescape")
    content = bytearray(kind.content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        rng.choice(_DAMAGES)(content, rng)
    return bytes(content)


def _flip(content: bytearray, rng: random.Random) -> None:
    if content:
        content[_place(content, rng)] ^= 1 << rng.randrange(8)


def _set_magic(content: bytearray, rng: random.Random) -> None:
    number, place = rng.choice(MAGIC), _place(content, rng)
    content[place : place + len(number)] = number


def _delete(content: bytearray, rng: random.Random) -> None:
    place = _place(content, rng)
    del content[place : place + rng.choice((1, 4, 100))]


def _repeat(content: bytearray, rng: random.Random) -> None:
    place = _place(content, rng)
    content[place:place] = content[place : place + rng.choice((1, 8, 100))] * rng.choice((1, 9))


def _cut(content: bytearray, rng: random.Random) -> None:
    del content[_place(content, rng) :]


_DAMAGES = (_flip, _flip, _set_magic, _set_magic, _delete, _repeat, _cut)


def _place(content: bytearray, rng: random.Random) -> int:
    """A position; those of headers more often."""
    end = len(content) if rng.random() < 0.5 else min(len(content), 300)
    return rng.randrange(end) if end else 0


def attack(name: str, kind: Kind, count: int, folder: Path) -> list[tuple[int, Outcome]]:
    """Number and outcome of the first `count` mutations; the same in every run."""
    path = folder / kind.file

    def call(number: int) -> Callable[[], None]:
        def run() -> None:
            path.write_bytes(mutated(kind, random.Random(f"{name} {number}")))
            try:
                kind.read(path)
            except ValueError as error:
                if path.stem not in str(error):
                    raise AssertionError(f"the message does not name the file: {error}") from None
                raise

        return run

    found: list[tuple[int, Outcome]] = []
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        found += zip(numbers, outcomes([call(number) for number in numbers], MEMORY), strict=True)
    return found


def soak(scale: float) -> list[Row]:
    """Attack every kind of file; failures are told on standard error."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        every = kinds(Path(folder))
        count = max(1, round(INPUTS * scale / len(every)))
        for name, kind in every.items():
            work = Path(folder) / str(len(rows))
            work.mkdir()
            found = attack(name, kind, count, work)
            failed = [(number, each) for number, each in found if not each.survived]
            for number, each in failed:
                print(f"mutation {number} of {name}: {each.kind}: {each.message}", file=sys.stderr)
            rows.append(Row(f"mutated {name}", count, count - len(failed), len(failed)))
    return rows
