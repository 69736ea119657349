"""Scans: files with word boxes, splits, crops."""

from pathlib import Path

import pytest

from synthesis.sampling import generator
from synthesis.scene.scans import draw_scan, read_scan, split_scans


def names(paths: list[Path]) -> set[str]:
    """File names without their suffix."""
    return {path.stem for path in paths}


def test_held_out_scans_are_for_testing(scans: Path):
    splits = split_scans([scans], [])
    assert names(splits["train"]) == {"bank", "shop_a", "shop_b"}
    assert not splits["test"]
    assert names(split_scans([scans], ["shop_*"])["test"]) == {"shop_a", "shop_b"}
    assert names(split_scans([scans], ["shop_*"])["train"]) == {"bank"}
    assert not split_scans([scans.parent], [f"{scans.name}/*"])["train"]
    with pytest.raises(ValueError, match="mosque"):
        split_scans([scans], ["mosque*"])


def test_words_may_contain_commas(scans: Path):
    words = read_scan(scans / "bank.png").words
    assert len(words) == 33
    assert all("," in word.text and word.region.width > 40 for word in words)


def test_a_line_without_a_box_is_named(tmp_path: Path, scans: Path):
    (tmp_path / "page.png").symlink_to(scans / "bank.png")
    (tmp_path / "page.txt").write_text("1,2,30,40,ok\n1,2,3 TOTAL\n")
    with pytest.raises(ValueError, match=r"page.txt:2"):
        read_scan(tmp_path / "page.png")


def test_boxes_of_bare_paper_are_left_out(tmp_path: Path, scans: Path):
    (tmp_path / "page.png").symlink_to(scans / "bank.png")
    lines = (scans / "bank.txt").read_text()
    (tmp_path / "page.txt").write_text(lines + "5,660,600,695,ghost\n30,40,20,50,empty\n")
    words = read_scan(tmp_path / "page.png").words
    assert words == read_scan(scans / "bank.png").words


@pytest.mark.parametrize("side", [200, 900])  # smaller and larger than the document
@pytest.mark.parametrize("seed", range(3))
def test_boxes_of_a_crop_hold_ink_on_paper(scans: Path, seed: int, side: int):
    scan = draw_scan(generator(seed), [scans / "bank.png"], side)
    assert scan.pixels.shape == (side, side, 3)
    assert scan.words
    dark = scan.pixels.mean(axis=2) < 130
    for word in scan.words:
        inside = word.region.clipped(side)
        if inside.width > 30 and inside.height > 20:
            assert dark[inside.window].any()
        dark[word.region.grown(1).clipped(side).window] = False
    assert not dark.any()
