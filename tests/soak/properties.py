"""Properties that hypothesis tries to break: transforms, tiling, metrics, configuration."""

import random
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

import options
from datasets import build_dataset
from datasets.transforms import TRANSFORMS, Field, Resize, transform_images
from eval.metrics import ConfusionMatrix, paper_metrics, strict_metrics
from soak import Row
from upocr.quote import LONGEST, printable, quote
from upocr.tiling import STRIDE, ramp_of, round_up, row_bands, tile, to_unit, window_starts
from utils.optim import learning_rate

EXAMPLES = 1000  # per property at scale 1

SIDES = st.integers(1, 150)
WINDOWS = st.integers(1, 4).map(lambda number: STRIDE * number)
NUMBERS = st.one_of(
    st.floats(), st.integers(), st.floats(0, 2), st.sampled_from([0, 1, 10**400, -0.0])
)
WORDS = st.one_of(st.text(max_size=20), st.sampled_from(["text_removal", "resize", "..", "\x1b"]))
PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=4)),
    max_leaves=8,
)
PROPERTIES: list[Callable[[], None]] = []


def prop(function: Callable[[], None]) -> Callable[[], None]:
    """Add a property to the list."""
    PROPERTIES.append(function)
    return function


@prop
@given(SIDES, SIDES, WINDOWS, st.integers(1, 5), st.integers(0, 2**32 - 1), st.booleans())
def tiling_an_identity_is_exact(height, width, window, batch_size, seed, deep):
    kind = np.uint16 if deep else np.uint8
    size = (height, width, 3)
    image = np.random.default_rng(seed).integers(0, np.iinfo(kind).max, size, kind, endpoint=True)
    whole, seen = np.full(size, np.nan, np.float32), np.zeros(size[:2], int)
    for rows, columns, block in tile(image, lambda windows: windows, window, batch_size):
        whole[rows, columns] = block
        seen[rows, columns] += 1
    assert (seen == 1).all()
    np.testing.assert_array_equal(whole, to_unit(image).transpose(1, 2, 0))


@prop
@given(st.integers(1, 10_000), WINDOWS)
def windows_cover_a_side_and_overlap(length, window):
    side, ramp = min(window, round_up(length)), ramp_of(window)
    starts = window_starts(length, side, ramp)
    assert starts[0] == 0
    assert length <= starts[-1] + side < length + STRIDE + (side if len(starts) == 1 else 0)
    assert all(start % STRIDE == 0 for start in starts)
    gaps = np.diff(starts)
    assert (gaps > 0).all()
    assert (gaps <= side - ramp).all()


@prop
@given(st.integers(1, 100_000), st.integers(1, 10**7))
def bands_are_consecutive(height, width):
    bands = list(row_bands(height, width))
    assert [0, *(band.stop for band in bands)] == [*(band.start for band in bands), height]


@prop
@given(st.data())
def transforms_are_refused_or_work(data):
    steps = []
    for name in data.draw(st.lists(st.sampled_from(sorted(TRANSFORMS)), max_size=4)):
        build = TRANSFORMS[name]
        if build is Resize:
            continue
        fields = build.__dataclass_fields__
        shares = st.one_of(st.floats(0, 1), st.floats(0, 1), NUMBERS)
        arguments = {field: data.draw(shares) for field in fields}
        try:
            steps.append(build(**arguments))
        except ValueError:
            continue
    size = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    side, seed = data.draw(st.integers(1, 64)), data.draw(st.integers(0, 2**32 - 1))
    check_transforms([*steps, Resize(side)], size, side, seed)


def check_transforms(steps, size, side, seed):
    values = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8)
    label = Image.fromarray(np.where(values[:, :, 0] > 127, 255, 0).astype(np.uint8))
    images = {"image": Image.fromarray(values), "label": label}
    fields = {"image": Field(), "label": Field(Image.Resampling.NEAREST, fill=128)}
    before = torch.get_rng_state(), random.getstate()
    first, second = (transform_images(images, fields, steps, seed) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    for name, image in first.items():
        assert image.size == (side, side)
        assert image.tobytes() == second[name].tobytes()
    assert set(np.unique(np.asarray(first["label"]))) <= {0, 128, 255}
    plain = transform_images(images, fields, steps, None)
    assert plain["image"].tobytes() == images["image"].resize((side, side), 3).tobytes()


CLASS_MAPS = st.integers(1, 30).flatmap(
    lambda count: st.tuples(
        arrays(np.int64, count, elements=st.integers(0, 2)),
        arrays(np.int64, count, elements=st.integers(-1, 4)),
        st.integers(0, count),
    )
)


@prop
@given(CLASS_MAPS)
def a_confusion_matrix_counts_every_pixel_once(drawn):
    prediction, target, cut = (
        torch.from_numpy(each) if isinstance(each, np.ndarray) else each for each in drawn
    )
    whole, parts, perfect = ConfusionMatrix(3), ConfusionMatrix(3), ConfusionMatrix(3)
    whole.update(prediction, target)
    for part in (slice(None, cut), slice(cut, None)):
        parts.update(prediction[part], target[part])
    known = (target >= 0) & (target < 3)
    assert whole.counts.sum() == known.sum()
    assert torch.equal(whole.counts, parts.counts)
    assert all(0 <= value <= 1 for values in whole.compute().values() for value in values)
    perfect.update(target.clamp(0, 2), target)
    present = [bool((target == number).any()) for number in range(3)]
    assert perfect.compute()["iou"] == [float(each) for each in present]


@prop
@given(st.integers(11, 40), st.integers(11, 40), st.integers(0, 2**32 - 1), st.integers(0, 255))
def distances_of_images_are_bounded_and_zero_for_equal_ones(height, width, seed, noise):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 256, (height, width, 3), np.uint8)
    change = rng.integers(-noise, noise, target.shape, endpoint=True)
    image = np.clip(target.astype(int) + change, 0, 255).astype(np.uint8)
    found = strict_metrics(image, target)
    same = strict_metrics(target, target)
    assert same["psnr"] == 100
    assert same["mse"] == same["age"] == same["peps"] == same["pceps"] == 0
    assert paper_metrics(target, target) is None
    assert 0 <= found["peps"] <= 1  # the paper's protocol divides by a fixed number of pixels
    for figures in (found, paper_metrics(image, target) or {}):
        assert all(np.isfinite(value) for value in figures.values())
        assert 0 <= figures.get("mse", 0) <= 1
        assert figures.get("pceps", 0) <= figures.get("peps", 0)
        assert 0 <= figures.get("age", 0) <= 255


@prop
@given(PLAIN)
def any_values_are_options_or_one_line(content):
    message = ""
    try:
        found = options.resolve({"output_dir": "out", **options.flatten(content)}, {})
        assert options.flatten(found.to_dict())
    except ValueError as error:
        message = str(error)
    assert len(message) < 1000


FLOATS = ("lr", "min_lr", "warmup_min_lr", "weight_decay", "clip_max_norm", "lr_encoder_ratio")
COUNTS = ("batch_size", "epochs", "iter_per_epoch", "save_interval", "warmup_epochs")
VALUES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(FLOATS, NUMBERS),
        **dict.fromkeys(COUNTS, st.one_of(st.integers(), st.integers(1, 500))),
        "task_weights": st.dictionaries(WORDS, NUMBERS, max_size=2),
    },
)


@prop
@given(VALUES)
def options_survive_their_file_and_give_finite_learning_rates(values):
    run = {"data": {"data_cfg_paths": ["a.yaml"]}, "run": {"output_dir": "out"}}
    try:
        first = options.resolve(options.flatten({"optimisation": values, **run}), {})
    except ValueError:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(yaml.safe_dump(first.to_dict()))
        assert options.resolve(options.read_config(str(path)), {}) == first
    given_options = first.optimisation
    names = ("epochs", "lr", "min_lr", "warmup_epochs", "warmup_min_lr")
    numbers = {name: getattr(given_options, name) for name in names}
    for epoch in {0, given_options.epochs // 2, given_options.epochs - 1}:
        assert 0 <= learning_rate(epoch, **numbers) < float("inf")


DATA = {"task": "text_removal", "dataset": "scut_enstext", "name": "a", "root": "none"}
DATA |= {"split": "train", "transforms": ["resize"]}


@prop
@given(st.sampled_from(sorted(DATA)), PLAIN)
def any_data_configuration_is_one_line(key, value):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.yaml"
        path.write_text(yaml.safe_dump(DATA | {key: value}))
        message = ""
        try:
            build_dataset(path, 64, folder)
        except ValueError as error:
            message = str(error)
        assert message.startswith(f"{path}: ")  # there is no data set
        assert len(message) < 1000


@prop
@given(st.one_of(st.text(), PLAIN))
def whatever_is_quoted_is_short_and_printable(value):
    assert quote(value).isprintable()
    assert len(quote(value)) <= LONGEST
    if isinstance(value, str):
        assert printable(value).isprintable()
        assert printable(value) == value or not value.isprintable()


def attempt(check: Callable[[], None], examples: int) -> None:
    """Let hypothesis try to break a property; the same examples in every run."""
    settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )(check)()


def soak(scale: float) -> list[Row]:
    """Try every property; the smallest counterexample is told on standard error."""
    rows, examples = [], max(5, round(EXAMPLES * scale))
    for check in PROPERTIES:
        failed = 0
        try:
            attempt(check, examples)
        except Exception:
            print(traceback.format_exc(), file=sys.stderr)
            failed = 1
        name = check.__name__.replace("_", " ")
        rows.append(Row(name, examples, examples - failed, failed))
    return rows
