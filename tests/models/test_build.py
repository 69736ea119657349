"""The builder: variants, overrides and tasks."""

import pytest

from models import VARIANTS, build_upocr
from tasks import OFFICIAL_TASKS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "upocr_huge"}, "unknown variant 'upocr_huge', expected one of upocr, "),
        ({"depth": 3}, "unknown architecture options \\['depth'\\]"),
        ({"embed_dim": 0}, "embed_dim is 0"),
        ({"embed_dim": "24"}, "embed_dim is '24'"),
        ({"enc_depths": [2, 2, 2]}, "expected 4 positive numbers"),
        ({"dec_num_heads": [5, 12, 6, 3, 2]}, "does not divide into 5 heads"),
        ({"enc_window_size": 7}, "enc_window_size 7 must be even"),
        ({"dec_drop_path": 1.0}, "not in \\[0, 1\\)"),
        ({"tasks": ()}, "tasks are none"),
        ({"tasks": ("a", "b", "a")}, "tasks are a, b, a, expected distinct names"),
    ],
)
def test_builder_names_what_does_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_upocr(**arguments)


def test_variants_differ_only_in_numbers():
    tiny = build_upocr("upocr_tiny")
    assert [len(stage.blocks) for stage in tiny.encoder.backbone.layers] == [2, 2, 6, 2]
    assert [len(stage.blocks) for stage in tiny.decoder.layers] == [2, 6, 2, 2, 2]
    assert tiny.architecture["embed_dim"] == 96
    assert list(VARIANTS) == ["upocr", "upocr_tiny", "upocr_nano"]


def test_drop_path_grows_over_all_blocks():
    stages = build_upocr("upocr_nano", enc_drop_path=0.7).encoder.backbone.layers
    rates = [block.drop_path.p for stage in stages for block in stage.blocks]
    assert rates == pytest.approx([0.1 * index for index in range(8)])


@pytest.mark.parametrize("tasks", [OFFICIAL_TASKS, ("a",), ("d", "c", "b", "a")])
def test_the_prompt_table_has_one_row_per_task(tasks):
    model = build_upocr("upocr_nano", tasks)
    assert model.tasks == tasks
    assert len(model.task_prompt.task_embedding.weight) == len(tasks)
    assert "tasks" not in model.architecture


def test_overrides_do_not_change_the_variant():
    build_upocr("upocr_nano", embed_dim=16).architecture["enc_depths"][0] = 9
    assert VARIANTS["upocr_nano"]["embed_dim"] == 32
    assert VARIANTS["upocr_nano"]["enc_depths"] == [2, 2, 2, 2]
