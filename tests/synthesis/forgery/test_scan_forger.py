"""Forged scans: changes lie in tampered words, and all other words stay genuine."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synthesis.forgery.planning import FORGED_WORDS
from synthesis.forgery.scans import ScanForger
from synthesis.samples import GENUINE, TAMPERED, SampleSource, detection_sample
from synthesis.sampling import generator
from synthesis.scene.scans import draw_scan, split_scans
from synthesis.text.fonts import FontBook


def forger(seed: int, scans: Path, fonts: FontBook, min_height: float = 12) -> ScanForger:
    """A forger of a crop of one of the scans."""
    paths, rng = split_scans([scans], [])["train"], generator(seed)
    crops = [draw_scan(rng, paths, 400) for _ in range(2)]
    return ScanForger(rng, crops[0], crops[1], fonts, min_height)


def test_every_kind_occurs_and_changes_its_words_only(scans: Path, fonts: FontBook):
    kinds = set()
    for seed in range(12):
        forging = forger(seed, scans, fonts)
        before = forging.scan.pixels.copy()
        forgeries = forging.forge()
        assert forgeries
        changed = (before != forging.scan.pixels).any(axis=2)
        for forgery in forgeries:
            kinds.add(forgery.kind)
            x1, y1, x2, y2 = forgery.box
            assert changed[y1 : y2 + 1, x1 : x2 + 1].any()
            changed[y1 : y2 + 1, x1 : x2 + 1] = False
            if forgery.kind == "move":  # where the word was there is paper now
                changed[forgery.replaced.region.grown(1).clipped(400).window] = False
        assert not changed.any()
    assert kinds == {"copy", "swap", "move", "rewrite", "retexture"}


@pytest.mark.parametrize("seed", range(6))
def test_a_part_of_the_words_is_forged(scans: Path, fonts: FontBook, seed: int):
    forging = forger(seed, scans, fonts)
    forgeries = forging.forge()
    assert len(forging.touched) == len({id(forgery.replaced) for forgery in forgeries})
    assert 0 < len(forging.touched) <= FORGED_WORDS[1] * len(forging.scan.words) + 2


def test_small_words_stay_genuine(scans: Path, fonts: FontBook):
    assert not forger(0, scans, fonts, min_height=60).forge()


@pytest.mark.parametrize("seed", range(4))
def test_a_sample_of_a_scan_has_the_labels_of_any_other(
    scans: Path, source: SampleSource, seed: int
):
    paths = split_scans([scans], [])["train"]
    source = replace(source, scans=paths, scan_share=1.0, untampered=0.0)
    sample = detection_sample(generator(seed), source)
    assert sample.image.shape == (256, 256, 3)
    assert sample.record["scan"] in {path.name for path in paths}
    assert {box[-1] for box in sample.boxes} == {GENUINE, TAMPERED}
    assert [box[-1] for box in sample.boxes] == sorted(box[-1] for box in sample.boxes)
    for x1, y1, x2, y2, _ in sample.boxes:
        assert 0 <= x1 < x2 < 256
        assert 0 <= y1 < y2 < 256
    untampered = detection_sample(generator(seed), replace(source, untampered=1.0))
    assert (untampered.image == sample.before).all()
    assert np.all([box[-1] == GENUINE for box in untampered.boxes])
