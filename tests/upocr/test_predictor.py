"""The predictor: what it promises about pictures, whatever the network has learnt."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from models import TASKS, build_upocr
from models.checkpoint import save_atomically
from upocr.picture import Picture
from upocr.predictor import Predictor, change_mask, find_weights
from upocr.regions import find_regions
from utils.dist import inference_dtype

CPU = torch.device("cpu")


class Painter(nn.Module):
    """Knows its business: bright red is text; it paints text blue and calls it tampered."""

    def forward(self, images, tasks):
        text = ((images[:, :1] > 0.9) & (images[:, 1:2] < 0.1)).float()
        answers = {
            "text_removal": images * (1 - text) + text * torch.tensor([0, 0, 1.0])[:, None, None],
            "text_segmentation": text.expand_as(images),
            "tampered_text_detection": torch.cat([1 - text, torch.zeros_like(text), text], dim=1),
        }
        return [torch.stack([answers[name] for name in tasks[0]], dim=1)]


class Constant(nn.Module):
    """Paints everything in one grey."""

    def __init__(self, grey: float) -> None:
        super().__init__()
        self.grey = grey

    def forward(self, images, tasks):
        return [torch.full_like(images, self.grey)[:, None]]


@pytest.fixture
def painter() -> Predictor:
    return Predictor(Painter(), CPU, window=64)


@pytest.fixture
def photo() -> np.ndarray:
    """Noise without bright red, and two red blocks as text."""
    image = np.random.default_rng(0).integers(30, 200, (150, 200, 3), np.uint8)
    image[40:50, 60:90] = (255, 0, 0)
    image[100:108, 20:40] = (255, 0, 0)
    return image


@pytest.fixture(scope="module")
def nano(tmp_path_factory) -> Path:
    """A checkpoint of upocr_nano with random weights."""
    torch.manual_seed(0)
    model = build_upocr("upocr_nano")
    path = tmp_path_factory.mktemp("weights") / "nano.pth"
    save_atomically(
        {
            "model": model.state_dict(),
            "architecture": model.architecture,
            "tasks": list(TASKS),
            "image_size": 64,
        },
        [path],
    )
    return path


@pytest.mark.parametrize("composite", ["segmentation", "difference"])
def test_removal_changes_text_and_nothing_else(painter, photo, composite):
    result = painter.remove_text(photo, composite=composite)
    text = (photo == (255, 0, 0)).all(axis=2)
    assert (result.image[text] == (0, 0, 255)).all()
    np.testing.assert_array_equal(result.image[result.mask == 0], photo[result.mask == 0])
    assert 500 < (result.mask > 0).sum() < 3000
    assert result.mask[text].min() == 255


@pytest.mark.parametrize("composite", ["segmentation", "difference"])
def test_photo_without_text_comes_back_unchanged(painter, photo, composite):
    photo = photo // 2
    np.testing.assert_array_equal(painter.remove_text(photo, composite=composite).image, photo)


def test_region_box_and_mask(painter, photo):
    box = painter.remove_text(photo, region=(55, 35, 95, 55))
    mask = np.zeros(photo.shape[:2], np.uint8)
    mask[35:55, 55:95] = 255
    by_mask = painter.remove_text(photo, region=mask)
    np.testing.assert_array_equal(box.image, by_mask.image)
    assert (box.image[45, 70] == (0, 0, 255)).all()
    outside = mask == 0
    np.testing.assert_array_equal(box.image[outside], photo[outside])


@pytest.mark.parametrize("region", [(0, 0, 201, 10), (5, 5, 5, 9), (-1, 0, 4, 4)])
def test_region_outside_the_image(painter, photo, region):
    with pytest.raises(ValueError, match="is not inside the image of 200 x 150"):
        painter.remove_text(photo, region=region)
    with pytest.raises(ValueError, match="region mask is 4 x 3, the image 200 x 150"):
        painter.remove_text(photo, region=np.zeros((3, 4), np.uint8))


def test_segmentation(painter, photo):
    result = painter.segment_text(photo)
    text = (photo == (255, 0, 0)).all(axis=2)
    np.testing.assert_array_equal(result.mask, text * 255)
    np.testing.assert_array_equal(result.probability, text * 255)
    grey = Predictor(Constant(0.5), CPU, window=64)
    assert (grey.segment_text(photo, threshold=0.6).mask == 0).all()
    assert (grey.segment_text(photo, threshold=0.5).mask == 0).all()
    assert (grey.segment_text(photo, threshold=0.49).mask == 255).all()


def test_detection_finds_the_blocks(painter, photo):
    result = painter.detect_tampering(photo)
    assert [region.box for region in result.regions] == [(60, 40, 90, 50), (20, 100, 40, 108)]
    assert [region.area for region in result.regions] == [300, 160]
    assert {region.label for region in result.regions} == {"tampered"}
    assert all(region.score == 1 for region in result.regions)
    assert result.regions[0].polygon == [(60, 40), (60, 49), (89, 49), (89, 40)]
    assert len(painter.detect_tampering(photo, min_area=161).regions) == 1


def test_regions_of_two_classes_do_not_merge():
    classes = np.array([[1, 1, 2, 0, 2]], np.uint8)
    regions = find_regions(classes, np.full((1, 5), 204, np.uint8), 0)
    assert [(r.label, r.area, r.score) for r in regions] == [
        ("real", 2, 0.8),
        ("tampered", 1, 0.8),
        ("tampered", 1, 0.8),
    ]


def test_16_bits_stay_where_nothing_is_erased(painter, photo):
    deep = photo.astype(np.uint16) * 257
    deep[painter.remove_text(photo).mask == 0] -= 3  # nothing that 8 bits could hold
    result = painter.remove_text(Picture("deep", deep))
    assert result.image.dtype == np.uint16
    np.testing.assert_array_equal(result.image[result.mask == 0], deep[result.mask == 0])
    erased = result.mask == 255
    assert erased.any()
    expected = painter.remove_text(photo).image[erased].astype(int) * 257
    assert np.abs(result.image[erased] - expected).max() < 257


def test_grey_and_alpha_pass_through(painter, tmp_path):
    grey = Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 90), np.uint8))
    np.testing.assert_array_equal(painter.remove_text(grey).picture.values, np.array(grey))
    rgba = Image.fromarray(np.random.default_rng(0).integers(0, 200, (70, 90, 4), np.uint8))
    result = painter.remove_text(rgba).picture
    np.testing.assert_array_equal(np.dstack([result.values, result.alpha]), np.array(rgba))


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (33, 31), (65, 130)])
def test_every_size_of_every_task_with_the_network(nano, size):
    model = Predictor.from_pretrained(nano, "cpu")
    assert model.window == 64
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    assert model.remove_text(image).image.shape == image.shape
    assert model.segment_text(image).mask.shape == size
    assert model.detect_tampering(image).classes.shape == size


def test_resize_mode_sees_the_whole_picture_once(photo):
    seen = []

    class Recorder(Painter):
        def forward(self, images, tasks):
            seen.append(tuple(images.shape))
            return super().forward(images, tasks)

    model = Predictor(Recorder(), CPU, mode="resize", resize_side=96)
    assert model.segment_text(photo).mask.shape == (150, 200)
    assert seen == [(1, 3, 96, 96)]


def test_huge_letter_is_seen_as_a_whole():
    """In a window the inside of a huge letter is plain: only the context pass knows it for text."""

    class NeedsAnEdge(nn.Module):
        def forward(self, images, tasks):
            dark = (images < 0.5).float()
            has_edge = (dark.amin((1, 2, 3)) < dark.amax((1, 2, 3))).float()
            return [(dark * has_edge[:, None, None, None])[:, None]]

    image = np.full((512, 512, 3), 255, np.uint8)
    image[64:448, 64:448] = 0
    mask = Predictor(NeedsAnEdge(), CPU, window=64).segment_text(image).mask
    assert (mask[80:430, 80:430] == 255).all()
    assert (mask[:40] == 0).all()


def test_large_text_brings_its_narrow_neighbours_along():
    seen = np.zeros((120, 200, 6), np.float16)
    places = {"O": (20, 20, 60), "I": (20, 84, 6), "far": (20, 190, 6), "small": (100, 100, 10)}
    for top, left, width in places.values():
        seen[top : top + (10 if width == 10 else 60), left : left + width, 3:] = 1
    weights, output = Predictor(Painter(), CPU, window=512)._large_text(seen, 1)
    middles = {
        name: weights[top + 5, left + width // 2] for name, (top, left, width) in places.items()
    }
    middles = {name: tuple(pair) for name, pair in middles.items()}
    assert middles == {"O": (1, 1), "I": (1, 0.5), "far": (0, 0), "small": (0, 0)}
    assert output is seen
    seen[20:80] = 0
    assert Predictor(Painter(), CPU, window=512)._large_text(seen, 1) is None


def test_classes_of_large_text_are_the_mean_of_two_sizes_and_removal_is_of_the_smaller():
    class TellsTheSize(nn.Module):
        """All that is dark is text: certain in the small picture, doubtful in the large one."""

        def forward(self, images, tasks):
            certainty = 1.0 if images.shape[-1] <= 128 else 0.5
            dark = (images < 0.5).float() * certainty
            return [dark[:, None].expand(-1, len(tasks[0]), -1, -1, -1)]

    image = np.full((160, 160, 3), 255, np.uint8)
    image[40:120, 40:120] = image[140:150, 140:150] = 0
    results = Predictor(TellsTheSize(), CPU, window=160).run(image, TASKS)
    probability = results["text_segmentation"].probability
    assert probability[80, 80] == round(0.75 * 255)
    assert probability[145, 145] == round(0.5 * 255)
    assert results["text_removal"].image[80, 80].tolist() == [255] * 3


def test_change_mask_is_full_on_text_and_soft_around_it():
    text = np.zeros((40, 40), np.uint8)
    text[20, 20] = 255
    mask = change_mask(text, None)
    assert mask[20, 20] == 255
    assert 0 < mask[20, 14] < 255
    assert mask[20, 12] == 0


@pytest.mark.parametrize("mode", ["tile", "resize"])
def test_tasks_together_are_the_tasks_alone(nano, photo, mode):
    model = Predictor.from_pretrained(nano, "cpu", mode=mode, resize_side=96)
    together = model.run(photo)
    assert list(together) == list(TASKS)
    np.testing.assert_array_equal(together["text_removal"].image, model.remove_text(photo).image)
    alone = model.segment_text(photo)
    np.testing.assert_array_equal(together["text_segmentation"].probability, alone.probability)
    alone = model.detect_tampering(photo)
    np.testing.assert_array_equal(together["tampered_text_detection"].classes, alone.classes)


def test_the_encoder_sees_every_window_once_for_all_tasks(nano, photo):
    model = Predictor.from_pretrained(nano, "cpu", batch_size=3)
    seen, done = [], []
    model.network.encoder.register_forward_hook(lambda *call: seen.append(len(call[1][0])))
    model.run(photo, progress=done.append)
    windows = model.num_windows(photo.shape[:2])
    assert sum(done) == windows
    assert sum(seen) == windows


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ["text_removal", "reading"]}, r"tasks are \['reading'\]"),
        ({"tasks": "text_removal"}, "expected some of"),
        ({"tasks": []}, "tasks are none"),
        ({"composite": "guess"}, "unknown composite 'guess'"),
        ({"threshold": 1.5}, "threshold is 1.5"),
    ],
)
def test_wrong_arguments_are_named(painter, photo, options, message):
    with pytest.raises(ValueError, match=message):
        painter.run(photo, **options)


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
    classes = np.array(Image.open(tmp_path / "image.classes.png"))
    assert (classes[45, 70] == (0, 0, 255)).all()
    assert (classes[0, 0] == (255, 0, 0)).all()


def test_real_network_makes_no_seams(nano):
    """Steps across the middles of the ramps are no larger than steps elsewhere."""
    model = Predictor.from_pretrained(nano, "cpu")
    gradient = np.linspace(0, 255, 160).astype(np.uint8)
    image = np.stack(np.broadcast_arrays(gradient[:, None], gradient, np.uint8(90)), axis=2)
    bands = [band for _, band in model._bands(image, ["text_removal"], lambda count: None)]
    steps = np.abs(np.diff(np.concatenate(bands), axis=1)).mean(axis=(0, 2))
    # Windows of 64 start at 0, 32, 64 and 96: they fade into each other over 40-56, 72-88, 104-120.
    ramps = np.r_[steps[40:55], steps[72:87], steps[104:119]]
    others = np.r_[steps[8:40], steps[56:72], steps[88:104], steps[120:152]]
    assert ramps.max() <= others.max()


def test_weights_that_do_not_fit(nano, tmp_path):
    content = torch.load(nano, weights_only=True)
    content["architecture"]["embed_dim"] = 64
    save_atomically(content, [tmp_path / "other.pth"])
    with pytest.raises(ValueError, match=r"other.pth: weights do not fit the model"):
        Predictor.from_pretrained(tmp_path / "other.pth", "cpu")
    with pytest.raises(ValueError, match=r"none.pth: no such checkpoint"):
        Predictor.from_pretrained(tmp_path / "none.pth", "cpu")
    with pytest.raises(ValueError, match="unknown device 'abacus'"):
        Predictor.from_pretrained(nano, "abacus")
    with pytest.raises(ValueError, match="window is 0"):
        Predictor.from_pretrained(nano, "cpu", window=0)
    with pytest.raises(ValueError, match="window is 50"):
        Predictor.from_pretrained(nano, "cpu", window=50)
    with pytest.raises(ValueError, match="unknown mode"):
        Predictor.from_pretrained(nano, "cpu", mode="guess")


def test_no_weights_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr("upocr.predictor.DEFAULT_WEIGHTS", tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match=r"none\.safetensors: no such file.*--weights"):
        find_weights(None)


def test_weights_from_a_url_are_fetched_once(nano, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    copy = tmp_path / "copy.pth"
    copy.write_bytes(nano.read_bytes())
    url = copy.as_uri()
    path = find_weights(url)
    assert path.read_bytes() == nano.read_bytes()
    copy.unlink()
    assert find_weights(url) == path
    with pytest.raises(ValueError, match="cannot be downloaded"):
        find_weights(url + ".none")


def test_dtype_is_float32_on_a_cpu():
    assert inference_dtype(CPU, "auto") is None
    assert inference_dtype(CPU, "bfloat16") is torch.bfloat16
    for name, message in (("float16", "needs a GPU"), ("int3", "unknown dtype")):
        with pytest.raises(ValueError, match=message):
            inference_dtype(CPU, name)


@pytest.mark.parametrize("entry", ["upocr", "upocr_nano"])
def test_hub(nano, entry):
    root = Path(__file__).resolve().parents[2]
    model = torch.hub.load(str(root), entry, source="local", weights=nano, device="cpu")
    assert model.segment_text(np.zeros((40, 40, 3), np.uint8)).mask.shape == (40, 40)


def test_hub_has_the_shipped_weights_and_refuses_another_variant(tmp_path):
    root = str(Path(__file__).resolve().parents[2])
    model = torch.hub.load(root, "upocr_nano", source="local", device="cpu")
    assert model.network.architecture["embed_dim"] == 32
    other = build_upocr("upocr_nano", embed_dim=16)
    path = tmp_path / "other.pth"
    torch.save({"model": other.state_dict(), "architecture": other.architecture}, path)
    with pytest.raises(ValueError, match=r"other\.pth: these are not weights of upocr_nano"):
        torch.hub.load(root, "upocr_nano", source="local", weights=path, device="cpu")
