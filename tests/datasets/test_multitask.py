"""The joint loader: a batch follows from the seed and the step alone."""

import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets import MultiTaskLoader, TextDataset, evaluation_loader, multitask
from datasets.scut_enstext import ScutEnsText
from datasets.tampered_ic13 import TamperedIC13
from datasets.textseg import TextSeg
from datasets.transforms import ColorJitter, RandomCrop, Resize
from tasks import TASKS
from utils.batch import Batch
from utils.image import write_png

SIZES = {"text_removal": 5, "tampered_text_detection": 4, "text_segmentation": 7}
STEPS = [RandomCrop(1, 0.5, 1), ColorJitter(1, 0.5, 0.5, 0.5, 0.5), Resize(16)]


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> list[TextDataset]:
    """One small data set a task, in the order of TASKS, of lengths that share no divisor."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    names = {task: [f"{task}.{i}" for i in range(size)] for task, size in SIZES.items()}
    noise = rng.integers(0, 256, (30, 20, 24, 3), dtype=np.uint8)
    pictures = iter(noise)
    for name in names["text_removal"]:
        for field in ("image", "label", "mask"):
            write_png(root / "removal" / "train" / field / f"{name}.png", next(pictures))
    for name in names["tampered_text_detection"]:
        write_png(root / "detection" / "train_img" / f"{name}.png", next(pictures))
        annotation = root / "detection" / "train_gt" / f"{name}.txt"
        annotation.parent.mkdir(exist_ok=True)
        annotation.write_text("2,2,9,9,1\n")
    for name in names["text_segmentation"]:
        write_png(root / "segmentation" / "image" / f"{name}.png", next(pictures))
        label = np.full((20, 24), 100, dtype=np.uint8)
        write_png(root / "segmentation" / "semantic_label" / f"{name}_maskfg.png", label)
    split = {"train": names["text_segmentation"]}
    (root / "segmentation" / "split.json").write_text(json.dumps(split))
    return [
        ScutEnsText(root / "removal", "train", STEPS, "SCUT-EnsText"),
        TamperedIC13(root / "detection", "train", STEPS, "Tampered-IC13"),
        TextSeg(root / "segmentation", "train", STEPS, "TextSeg"),
    ]


def take(loader: MultiTaskLoader, steps: int) -> list[Batch]:
    """The next batches."""
    return list(itertools.islice(loader, steps))


def assert_same(first: list[Batch], second: list[Batch]) -> None:
    """Equal batches, to the last bit."""
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.names == other.names
        assert one.tasks == other.tasks
        assert all(
            torch.equal(getattr(one, key), getattr(other, key))
            for key in ("images", "labels", "masks")
        )


def test_batch_joins_all_tasks_in_prompt_order(datasets) -> None:
    batch = next(MultiTaskLoader(datasets, batch_size=2, seed=0))
    assert batch.tasks == [task for task in TASKS for _ in range(2)]
    assert batch.images.shape == batch.labels.shape == (6, 3, 16, 16)
    assert batch.masks.shape == (6, 1, 16, 16)
    assert {getattr(batch, key).dtype for key in ("images", "labels", "masks")} == {torch.uint8}
    assert (batch.masks[2:] == 255).all()
    assert (batch.masks[:2] == 0).any()


def test_order_of_data_sets_does_not_matter(datasets) -> None:
    batches = take(MultiTaskLoader(datasets, batch_size=2, seed=0), 4)
    assert_same(batches, take(MultiTaskLoader(datasets[::-1], batch_size=2, seed=0), 4))


@pytest.mark.slow
def test_workers_do_not_change_the_batches(datasets) -> None:
    alone = take(MultiTaskLoader(datasets, batch_size=2, seed=0), 5)
    assert_same(alone, take(MultiTaskLoader(datasets, batch_size=2, seed=0, num_workers=2), 5))


def test_seed_changes_the_batches(datasets) -> None:
    first = take(MultiTaskLoader(datasets, batch_size=2, seed=0), 4)
    second = take(MultiTaskLoader(datasets, batch_size=2, seed=1), 4)
    assert [batch.names for batch in first] != [batch.names for batch in second]


def test_every_epoch_of_a_data_set_has_each_sample_once(datasets) -> None:
    batches = take(MultiTaskLoader(datasets, batch_size=2, seed=0), 70)
    for task, size in SIZES.items():
        names = [
            name
            for batch in batches
            for name, its_task in zip(batch.names, batch.tasks, strict=True)
            if its_task == task
        ]
        epochs = [tuple(names[i : i + size]) for i in range(0, 140, size)]
        assert all(Counter(epoch) == Counter(epochs[0]) for epoch in epochs)
        assert len(set(epochs[0])) == size
        assert len(set(epochs)) > 1


def test_a_sample_is_augmented_anew_in_the_next_epoch(datasets) -> None:
    batches = take(MultiTaskLoader(datasets[1:2], batch_size=4, seed=0), 2)
    first, second = (dict(zip(b.names, b.images, strict=True)) for b in batches)
    assert first.keys() == second.keys()
    assert not any(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_resume_equals_no_interruption(datasets, num_workers: int) -> None:
    whole = take(MultiTaskLoader(datasets, 3, seed=0), 6)
    interrupted = MultiTaskLoader(datasets, 3, seed=0, num_workers=num_workers)
    take(interrupted, 2)
    state = interrupted.state_dict()
    assert state == {"step": 2, "position": 6}  # what the workers have read ahead does not count
    resumed = MultiTaskLoader(datasets, 3, seed=0, num_workers=num_workers)
    resumed.load_state_dict(state)
    assert_same(whole[2:], take(resumed, 4))


def test_two_processes_see_what_one_sees_with_twice_the_batch(datasets) -> None:
    joint = take(MultiTaskLoader(datasets, 4, seed=0), 5)
    ranks = [
        take(MultiTaskLoader(datasets, 2, seed=0, rank=rank, world_size=2), 5) for rank in (0, 1)
    ]
    for whole, *halves in zip(joint, *ranks, strict=True):
        for task in range(3):
            parts = torch.cat([half.images[2 * task : 2 * task + 2] for half in halves])
            assert torch.equal(whole.images[4 * task : 4 * task + 4], parts)


def test_resume_with_other_processes_leaves_no_gap(datasets) -> None:
    loader = MultiTaskLoader(datasets[2:], 2, seed=0, world_size=2)
    take(loader, 2)
    resumed = MultiTaskLoader(datasets[2:], 4, seed=0)
    resumed.load_state_dict(loader.state_dict())
    expected = take(MultiTaskLoader(datasets[2:], 4, seed=0), 4)[2:]
    assert_same(expected, take(resumed, 2))


def test_two_data_sets_of_one_task(datasets) -> None:
    removal = datasets[0]
    batch = next(MultiTaskLoader([*datasets, removal], batch_size=2, seed=0))
    others = [task for task in TASKS if task != "text_removal"]
    assert batch.tasks == ["text_removal"] * 4 + [task for task in others for _ in range(2)]


@pytest.mark.parametrize("num_workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_global_generator_is_not_drawn_from(datasets, num_workers: int) -> None:
    before = torch.get_rng_state()
    take(MultiTaskLoader(datasets, 2, seed=0, num_workers=num_workers), 2)
    list(evaluation_loader(datasets[0], batch_size=2, num_workers=num_workers))
    assert torch.equal(torch.get_rng_state(), before)


def test_batch_larger_than_a_data_set(datasets) -> None:
    with pytest.raises(ValueError, match=r"batch size is 5, expected 1 to 4, .*Tampered-IC13"):
        MultiTaskLoader(datasets, batch_size=5, seed=0)


def test_no_data_sets() -> None:
    with pytest.raises(ValueError, match="no data sets"):
        MultiTaskLoader([], batch_size=1, seed=0)


@pytest.fixture
def broken(tmp_path: Path) -> TamperedIC13:
    """Three images of which the last is no image."""
    for name in ("1", "2", "3"):
        write_png(tmp_path / "train_img" / f"{name}.png", np.zeros((8, 8, 3), dtype=np.uint8))
        (tmp_path / "train_gt").mkdir(exist_ok=True)
        (tmp_path / "train_gt" / f"{name}.txt").touch()
    (tmp_path / "train_img" / "3.png").write_bytes(b"broken")
    return TamperedIC13(tmp_path, "train", STEPS, "broken")


@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_data_error_arrives_as_one_line(broken: TamperedIC13, num_workers: int) -> None:
    message = rf"^{broken.items[2].image}: not an image$"
    with pytest.raises(ValueError, match=message):
        take(MultiTaskLoader([broken], 1, seed=0, num_workers=num_workers), 3)
    with pytest.raises(ValueError, match=message):
        list(evaluation_loader(broken, batch_size=2, num_workers=num_workers))


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_evaluation_sees_each_image_once(datasets, world_size: int) -> None:
    names = []
    for rank in range(world_size):
        for batch in evaluation_loader(datasets[2], 2, rank=rank, world_size=world_size):
            assert batch["images"].shape == (len(batch["samples"]), 3, 16, 16)
            names += [sample["name"] for sample in batch["samples"]]
    assert sorted(names) == sorted(item.name for item in datasets[2].items)


@pytest.mark.slow
def test_evaluation_with_workers_is_the_same_in_order(datasets) -> None:
    alone = list(evaluation_loader(datasets[0], 2))
    for one, other in zip(alone, evaluation_loader(datasets[0], 2, num_workers=2), strict=True):
        assert torch.equal(one["images"], other["images"])
        assert [s["name"] for s in one["samples"]] == [s["name"] for s in other["samples"]]


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(104, "Connection reset by peer"),
        EOFError(),
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."),
    ],
)
def test_a_worker_that_dies_at_any_moment_is_named(error):
    def batches():
        yield 1
        raise error

    loader = batches()
    assert multitask._take(loader, 0) == 1
    with pytest.raises(OSError, match=r"a loader worker was killed: .* lower --num_workers"):
        multitask._take(loader, 0)
