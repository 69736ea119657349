"""Results: their files, their colours, and a further task that brings its own."""

import json

import numpy as np
import pytest
from own_images import Painter
from PIL import Image

from tasks import ERASED, TASKS, TEXT, PixelClass, Task, strongest_channel
from upocr import UPOCR
from upocr.results import RESULTS, ClassMap


def test_saved_files(painter, photo, tmp_path):
    removed = painter.remove_text(photo).save(tmp_path)
    segmented = painter.segment_text(photo).save(tmp_path, cutout=True)
    detected = painter.detect_tampering(photo).save(tmp_path)
    paths = [*removed, *segmented, *detected]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)
    cutout = np.array(Image.open(tmp_path / "image.cutout.png"))
    assert (cutout[45, 70] == (255, 0, 0, 255)).all()
    assert cutout[0, 0, 3] == 0
    regions = json.loads((tmp_path / "image.regions.json").read_text())
    assert regions["width"] == 200
    assert set(regions["regions"][0]) == {"class", "box", "polygon", "score", "area"}
    assert regions["regions"][0]["class"] == "tampered"
    words = json.loads((tmp_path / "image.words.json").read_text())
    assert [(word["class"], word["box"]) for word in words["regions"]] == [
        ("text", [60, 40, 90, 50]),
        ("text", [20, 100, 40, 108]),
    ]
    classes = np.array(Image.open(tmp_path / "image.classes.png"))
    assert (classes[45, 70] == (0, 0, 255)).all()
    assert (classes[0, 0] == (255, 0, 0)).all()


@pytest.mark.parametrize(
    ("task", "ending", "tint"),
    [
        ("text_removal", "removed_overlay", ERASED),
        ("text_segmentation", "mask_overlay", TEXT),
        ("tampered_text_detection", "classes_overlay", (0, 0, 255)),
    ],
)
def test_overlays_have_the_colour_of_the_meaning(painter, photo, tmp_path, task, ending, tint):
    painter.run(photo, [task])[task].save(tmp_path)
    overlay = np.array(Image.open(tmp_path / f"image.{ending}.png")).astype(int)
    expected = 0.4 * photo[45, 70] + 0.6 * np.array(tint)
    assert np.abs(overlay[45, 70] - expected).max() <= 1
    np.testing.assert_array_equal(overlay[140], photo[140] // 2 + 100)


def test_summaries(painter, photo):
    summaries = {task: result.summary() for task, result in painter.run(photo).items()}
    assert summaries["text_segmentation"] == {"text_area": 460, "score": 1}
    assert summaries["tampered_text_detection"] == {
        "genuine_area": 0,
        "tampered_area": 460,
        "text_area": 460,
        "num_regions": 2,
        "tampered_score": 1,
    }
    assert summaries["text_removal"]["text_area"] > 460
    empty = {task: result.summary() for task, result in painter.run(photo // 2).items()}
    assert empty["text_segmentation"] == {"text_area": 0, "score": None}
    assert empty["tampered_text_detection"]["tampered_score"] is None


def test_a_further_task_needs_nothing_but_its_registration(monkeypatch, photo, tmp_path):
    colours = {"paper": (255, 255, 255), "pencil": (90, 90, 90), "ink": (0, 0, 120)}
    classes = tuple(
        PixelClass(name, colour, None if name == "paper" else colour)
        for name, colour in colours.items()
    )
    monkeypatch.setitem(
        TASKS, "strokes", Task("strokes", "Strokes", classes, decode=strongest_channel)
    )
    monkeypatch.setitem(RESULTS, "strokes", ClassMap)

    class Writer(Painter):
        tasks = (*Painter.tasks, "strokes")

        def predict(self, images, tasks):
            known = ["tampered_text_detection" if task == "strokes" else task for task in tasks]
            return super().predict(images, known)

    model = UPOCR(Writer())
    result = model.run(photo, ["strokes"])["strokes"]
    np.testing.assert_array_equal(result.classes == 2, (photo == (255, 0, 0)).all(axis=2))
    assert [region.label for region in result.regions] == ["ink", "ink"]
    assert result.summary() == {"pencil_area": 0, "ink_area": 460}
    names = [path.name for path in result.save(tmp_path)]
    assert names == ["image.strokes.png", "image.strokes_overlay.png"]
    assert np.array(Image.open(tmp_path / names[0]))[45, 70].tolist() == [0, 0, 120]
    assert list(model.run(photo)) == list(Writer.tasks)
