"""Hostile checkpoints are one line that names the file, before memory is taken for them."""

import resource

import pytest
import torch
from hostile import weights
from small_run import COMMON, EVAL, TRAINING
from vectors import TINY

from models import build_upocr
from models.checkpoint import CheckpointError, build_from_checkpoint, load_checkpoint
from upocr.quote import LONGEST, quote

MESSAGE = 1000  # characters
MEMORY = 2**29  # bytes that refusing a file of kilobytes may take


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A checkpoint of the tiny model without training state."""
    model = build_upocr("upocr", **TINY)
    content = {"model": model.state_dict(), "architecture": model.architecture}
    path = tmp_path_factory.mktemp("sound") / "sound.pth"
    torch.save(content | {"tasks": list(model.tasks)}, path)
    return path


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**10


def refused(path) -> str:
    """The one line that refuses a file, in bounded memory."""
    before = peak()
    with pytest.raises(CheckpointError) as error:
        build_from_checkpoint(load_checkpoint(path))
    assert peak() - before < MEMORY
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < MESSAGE
    return message


@pytest.mark.parametrize("kind", weights.TENSORS)
@pytest.mark.parametrize("name", ["proj.weight", "task_prompt.task_embedding.weight"])
def test_weights_are_plain_numbers(sound, tmp_path, name, kind):
    def change(content):
        content["model"][name] = weights.TENSORS[kind](content["model"][name])

    assert name in refused(weights.change_entry(sound, tmp_path / "odd.pth", change))


@pytest.mark.parametrize("kind", weights.SIZES)
def test_sizes_are_checked_before_memory_is_taken(sound, tmp_path, kind):
    refused(weights.change_entry(sound, tmp_path / "large.pth", weights.SIZES[kind]))


def test_compressed_records_are_refused(sound, tmp_path):
    path = weights.deflated(sound, tmp_path / "deflated.pth")
    assert torch.load(path, weights_only=True)["tasks"]  # PyTorch inflates them
    assert "holds compressed records" in refused(path)


def test_records_that_overlap_are_refused(sound, tmp_path):
    path = weights.overlapping(sound, tmp_path / "overlapping.pth", 100)
    assert "overlap" in refused(path)


VALUES = [weights.alias_bomb(), weights.endless_list(), 10**9999, "x" * 10**6, "a\nb\x1b[2J"]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_quoted_value_is_short_and_on_one_line(value):
    text = quote(value)
    assert len(text) <= LONGEST
    assert text.isprintable()


def test_the_tables_of_the_largest_windows_fit(sound):
    """The limits leave room: windows of 24 in the paper's depths."""
    with torch.device("meta"):
        build_upocr("upocr", enc_window_size=24, dec_window_size=24, embed_dim=192)


@pytest.mark.parametrize("name", ["exp_avg", "exp_avg_sq"])
def test_resuming_refuses_moments_without_storage(command, checkpoint, tmp_path, name):
    def change(content):
        stride0 = weights.TENSORS["stride 0"]
        content["optimizer"] = weights.optimizer_with(content["optimizer"], name, stride0)

    path = weights.change_entry(checkpoint, tmp_path / "odd.pth", change)
    options = [*TRAINING, "--epochs", "2", "--output_dir", tmp_path / "out", "--resume", path]
    with pytest.raises(CheckpointError, match=rf"odd\.pth: training state: .* {name} is not cont"):
        command(*options)
    assert not list(tmp_path.glob("out/*.pth"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epoch", -2),
        ("epoch", 10**9999),
        ("loader", {"step": 1, "position": -1}),
        ("loader", {"step": "1", "position": 1}),
        ("best", {"text_removal": weights.alias_bomb()}),
        ("rng", [{"cpu": torch.zeros(()).byte().expand(5056)}]),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_resuming_refuses_a_state_that_no_training_wrote(
    command, checkpoint, tmp_path, name, value
):
    change = {name: value}
    path = weights.change_entry(checkpoint, tmp_path / "odd.pth", lambda c: c.update(change))
    options = [*TRAINING, "--epochs", "2", "--output_dir", tmp_path / "out", "--resume", path]
    with pytest.raises(CheckpointError, match=r"odd\.pth: ") as error:
        command(*options)
    assert len(str(error.value)) < MESSAGE


def test_evaluation_refuses_what_training_refuses(command, checkpoint, tmp_path):
    path = weights.change_entry(checkpoint, tmp_path / "w.pth", weights.SIZES["a huge window"])
    options = ["--eval", "true", "--resume", path, "--eval_data_cfg_path", EVAL[2]]
    with pytest.raises(CheckpointError, match=r"w\.pth: enc_window_size 1000000"):
        command(*COMMON, *options, "--output_dir", tmp_path)
