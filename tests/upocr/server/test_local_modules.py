"""The engine of the page without a server does what the package does."""

import json
from dataclasses import asdict

import cv2
import javascript
import numpy as np
import pytest
from javascript import Modules, rgba
from own_images import Painter

from upocr import UPOCR
from upocr.backends.archive import Archive, Half
from upocr.backends.layout import decoder_tables, encoder_tables
from upocr.composite import blend, change_mask
from upocr.decisions import RULE, confirmed_text, judge_words
from upocr.picture import Picture
from upocr.regions import find_regions
from upocr.scales import half_sizes, large_text
from upocr.tasks import TASKS, TEXT_SEGMENTATION, UNCALIBRATED, Verdict
from upocr.tiling import count_windows, enlarge, tile, window_starts

MISSING = javascript.missing()
pytestmark = pytest.mark.skipif(MISSING is not None, reason=f"{MISSING} is not installed")

SIZES = [(1, 1), (3, 1), (1, 300), (33, 31), (65, 64), (64, 128), (150, 203), (333, 40)]
PAINTER = """const paint = (values, height, width, tasks) => {
  const size = height * width;
  const text = Float32Array.from({ length: size },
    (_, i) => Number(values[i] > 0.9 && values[i + size] < 0.1));
  const none = text.map((is) => 1 - is);
  return tasks.flatMap((task) => ({
    text_removal: [0, 1, 2].map((c) => text.map((is, i) =>
      values[c * size + i] * (1 - is) + (c === 2 ? is : 0))),
    text_segmentation: [text, text, text],
    tampered_text_detection: [none, text.map((is, i) => is * (values[i + size] > 0.05)),
      text.map((is, i) => is * (values[i + size] <= 0.05))],
  })[task]);
};"""


class Judge(Painter):
    """Text with a little green is genuine; `PAINTER` is the same in JavaScript."""

    def predict(self, images, tasks):
        found = super().predict(images, tasks)
        if "tampered_text_detection" in tasks:
            detection = found[:, list(tasks).index("tampered_text_detection")]
            is_genuine = images[:, 1] > 0.05
            detection[:, 1] = detection[:, 2] * is_genuine
            detection[:, 2] *= ~is_genuine
        return found


@pytest.fixture(scope="module")
def modules(tmp_path_factory) -> Modules:
    return Modules(tmp_path_factory.mktemp("modules"))


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


def blobs(seed: int, height: int = 90, width: int = 140) -> np.ndarray:
    """A map of classes 0, 1 and 2 in blobs of all sizes, those of the border included."""
    rng = np.random.default_rng(seed)
    text, tampered = (
        cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), sigma)
        for sigma in (2 + seed % 3, 1.5)
    )
    found = np.where(text > 0.5 * text.std(), 1, 0)
    return np.where((found > 0) & (tampered > 0.3 * tampered.std()), 2, found).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96), (352, 416), (512, 512)])
@pytest.mark.parametrize("side", [8, 16])
def test_tables_are_those_of_the_package(modules, height, width, side):
    imports = '{ decoderTables, encoderTables } from "./local/layout.js"'
    body = """return [encoderTables, decoderTables].map((tables, n) =>
      tables(input.height, input.width, { depths: input.depths[n], side: input.side }));"""
    depths = [(1, 2, 3, 2), (2, 3, 1, 2, 2)]
    found = modules.run(imports, body, height=height, width=width, side=side, depths=depths)
    for tables, depth, ours in zip(found, depths, (encoder_tables, decoder_tables), strict=True):
        expected = ours(height, width, depth, side)
        assert tables.keys() == expected.keys()
        for name, table in expected.items():
            assert tables[name]["shape"] == list(table.shape), name
            assert tables[name]["numbers"] == table.ravel().tolist(), name


def test_windows_are_those_of_the_package(modules):
    imports = (
        '{ countWindows, rampOf, windowStarts } from "./local/tiling.js"; '
        '{ windowsOf } from "./local/analysis.js"'
    )
    lengths, windows = [*range(1, 700, 7), 1000, 5003], [32, 64, 96, 512]
    body = """return input.windows.map((window) => input.lengths.map((length) => [
      windowStarts(length, window, rampOf(window)), countWindows(length, 301, window),
      windowsOf(length, 301, window)]));"""
    found = modules.run(imports, body, lengths=lengths, windows=windows)
    for window, rows in zip(windows, found, strict=True):
        model = UPOCR(Painter(), window=window)
        ramp = window // 4 if window > 32 else 0
        assert rows == [
            [
                window_starts(length, window, ramp),
                count_windows(length, 301, window),
                model.num_windows((length, 301)),
            ]
            for length in lengths
        ]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_tiles_are_cut_and_blended_alike(modules, height, width):
    body = """let count = 0;
      const predict = async (values, height, width) => {
        count++;
        const sum = values.reduce((sum, value) => sum + value, 0); // depends on the mirrored border
        const changed = values.map((value) => value * value + 0.1 * count + sum / values.length);
        return [0, 1, 2].map((c) => changed.subarray(c * height * width, (c + 1) * height * width));
      };
      const bands = [];
      for await (const band of tile(pictureOf(input.image), predict, 64)) bands.push(band);
      return bands;"""
    image = picture(height, width)
    found = modules.run('{ tile } from "./local/tiling.js"', body, image=rgba(image))
    counter = iter(range(1, 1000))
    ours = tile(image, lambda batch: batch**2 + (0.1 * next(counter) + batch.mean()), 64, 1)
    expected = np.empty(image.shape, np.float32)
    for rows, columns, block in ours:
        expected[rows, columns] = block
    end = 0
    for band in found:
        rows = slice(end, end := end + band["height"])
        assert band["top"] == rows.start
        planes = np.array(band["planes"]).reshape(3, -1, width).transpose(1, 2, 0)
        np.testing.assert_allclose(planes, expected[rows], rtol=0, atol=5e-6)
    assert end == height


@pytest.mark.parametrize(("height", "width"), [(64, 96), (65, 96), (64, 1), (97, 131), (1, 35)])
def test_pictures_are_halved_as_opencv_does(modules, height, width):
    image = picture(height, width)
    body = "return halve(pictureOf(input.image));"
    found = modules.run('{ halve } from "./local/resize.js"', body, image=rgba(image))
    size = -(-height // 2), -(-width // 2)
    expected = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    halved = np.array(found["data"]).reshape(*size, 4)[:, :, :3]
    difference = abs(halved - expected.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() <= (0 if height % 2 == width % 2 == 0 else 0.01)


@pytest.mark.parametrize(
    ("small", "large"), [((1, 1), (5, 7)), ((9, 13), (17, 26)), ((4, 4), (4, 9))]
)
def test_maps_are_enlarged_alike(modules, small, large):
    values = np.random.default_rng(0).random(small, np.float32)
    body = """const { values, small, large } = input;
      return enlargeRows(Float32Array.from(values.flat()), ...small, 1, 3, ...large);"""
    imports = '{ enlargeRows } from "./local/resize.js"'
    found = modules.run(imports, body, values=values, small=small, large=large)
    expected = enlarge(values, slice(1, 4), slice(0, large[1]), large)
    np.testing.assert_allclose(np.reshape(found, (3, -1)), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("window", [64, 512])
def test_large_text_is_found_alike(modules, window):
    text = np.zeros((120, 200), np.uint8)
    cv2.putText(text, "il O", (5, 90), cv2.FONT_HERSHEY_SIMPLEX, 3, 1, 12)
    cv2.putText(text, "small", (140, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1, 1)
    text[100:, 150:] = 1
    text[30:80, 140:190] = 1  # a plate
    likely = text * np.float32(0.9)
    likely[:, :30] *= np.float32(0.7)  # a letter in doubt
    body = """const { likely, width, height, window } = input;
      return largeText(Float32Array.from(likely), width, height, window);"""
    imports, size = '{ largeText } from "./local/scales.js"', {"height": 120, "width": 200}
    found = modules.run(imports, body, likely=likely.ravel(), window=window, **size)
    expected = large_text(text, likely, window)
    planes = [np.reshape(found[name], text.shape) for name in ("ofPictures", "ofClasses")]
    np.testing.assert_allclose(np.dstack(planes), expected, rtol=0, atol=1e-6)
    assert 0 < planes[0].mean() < 1
    assert modules.run(imports, body, likely=0 * likely.ravel(), window=window, **size) is None


@pytest.mark.parametrize("seed", range(6))
def test_words_are_judged_alike(modules, seed):
    classes = blobs(seed)
    share = np.random.default_rng(seed).integers(0, 256, classes.shape, np.uint8)
    verdict = Verdict(3, 0.2, 0.55)
    body = """const { classes, share, width, height, verdict } = input;
      return judgeWords(Uint8Array.from(classes), share, width, height, verdict);"""
    height, width = classes.shape
    found = modules.run(
        '{ judgeWords } from "./local/words.js"',
        body,
        classes=classes.ravel(),
        share=share.ravel(),
        width=width,
        height=height,
        verdict=vars(verdict),
    )
    judged, probability = judge_words(classes, share, verdict)
    assert {1, 2} <= set(judged.ravel()) and (judged != classes).any()  # noqa: PT018
    np.testing.assert_array_equal(np.reshape(found["classes"], classes.shape), judged)
    np.testing.assert_array_equal(np.reshape(found["scores"], classes.shape), probability)


@pytest.mark.parametrize("seed", range(6))
def test_regions_are_listed_alike(modules, seed):
    classes = blobs(seed)
    classes[:4, :5] = classes[-1, -20:] = 2  # at corners
    scores = np.random.default_rng(seed).integers(0, 256, classes.shape, np.uint8)
    names = ["background", "genuine", "tampered"]
    body = """const { classes, scores, width, height, names } = input;
      return findRegions(classes, scores, width, height, names);"""
    height, width = classes.shape
    found = modules.run(
        '{ findRegions } from "./local/regions.js"',
        body,
        classes=classes.ravel(),
        scores=scores.ravel(),
        width=width,
        height=height,
        names=names,
    )
    expected = [each.as_dict() for each in find_regions(classes, scores, names, 16)]
    assert len(expected) > 5
    assert found == json.loads(json.dumps(expected))


@pytest.mark.parametrize("seed", range(3))
def test_the_composite_is_that_of_the_command(modules, seed):
    rng = np.random.default_rng(seed)
    original = picture(90, 140)
    painted = 255 - original
    values = np.zeros((90, 140), np.float32)
    detected = np.zeros((90, 140), np.uint8)
    for top in range(0, 90, 22):
        for left in range(0, 140, 35):  # words, some of them uncertain or not confirmed
            word = np.s_[top : top + 9, left : left + 24]
            values[word] = rng.uniform(0.3, 0.8) + rng.uniform(-0.2, 0.2, values[word].shape)
            detected[word] = rng.random(values[word].shape) < rng.uniform(0.3, 1)
    probability = np.rint(255 * values).astype(np.uint8)
    allowed = (rng.random((90, 140)) < 0.8).astype(np.uint8)
    rules = {"gap": 8, **asdict(RULE), "dilation": 5}
    body = """const { original, painted, likelihood, probability, detected, rules } = input;
      const [width, height] = [original.width, original.height];
      const runs = confirmed(runsAbove(Float32Array.from(likelihood), width, height, 255 * 0.4),
        width, probability, detected, 0.4, rules);
      const composite = new Composite(pictureOf(original), pictureOf(painted), rules);
      composite.update([], null);
      composite.update(runs, input.allowed);
      return { data: composite.image.data, text: classesOf(runs, width, height) };"""
    found = modules.run(
        '{ Composite, classesOf, confirmed, runsAbove } from "./pixels.js"',
        body,
        original=rgba(original),
        painted=rgba(painted),
        likelihood=255 * values.ravel(),
        probability=probability.ravel(),
        detected=detected.ravel(),
        allowed=allowed.ravel(),
        rules=rules,
    )
    text = confirmed_text((values > 0.4).astype(np.uint8), probability, 0.4, detected)
    assert 0 < text.sum() < (values > 0.4).sum()
    np.testing.assert_array_equal(np.reshape(found["text"], text.shape), text)
    expected = blend(Picture("", original), painted, change_mask(255 * text, allowed)).values
    composite = np.reshape(found["data"], (90, 140, 4))[:, :, :3]
    assert abs(composite - expected.astype(int)).max() <= 1
    assert (composite != original).any()


@pytest.mark.parametrize("has_detection", [True, False])
def test_a_picture_of_several_scales_is_analysed_alike(modules, has_detection):
    image = picture(190, 333) // 2 + 40
    cv2.putText(image, "BIG", (10, 130), cv2.FONT_HERSHEY_SIMPLEX, 4, (255, 0, 0), 14)
    cv2.putText(image, "word", (200, 170), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 20, 0), 2)
    image[20:30, 200:260] = (255, 20, 0)
    image[20:30, 230:260] = (255, 0, 0)  # half of a genuine word was changed
    see_through = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    see_through[:40, :50, 3] = 100
    model = UPOCR(Judge())
    model.backend.tasks = [
        name for name in TASKS if has_detection or name != "tampered_text_detection"
    ]
    source = Picture("", image, see_through[:, :, 3])
    body = f"""{PAINTER}
      const {{ image, tasks, verdict }} = input;
      return analyse(pictureOf(image), tasks, 64, verdict, paint);"""
    found = modules.run(
        '{ analyse } from "./local/analysis.js"',
        body,
        image=rgba(see_through),
        tasks=model.tasks,
        verdict=vars(UNCALIBRATED),
    )
    assert sum(1 for _ in half_sizes(image.shape[:2], 64)) == 3
    expected = model.run(source, decision="component")
    likelihood = np.reshape(found["likelihood"], image.shape[:2])
    probability = expected["text_segmentation"].probability
    assert abs(likelihood - probability).max() <= 0.5 + 255e-3
    painted = np.reshape(found["painted"], see_through.shape)[:, :, :3]
    assert abs(painted - expected["text_removal"].painted.astype(int)).max() <= 1
    assert (painted[likelihood > 250] == (0, 0, 255)).mean() > 0.9
    if not has_detection:
        assert found["regions"] == []
        return
    detection = expected["tampered_text_detection"]
    np.testing.assert_array_equal(np.reshape(found["classes"], image.shape[:2]), detection.classes)
    regions = [each.as_dict() for each in detection.regions]
    assert len(regions) >= 5
    assert {each["class"] for each in regions} == {"genuine", "tampered"}
    for ours, theirs in zip(regions, found["regions"], strict=True):
        assert ours["box"] == tuple(theirs["box"])
        assert ours["polygon"] == [tuple(point) for point in theirs["polygon"]]
        assert ours["area"] == theirs["area"]
        assert ours["score"] == pytest.approx(theirs["score"], abs=1e-3)


def test_the_default_threshold_is_that_of_the_task():
    """`largeText` has it as a constant."""
    assert TEXT_SEGMENTATION.threshold == 0.4


@pytest.fixture
def archive(tmp_path):
    """An exported file of two graphs that are none."""
    graphs = {"encoder.onnx": b"encoder" * 1000, "decoder.onnx": b"decoder"}
    half = Half((2, 2), 8)
    tasks = ("text_removal", "text_segmentation")
    path = tmp_path / "model.zip"
    Archive("onnx", tasks, 64, UNCALIBRATED, half, half, "float32", "", graphs).write(path)
    return path


READ = """const bytes = Uint8Array.from(input.bytes);
  return readArchive(bytes.buffer).then(({ manifest, files }) =>
    [manifest, new TextDecoder().decode(files["encoder.onnx"])], (error) => error.message);"""
READ_IMPORTS = '{ readArchive } from "./local/archive.js"'


def test_archives_are_read(modules, archive):
    manifest, encoder = modules.run(READ_IMPORTS, READ, bytes=list(archive.read_bytes()))
    assert manifest["tasks"] == ["text_removal", "text_segmentation"]
    assert manifest["encoder"] == {"depths": [2, 2], "side": 8}
    assert encoder == "encoder" * 1000


@pytest.mark.parametrize("damage", ["short", "changed", "empty", "other"])
def test_damaged_archives_are_named(modules, archive, damage):
    content = bytearray(archive.read_bytes())
    if damage == "changed":
        place = content.index(b"decoder.onnx") + len("decoder.onnx") + 2
        content[place] ^= 1
    content = {"short": content[:-30], "empty": b"", "other": bytes(500)}.get(damage, content)
    assert modules.run(READ_IMPORTS, READ, bytes=list(content)) == "The model is damaged."
