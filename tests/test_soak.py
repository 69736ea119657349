"""The short form of `make soak`: some of every attack, the same in every run."""

import pytest
from soak import concurrency, mutations, properties

INPUTS = 300


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    return mutations.kinds(tmp_path_factory.mktemp("kinds"))


NAMES = (
    *("png", "jpg", "webp", "gif", "bmp", "ppm", "tif", "16-bit TIFF", "tiled TIFF", "plain TIFF"),
    *("16-bit PNG", "label", "image of a data set", "checkpoint", "safetensors", "export"),
    *("results.json", "metrics.json", "log.txt", "split.json", "manifest.jsonl", "options"),
    *("data configuration", "boxes", "polygons", "words of a scan"),
)


def test_every_kind_is_attacked(kinds):
    assert tuple(kinds) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_are_read_or_refused_in_one_line(kinds, tmp_path, name):
    count = -(-INPUTS // len(NAMES))
    found = mutations.attack(name, kinds[name], count, tmp_path)
    assert len(found) == count
    assert [(number, outcome) for number, outcome in found if not outcome.survived] == []


def test_the_mutations_damage_files(kinds, tmp_path):
    found = mutations.attack("bmp", kinds["bmp"], 20, tmp_path)
    assert {outcome.kind for _, outcome in found} == {"read", "refused"}


@pytest.mark.parametrize("check", properties.PROPERTIES, ids=lambda check: check.__name__)
def test_hypothesis_does_not_break(check):
    properties.attempt(check, examples=25)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["predictions", "syntheses"])
def test_concurrent_runs_do_not_mix(name):
    [row] = concurrency.soak(0, [name])
    assert (row.tried, row.failed) == (1, 0)
