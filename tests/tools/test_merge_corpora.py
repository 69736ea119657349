"""Merging synthetic corpora, and the pictures that wallpaper packages hold."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools.collect_backgrounds import collect, embedded
from tools.merge_corpora import SPLIT_FILE, merge


def make_corpus(folder: Path, content: str) -> Path:
    """One training sample of two data sets and a split file, as `synthesize` writes them."""
    files = {
        "TextRemoval/SCUT-EnsText/train/image/train_000000.png": content,
        "TextSegmentation/TextSeg/semantic_label/train_000000_maskfg.png": content,
        SPLIT_FILE: json.dumps({"train": ["train_000000"], "val": [], "test": []}),
        "manifest.jsonl": "{}",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_merged_corpora_keep_every_sample(tmp_path):
    corpora = [make_corpus(tmp_path / name, name) for name in ("11", "22")]
    output = tmp_path / "all"
    assert merge(corpora[:1], output, overwrite=False) == 1
    with pytest.raises(ValueError, match="--overwrite true"):
        merge(corpora, output, overwrite=False)
    assert merge(corpora, output, overwrite=True) == 2
    for corpus in ("11", "22"):
        name = f"train_{corpus}_000000"
        assert (output / f"TextRemoval/SCUT-EnsText/train/image/{name}.png").read_text() == corpus
        label = output / f"TextSegmentation/TextSeg/semantic_label/{name}_maskfg.png"
        assert label.read_text() == corpus
    splits = json.loads((output / SPLIT_FILE).read_text())
    assert splits["train"] == ["train_11_000000", "train_22_000000"]
    assert len([path for path in output.rglob("*") if path.is_file()]) == 6
    assert merge(corpora[1:], output, overwrite=True) == 1
    assert sorted(path.name for path in output.rglob("*") if path.is_file()) == [
        "manifest.jsonl",
        "split.json",
        "train_22_000000.png",
        "train_22_000000_maskfg.png",
    ]


def test_merging_deletes_nothing_of_others(tmp_path):
    corpora = [make_corpus(tmp_path / name, name) for name in ("11", "22")]
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "letter.txt").write_text("mine")
    with pytest.raises(ValueError, match="documents: the folder is not empty, choose another"):
        merge(corpora, documents, overwrite=True)
    assert [path.name for path in documents.iterdir()] == ["letter.txt"]
    for place in (corpora[0], tmp_path, corpora[0] / "new"):
        with pytest.raises(ValueError, match="one folder, or one lies in the other"):
            merge(corpora, place, overwrite=True)
    with pytest.raises(ValueError, match="same name"):
        merge([corpora[0], corpora[0]], tmp_path / "all", overwrite=True)


def photograph(seed: int, size: tuple[int, int] = (480, 420)) -> Image.Image:
    """A coarse random pattern."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG")
    return buffer.getvalue()


def test_images_are_found_in_a_resource_file():
    data = b"\0junk" + encoded(photograph(1)) + b"RIFF\xff\xd8\xff" + encoded(photograph(2))
    assert [picture.size for picture in embedded(data)] == [(480, 420)] * 2


def test_twins_small_and_excluded_pictures_are_left_out(tmp_path):
    folder = tmp_path / "packages" / "some-backgrounds"
    folder.mkdir(parents=True)
    photograph(1).save(folder / "hill.png")
    photograph(1, (960, 840)).save(folder / "hill_large.png")
    photograph(2).save(folder / "sea.jpg")
    photograph(3).save(folder / "sign.jpg")
    photograph(4, (300, 300)).save(folder / "small.jpg")
    excluded = {"some-backgrounds-sign"}
    names = collect(tmp_path / "packages", tmp_path / "out", excluded)
    assert names == ["some-backgrounds-hill", "some-backgrounds-sea"]
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == names
