"""Layouts: the files of a sample in the three data sets, and the manifest."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from synthesis.photo.encoding import encode_jpeg, encode_png
from synthesis.records import Record
from synthesis.samples import DetectionSample, RemovalSample, SegmentationSample
from utils.files import atomic_path
from utils.quote import quote

REMOVAL = "TextRemoval/SCUT-EnsText"
SEGMENTATION = "TextSegmentation/TextSeg"
DETECTION = "TamperedTextDetection/Tampered-IC13"
MANIFEST = "manifest.jsonl"
SPLITS = ("train", "test")


def sample_name(split: str, index: int) -> str:
    """Name of a sample in all three data sets; TextSeg keeps both splits in one folder."""
    return f"{split}_{index:06d}"


def split_of(name: object) -> str:
    """Split of a sample of this package; ValueError for the name of anything else."""
    for split in SPLITS:
        if isinstance(name, str) and re.fullmatch(rf"{split}_[^/\\\0]+", name):
            return split
    raise ValueError(f"{quote(name)} is no sample")


def sample_files(name: object) -> list[str]:
    """Files that a sample has, or may have, in all three data sets, below the output folder.

    Raises ValueError as `split_of`.
    """
    split = split_of(name)
    return [
        *(f"{REMOVAL}/{split}/{kind}/{name}.png" for kind in ("image", "label", "mask")),
        f"{SEGMENTATION}/image/{name}.jpg",
        f"{SEGMENTATION}/semantic_label/{name}_maskfg.png",
        f"{DETECTION}/{split}_img/{name}.jpg",
        f"{DETECTION}/{split}_gt/{name}.txt",
    ]


# All folders of a data set; no name of a sample is in them.
FOLDERS = sorted(
    {str(Path(file).parent) for split in SPLITS for file in sample_files(f"{split}_0")}
)


def removal_files(split: str, name: str, sample: RemovalSample) -> dict[str, bytes]:
    """Files of a sample, path below the output folder -> content.

    PNG, although the original is JPEG: two JPEG files would differ around the text beyond the mask.
    The camera's own JPEG artefacts are in the pixels.
    """
    folder = f"{REMOVAL}/{split}"
    return {
        f"{folder}/image/{name}.png": encode_png(sample.image),
        f"{folder}/label/{name}.png": encode_png(sample.label),
        f"{folder}/mask/{name}.png": encode_png(sample.mask),
    }


def segmentation_files(split: str, name: str, sample: SegmentationSample) -> dict[str, bytes]:
    """Files of a sample, path below the output folder -> content."""
    camera = sample.camera
    image = encode_jpeg(sample.image, camera.quality, camera.subsampling)
    return {
        f"{SEGMENTATION}/image/{name}.jpg": image,
        f"{SEGMENTATION}/semantic_label/{name}_maskfg.png": encode_png(sample.label),
    }


def detection_files(split: str, name: str, sample: DetectionSample) -> dict[str, bytes]:
    """Files of a sample, path below the output folder -> content; no box gives an empty file."""
    lines = [",".join(map(str, box)) + "\n" for box in sample.boxes]
    image = encode_jpeg(sample.image, sample.quality, subsampling=True)
    return {
        f"{DETECTION}/{split}_img/{name}.jpg": image,
        f"{DETECTION}/{split}_gt/{name}.txt": "".join(lines).encode(),
    }


def write_files(output_dir: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder, creating theirs."""
    for path, content in files.items():
        with atomic_path(output_dir / path) as temporary:
            temporary.write_bytes(content)


def write_split(output_dir: Path, counts: Mapping[str, int]) -> None:
    """Write TextSeg's split.json for `counts[split]` samples; there is no validation split."""
    names = {
        split: [sample_name(split, index) for index in range(counts[split])] for split in SPLITS
    }
    content = json.dumps({"train": names["train"], "val": [], "test": names["test"]}, indent=1)
    write_files(output_dir, {f"{SEGMENTATION}/split.json": content.encode()})


def write_manifest(output_dir: Path, records: Sequence[Record]) -> None:
    """Write one JSON line per image, see `describe`."""
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    write_files(output_dir, {MANIFEST: "".join(lines).encode()})
