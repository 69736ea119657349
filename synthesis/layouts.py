"""Layouts: where the files of the three data sets lie, and writing a sample there."""

import json
from collections.abc import Sequence
from pathlib import Path

from synthesis.photo.camera import encode_jpeg, encode_png
from synthesis.samples import DetectionSample, RemovalSample, SegmentationSample
from utils.files import atomic_path

REMOVAL = "TextRemoval/SCUT-EnsText"
SEGMENTATION = "TextSegmentation/TextSeg"
DETECTION = "TamperedTextDetection/Tampered-IC13"
MANIFEST = "manifest.jsonl"
SPLITS = ("train", "test")


def sample_name(split: str, index: int) -> str:
    """Name of a sample in all three data sets; TextSeg keeps both splits in one folder."""
    return f"{split}_{index:06d}"


def removal_files(split: str, name: str, sample: RemovalSample) -> dict[str, bytes]:
    """Files of a sample, path below the output folder -> content.

    The pair is PNG although the original is JPEG: two JPEG files differ around the text beyond the
    mask. What JPEG did in the camera is in the pixels.
    """
    folder = f"{REMOVAL}/{split}"
    return {
        f"{folder}/image/{name}.png": encode_png(sample.image),
        f"{folder}/label/{name}.png": encode_png(sample.label),
        f"{folder}/mask/{name}.png": encode_png(sample.mask),
    }


def segmentation_files(name: str, sample: SegmentationSample) -> dict[str, bytes]:
    """Files of a sample, path below the output folder -> content."""
    camera = sample.camera
    return {
        f"{SEGMENTATION}/image/{name}.jpg": encode_jpeg(
            sample.image, camera.quality, camera.subsampling
        ),
        f"{SEGMENTATION}/semantic_label/{name}_maskfg.png": encode_png(sample.label),
    }


def detection_files(split: str, name: str, sample: DetectionSample) -> dict[str, bytes]:
    """Files of a sample, path below the output folder -> content; no box gives an empty file."""
    lines = [f"{box.line()}\n" for box in sample.boxes]
    return {
        f"{DETECTION}/{split}_img/{name}.jpg": encode_jpeg(
            sample.image, sample.quality, subsampling=True
        ),
        f"{DETECTION}/{split}_gt/{name}.txt": "".join(lines).encode(),
    }


def write_files(output_dir: Path, files: dict[str, bytes]) -> None:
    """Write files below a folder, making their folders."""
    for path, content in files.items():
        with atomic_path(output_dir / path) as temporary:
            temporary.write_bytes(content)


def write_split(output_dir: Path, names: dict[str, list[str]]) -> None:
    """Write TextSeg's split.json; the synthetic set has no validation split."""
    content = json.dumps({"train": names["train"], "val": [], "test": names["test"]}, indent=1)
    write_files(output_dir, {f"{SEGMENTATION}/split.json": content.encode()})


def write_manifest(output_dir: Path, records: Sequence[dict]) -> None:
    """Write one JSON line per image: task, split, name, background, camera, words, forgeries."""
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    write_files(output_dir, {MANIFEST: "".join(lines).encode()})


def read_manifest(output_dir: Path) -> list[dict]:
    """Records of `write_manifest`; ValueError naming the file if it is missing or damaged."""
    path = output_dir / MANIFEST
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot read this manifest ({error})") from None
