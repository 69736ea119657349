"""TensorBoard and Weights & Biases: the calls that they get, and what a reader finds."""

import builtins
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from utils import tracking
from utils.tracking import build_trackers, flat_numbers

PICTURE = np.full((4, 6, 3), 200, np.uint8)


class Recorder:
    """Stands for a `SummaryWriter` or a W&B run: notes the calls."""

    def __init__(self, **arguments: object) -> None:
        self.calls: list[tuple] = [("init", arguments)]
        self.id = arguments.get("id") or "first"

    def __getattr__(self, name: str):
        return lambda *arguments, **named: self.calls.append((name, *arguments, *named.values()))


@pytest.fixture
def recorded(monkeypatch) -> list[Recorder]:
    """Both packages replaced; the recorders in the order of their creation."""
    made: list[Recorder] = []

    def record(**arguments: object) -> Recorder:
        made.append(Recorder(**arguments))
        return made[-1]

    board = SimpleNamespace(SummaryWriter=record)
    wandb = SimpleNamespace(init=record, Image=lambda array: ("image", array.shape))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    return made


def use(folder, start_step: int = 0, tensorboard: bool = False, wandb: bool = False) -> None:
    trackers = build_trackers(folder, {"lr": 0.1}, start_step, tensorboard=tensorboard, wandb=wandb)
    for tracker in trackers:
        tracker.numbers({"train/total": 2.5, "lr": 0.1}, start_step + 10)
        tracker.picture("val/TextSeg", PICTURE, start_step + 10)
        tracker.close()


def test_nothing_is_tracked_unless_asked_for(tmp_path, recorded):
    use(tmp_path)
    assert recorded == []
    assert list(tmp_path.iterdir()) == []


def test_other_processes_track_nothing(tmp_path, recorded, monkeypatch):
    monkeypatch.setattr(tracking, "is_main_process", lambda: False)
    use(tmp_path, tensorboard=True, wandb=True)
    assert recorded == []


def test_tensorboard_gets_points_and_pictures(tmp_path, recorded):
    use(tmp_path, tensorboard=True)
    (writer,) = recorded
    calls = [call for call in writer.calls if call[0] != "flush"]
    assert calls[0] == ("init", {"log_dir": str(tmp_path / "tensorboard"), "purge_step": 0})
    assert calls[1:3] == [("add_scalar", "train/total", 2.5, 10), ("add_scalar", "lr", 0.1, 10)]
    assert (calls[3][:2], calls[3][3:]) == (("add_image", "val/TextSeg"), (10, "HWC"))
    assert calls[3][2] is PICTURE
    assert calls[4] == ("close",)


def test_wandb_gets_points_and_pictures_on_an_axis_of_steps(tmp_path, recorded):
    use(tmp_path, wandb=True)
    (run,) = recorded
    assert run.calls[0][1]["config"] == {"lr": 0.1}
    assert run.calls[1:] == [
        ("define_metric", "*", "step"),
        ("log", {"step": 10, "train/total": 2.5, "lr": 0.1}),
        ("log", {"step": 10, "val/TextSeg": ("image", (4, 6, 3))}),
        ("finish",),
    ]


def test_a_continued_training_continues_its_wandb_run(tmp_path, recorded):
    use(tmp_path, wandb=True)
    use(tmp_path, start_step=8, wandb=True)
    (tmp_path / "wandb_id.txt").write_text("second\n")
    use(tmp_path, start_step=8, wandb=True)
    use(tmp_path, wandb=True)  # a new training in the same folder
    assert [run.calls[0][1]["id"] for run in recorded] == [None, "first", "second", None]


@pytest.mark.parametrize("package", ["tensorboard", "wandb"])
def test_a_missing_package_is_named(tmp_path, monkeypatch, package):
    real = builtins.__import__

    def without(name: str, *arguments, **named):
        if package in name:
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=f"--{package} true .* pip install {package}"):
        use(tmp_path, **{package: True})
    assert list(tmp_path.iterdir()) == []


def test_a_reader_of_tensorboard_finds_no_point_after_the_checkpoint(tmp_path):
    """Of an interrupted run: steps 10 and 20, continued after 10; then a new run in the folder."""
    module = "tensorboard.backend.event_processing.event_accumulator"
    reader = pytest.importorskip(module).EventAccumulator

    def points() -> list[tuple[int, float]]:
        events = reader(str(tmp_path / "tensorboard")).Reload()
        return [(event.step, event.value) for event in events.Scalars("train/total")]

    def run(start_step: int, values: dict[int, float]) -> None:
        (board,) = build_trackers(tmp_path, {}, start_step, tensorboard=True, wandb=False)
        for step, value in values.items():
            board.numbers({"train/total": value}, step)
        board.picture("val/TextSeg", PICTURE, step)
        board.close()

    run(0, {10: 4.0, 20: 3.0})
    assert points() == [(10, 4.0), (20, 3.0)]
    run(10, {20: 2.0, 30: 1.0})
    assert points() == [(10, 4.0), (20, 2.0), (30, 1.0)]
    (image, *_) = reader(str(tmp_path / "tensorboard")).Reload().Images("val/TextSeg")
    assert (image.width, image.height) == (6, 4)
    run(0, {10: 9.0})
    assert points() == [(10, 9.0)]


def test_numbers_of_a_record():
    record = {"val": {"TextSeg": {"f_score": 0.5, "protocol": "x", "interval": [1, 2]}}, "lr": 1}
    assert flat_numbers(record) == {"val/TextSeg/f_score": 0.5, "lr": 1}
