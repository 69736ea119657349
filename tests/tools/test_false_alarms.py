"""Shares of false alarms: of known areas, together by pixels, and one-line errors."""

import json
import sys

import pytest

from tools import false_alarms
from tools.false_alarms import shares


def page(name: str, side: int, segmented: int, detected: int, tampered: int) -> dict:
    """A page as predict.py --task all records it."""
    return {
        "page": name,
        "files": [],
        "width": side,
        "height": side,
        "text_segmentation": {"text_area": segmented},
        "tampered_text_detection": {"text_area": detected, "tampered_area": tampered},
    }


def write(folder, *records) -> None:
    (folder / "results.json").write_text(json.dumps(records))


def test_shares_of_known_areas(tmp_path):
    pages = [page("a", 10, 5, 20, 5), page("b", 20, 0, 0, 0)]
    write(tmp_path, *({"input": f"{each['page']}.png", "pages": [each]} for each in pages))
    assert shares(tmp_path) == {
        "pictures": {
            "a.png": {"text": 0.05, "tampered": 0.25},
            "b.png": {"text": 0.0, "tampered": 0.0},
        },
        "total": {"text": 5 / 500, "tampered": 0.25},
    }


def test_pictures_of_one_name_and_pages_of_one_file_all_count(tmp_path):
    one, two = page("a", 10, 5, 20, 5), page("a", 10, 15, 0, 0)
    records = [{"input": "x/a.png", "pages": [one]}, {"input": "y/a.png", "pages": [two]}]
    write(tmp_path, *records, {"input": "z.tif", "pages": [one | {"page": "z.page1"}, two]})
    found = shares(tmp_path)
    assert list(found["pictures"]) == ["x/a.png", "y/a.png", "z.tif z.page1", "z.tif a"]
    assert found["total"]["text"] == 40 / 400


def test_command_prints_and_writes(tmp_path, monkeypatch, capsys):
    write(tmp_path, {"input": "a.png", "pages": [page("a", 10, 5, 20, 5)]})
    out = tmp_path / "shares.json"
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path), "--json", str(out)])
    false_alarms.main()
    assert "text  5.000% of the image  tampered  25.00% of the text" in capsys.readouterr().out
    assert json.loads(out.read_text()) == shares(tmp_path)


def test_bad_results_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"results\.json: no such file"):
        shares(tmp_path)
    write(tmp_path)
    with pytest.raises(ValueError, match="no finished image"):
        shares(tmp_path)
    write(tmp_path, {"input": "a.png", "error": "a.png: broken", "pages": []})
    with pytest.raises(ValueError, match=r"a\.png: broken"):
        shares(tmp_path)
    missing = page("a", 10, 5, 20, 5)
    del missing["tampered_text_detection"]
    write(tmp_path, {"input": "a.png", "pages": [missing]})
    with pytest.raises(ValueError, match="a lacks tampered_text_detection"):
        shares(tmp_path)


@pytest.mark.parametrize("content", ['{"a": 1}', '[{"input": "a"}]', "[1]", '[{"pages": []}]'])
def test_json_of_others_is_named(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(ValueError, match=r"results\.json: not written by predict\.py"):
        shares(tmp_path)
