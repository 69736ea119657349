"""Checkpoints: written atomically, read safely, ours and the official ones."""

import argparse
import logging
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.build import PAPER, build_upocr, check_architecture
from models.upocr import STRIDE, UPOCRNetwork
from tasks import OFFICIAL_TASKS, UNCALIBRATED, Verdict
from utils.files import atomic_path
from utils.quote import quote
from utils.weights import CheckpointError, read_file, state_dict_of

logger = logging.getLogger(__name__)

# Files of a training run.
LAST, KEPT, BEST = "checkpoint_last.pth", "checkpoint_{:04d}.pth", "checkpoint_best_{}.pth"
DERIVED = ("relative_coords_table", "relative_position_index", "attn_mask")
TIMM = "timm:"
MAX_DISTANCE = 16.0  # in a table of log-spaced distances
IMAGE_SIZE = 512  # Paper: section 4.2
MAX_IMAGE_SIZE, MAX_EPOCH = 8192, 2**31  # of a file
PROMPTS = "task_prompt.task_embedding.weight"
# State of a training run, and its types.
TRAINING = {
    "optimizer": dict,
    "scaler": dict,
    "epoch": int,
    "progress": dict,
    "loader": dict,
    "rng": list,
    "best": dict,
}
# Official command line -> our architecture options, where the names differ.
OFFICIAL_OPTIONS = {
    "swin_{half}_embed_dim": "embed_dim",
    "swin_{half}_window_size": "{half}_window_size",
    "swin_{half}_pretrained_ws": "{half}_pretrained_window_size",
    "swin_{half}_drop_path_rate": "{half}_drop_path",
}


@dataclass
class Checkpoint:
    """Content of a checkpoint, whoever wrote it.

    Args:
        path: the file.
        model: parameter name -> tensor, without derived buffers and without VGG16.
        architecture: the numbers that `build_upocr` takes.
        tasks: task of each prompt row: those that the model was trained on.
        image_size: side of the training images in pixels.
        verdict: calibrated verdict on tampered words.
        vgg16: `vgg16.*` weights of an official training file, else empty.
        training: the entries of `TRAINING` that the file has.
        options: options of the run that wrote the file, else empty.
    """

    path: Path
    model: dict[str, Tensor]
    architecture: dict[str, Any]
    tasks: tuple[str, ...]
    image_size: int = IMAGE_SIZE
    verdict: Verdict = UNCALIBRATED
    vgg16: dict[str, Tensor] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def require(self, task: str) -> None:
        """Raise CheckpointError if the model was not trained on `task`."""
        if task not in self.tasks:
            trained = ", ".join(self.tasks)
            raise CheckpointError(f"{self.path}: was trained on {trained}; not on {task}")


def save_atomically(content: dict[str, Any], paths: Sequence[Path]) -> None:
    """Write a dictionary to each of `paths`, which are in one folder, as one file of many names.

    An interrupted run leaves the old files or the new ones, never half of one. Raises OSError.
    """
    with atomic_path(paths[0]) as temporary:
        with open(temporary, "wb") as file:
            try:
                torch.save(content, file)
            except RuntimeError as error:  # how torch reports a full disk
                reason = str(error.__context__ or error).splitlines()[0]
                raise OSError(f"{paths[0]}: cannot be written ({reason})") from None
            file.flush()
            os.fsync(file.fileno())
        for path in paths[1:]:
            with atomic_path(path) as link:
                _link(temporary, link)


def _link(source: Path, link: Path) -> None:
    try:
        link.hardlink_to(source)
    except OSError:  # the file system has no hard links
        shutil.copyfile(source, link)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint of ours, an official one (training or released), or a state dictionary.

    Raises CheckpointError.
    """
    path = Path(path)
    content = read_file(path)
    state = state_dict_of(content, path)
    if PROMPTS not in state:
        raise CheckpointError(f"{path}: holds no UPOCR weights ({PROMPTS} is missing)")
    command_line = content.get("args")
    official = vars(command_line) if isinstance(command_line, argparse.Namespace) else {}
    architecture = content.get("architecture")
    if architecture is None:
        architecture = _infer_architecture(state, official, path)
    checkpoint = Checkpoint(
        path=path,
        model={k: v for k, v in state.items() if not _is_derived(k) and not k.startswith("vgg16.")},
        architecture=architecture,
        tasks=content.get("tasks", OFFICIAL_TASKS),
        image_size=content.get("image_size", official.get("pix2pix_size", IMAGE_SIZE)),
        verdict=_verdict(content.get("verdict", {}), path),
        vgg16={key: value for key, value in state.items() if key.startswith("vgg16.")},
        training={name: content[name] for name in TRAINING if name in content},
        options=content.get("options", {}),
    )
    _check_entries(checkpoint)
    return checkpoint


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest whole training state in a folder, None for a folder without checkpoints.

    Raises CheckpointError if there are checkpoints, but none to go on from.
    """
    found = [(path.stat().st_mtime_ns, path.name == LAST, path) for path in saved_in(folder)]
    for *_, path in sorted(found, reverse=True):
        try:
            checkpoint = load_checkpoint(path)
        except CheckpointError as error:
            logger.warning("passed over: %s", error)
            continue
        if "optimizer" in checkpoint.training:
            return checkpoint
    if found:
        raise CheckpointError(
            f"{folder}: none of its checkpoints holds a whole training state; --overwrite true "
            "starts again"
        )
    return None


def saved_in(folder: Path) -> list[Path]:
    """The checkpoints in a folder, by name."""
    return sorted(folder.glob("checkpoint_*.pth"))


def _check_entries(checkpoint: Checkpoint) -> None:
    """Raise CheckpointError for entries that no training run writes; make `tasks` a tuple."""
    path = checkpoint.path
    try:
        check_architecture(checkpoint.architecture)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None
    entries = {"options": checkpoint.options, **checkpoint.training}
    for name, value in entries.items():
        expected = TRAINING.get(name, dict)
        if not isinstance(value, expected):
            kind = type(value).__name__
            raise CheckpointError(f"{path}: {name} is a {kind}, expected a {expected.__name__}")
    epoch = checkpoint.training.get("epoch", 0)
    lowest = -1 if "progress" in checkpoint.training else 0  # saved within the first epoch
    if not lowest <= epoch < MAX_EPOCH:
        raise CheckpointError(f"{path}: epoch is {quote(epoch)}, expected {lowest} or more")
    tasks = checkpoint.tasks
    if not isinstance(tasks, list | tuple) or not all(isinstance(task, str) for task in tasks):
        raise CheckpointError(f"{path}: tasks is {quote(tasks)}, expected a list of names")
    checkpoint.tasks = tuple(tasks)
    if checkpoint.model[PROMPTS].ndim != 2:
        raise CheckpointError(f"{path}: {PROMPTS} is no table")
    rows = len(checkpoint.model[PROMPTS])
    if len(checkpoint.tasks) != rows:
        number, listed = len(tasks), quote(list(tasks))
        raise CheckpointError(f"{path}: {rows} task prompts for the {number} tasks {listed}")
    size = checkpoint.image_size
    if not isinstance(size, int) or not STRIDE <= size <= MAX_IMAGE_SIZE or size % STRIDE:
        raise CheckpointError(
            f"{path}: image_size is {quote(size)}, expected a multiple of {STRIDE} up to "
            f"{MAX_IMAGE_SIZE}"
        )


def _verdict(numbers: Any, path: Path) -> Verdict:
    names = vars(UNCALIBRATED).keys()
    if not isinstance(numbers, dict) or not numbers.keys() <= names:
        raise CheckpointError(f"{path}: verdict is {quote(numbers)}, expected {', '.join(names)}")
    try:
        return Verdict(**numbers)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None


def _is_derived(key: str) -> bool:
    return key.endswith(DERIVED)


def _infer_architecture(
    state: dict[str, Tensor], options: dict[str, Any], path: Path
) -> dict[str, Any]:
    """Architecture of an official file: from its weights, then its command line, then the paper."""
    numbers = dict(PAPER)
    for half in ("enc", "dec"):
        for official, ours in OFFICIAL_OPTIONS.items():
            if official.format(half=half) in options:
                numbers[ours.format(half=half)] = options[official.format(half=half)]
    try:
        numbers["embed_dim"] = _length(state, "encoder.backbone.patch_embed.proj.weight")
        for half, prefix, stages in (("enc", "encoder.backbone", 4), ("dec", "decoder", 5)):
            numbers |= _infer_half(state, half, prefix, stages)
    except KeyError as error:
        raise CheckpointError(
            f"{path}: holds no complete UPOCR weights ({error} is missing)"
        ) from None
    return numbers


def _length(state: dict[str, Tensor], name: str) -> int:
    """Rows of a weight; none for a single number, which fits no architecture."""
    return state[name].shape[0] if state[name].ndim else 0


def _infer_half(state: dict[str, Tensor], half: str, prefix: str, stages: int) -> dict[str, Any]:
    depths, num_heads = [], []
    for stage in range(stages):
        block = re.compile(rf"{re.escape(prefix)}\.layers\.{stage}\.blocks\.(\d+)\.norm1\.weight")
        depths.append(sum(block.fullmatch(key) is not None for key in state))
        num_heads.append(_length(state, f"{prefix}.layers.{stage}.blocks.0.attn.logit_scale"))
    numbers: dict[str, Any] = {f"{half}_depths": depths, f"{half}_num_heads": num_heads}
    table = state.get(f"{prefix}.layers.0.blocks.0.attn.relative_coords_table")
    if table is not None:  # both windows follow from the derived table
        largest = table.max().item() if table.ndim == 4 and table.numel() else 0.0
        if not 0 < largest < MAX_DISTANCE:
            raise KeyError(f"a usable {prefix}.layers.0.blocks.0.attn.relative_coords_table")
        window_size = (table.shape[1] + 1) // 2
        spread = 2 ** (3 * largest) - 1
        numbers[f"{half}_window_size"] = window_size
        numbers[f"{half}_pretrained_window_size"] = round(8 * (window_size - 1) / spread) + 1
    return numbers


def build_from_checkpoint(
    checkpoint: Checkpoint, tasks: Sequence[str] | None = None, **overrides: Any
) -> UPOCRNetwork:
    """The model of a checkpoint with its weights.

    Args:
        checkpoint: see `load_checkpoint`.
        tasks: tasks of the model, None for those of the checkpoint. Prompts are picked by name;
            those of other tasks start fresh.
        overrides: numbers that replace the checkpoint's, as of `build_upocr`.

    Raises CheckpointError if numbers or weights do not fit.
    """
    tasks = checkpoint.tasks if tasks is None else tuple(tasks)
    architecture = checkpoint.architecture | overrides
    try:
        with torch.device("meta"):  # the shapes alone: what does not fit takes no memory
            shapes = build_upocr(tasks=checkpoint.tasks, **architecture)
        check_weights(shapes, checkpoint.model, checkpoint.path)
        model = build_upocr(tasks=tasks, **architecture)
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from None
    state = checkpoint.model | {PROMPTS: _prompts_for(tasks, checkpoint)}
    load_weights(model, state, checkpoint.path)
    return model


def _prompts_for(tasks: Sequence[str], checkpoint: Checkpoint) -> Tensor:
    """Prompt table (T, C) for `tasks`; missing rows are drawn as strong as the others."""
    table, trained = checkpoint.model[PROMPTS], checkpoint.tasks
    fresh = [task for task in tasks if task not in trained]
    dropped = [task for task in trained if task not in tasks]
    changes = {"fresh prompts for": fresh, "without the prompts of": dropped}
    said = [f"{what} {', '.join(names)}" for what, names in changes.items() if names]
    if said:
        logger.info("%s: %s", checkpoint.path, "; ".join(said))
    new = torch.randn(len(fresh), *table.shape[1:], dtype=table.dtype) * table.std()
    rows = [table[trained.index(t)] if t in trained else new[fresh.index(t)] for t in tasks]
    return torch.stack(rows)


def load_weights(
    module: nn.Module, state: dict[str, Tensor], source: Path | str, may_miss: Sequence[str] = ()
) -> None:
    """Load weights; an error lists all that is missing, left over or of another shape or type.

    Parameters in `may_miss` keep their values if `state` lacks them. Raises CheckpointError.
    """
    check_weights(module, state, source, may_miss)
    module.load_state_dict(state, strict=False)


def check_weights(
    module: nn.Module, state: dict[str, Tensor], source: Path | str, may_miss: Sequence[str] = ()
) -> None:
    """Raise CheckpointError unless `load_weights` can load; the module may be on `meta`."""
    own = module.state_dict()
    problems = {
        "missing": [key for key in own if key not in state and key not in may_miss],
        "left over": [key for key in state if key not in own],
        "other shapes": [
            f"{key} {tuple(state[key].shape)} for {tuple(own[key].shape)}"
            for key in own
            if key in state and state[key].shape != own[key].shape
        ],
        "other types": [
            f"{key} {state[key].dtype} for {own[key].dtype}"
            for key in own
            if key in state and state[key].is_floating_point() != own[key].is_floating_point()
        ],
    }
    found = [f"{len(keys)} {kind} ({_abbreviate(keys)})" for kind, keys in problems.items() if keys]
    if found:
        raise CheckpointError(f"{source}: weights do not fit the model: {'; '.join(found)}")


def _abbreviate(names: list[str], most: int = 4) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(name if len(name) < 200 else quote(name) for name in names[:most]) + more


def load_pretrained_encoder(model: UPOCRNetwork, source: str | Path) -> None:
    """Load SwinV2 ImageNet weights, or the encoder of a UPOCR file; raises ValueError.

    ImageNet weights have only one norm, after the last stage: it becomes `norm3`, and `norm0` to
    `norm2` keep their start. Their classification head is left out.

    `source`: a file (Microsoft's, timm's or UPOCR's), or `timm:NAME` for a model of timm's.
    """
    if str(source).startswith(TIMM):
        state = _timm_state(str(source).removeprefix(TIMM), model.architecture)
    else:
        path = Path(source)
        state = state_dict_of(read_file(path), path)
    if PROMPTS in state:
        load_weights(model.encoder, _strip(state, "encoder."), source)
        return
    fresh = [f"backbone.norm{stage}.{kind}" for stage in range(3) for kind in ("weight", "bias")]
    load_weights(model.encoder, convert_imagenet_encoder(state), source, may_miss=fresh)


def _timm_state(name: str, architecture: dict[str, Any]) -> dict[str, Tensor]:
    """Weights of one of timm's pre-trained SwinV2 models; raises ValueError."""
    import timm  # noqa: PLC0415 - takes seconds

    choices = timm.list_pretrained("swinv2_*", exclude_filters="swinv2_cr_*")
    if name not in choices:
        listed = ", ".join(choices)
        raise ValueError(f"{TIMM}{name}: no pre-trained SwinV2 of timm, expected one of {listed}")
    try:
        model: Any = timm.create_model(name, pretrained=True)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        file = f"pretrained/{name}.safetensors"
        raise ValueError(
            f"{TIMM}{name}: cannot be fetched ({reason}): save "
            f"https://huggingface.co/timm/{name}/resolve/main/model.safetensors as {file} and use "
            f"--pretrained_encoder {file}"
        ) from None
    attention = model.layers[0].blocks[0].attn
    trained = attention.pretrained_window_size[0] or attention.window_size[0]
    scaled = architecture["enc_pretrained_window_size"] or architecture["enc_window_size"]
    if trained != scaled:
        raise ValueError(
            f"{TIMM}{name}: was pre-trained with windows of {trained}, the encoder expects "
            f"{scaled}: choose --swin_enc_pretrained_ws {trained}"
        )
    return model.state_dict()


def load_pretrained_decoder(model: UPOCRNetwork, path: str | Path) -> None:
    """Load the decoder of a UPOCR file; raises CheckpointError."""
    load_weights(model.decoder, _strip(load_checkpoint(path).model, "decoder."), Path(path))


def _strip(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): value
        for key, value in state.items()
        if key.startswith(prefix) and not _is_derived(key)
    }


def convert_imagenet_encoder(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names of an ImageNet SwinV2 classifier (Microsoft's or timm's) -> names of our `Encoder`."""
    # timm puts patch merging before the blocks of a stage, Microsoft and UPOCR after those of the
    # stage before.
    early = any(re.fullmatch(r"layers\.3\.downsample\..*", key) for key in state)
    converted = {}
    for key, value in state.items():
        if key.startswith("head") or _is_derived(key) or key.endswith("k_bias"):
            continue
        name = re.sub(r"^norm\.", "norm3.", key)
        merging = re.fullmatch(r"layers\.(\d)\.downsample\.(.*)", name)
        if early and merging:
            name = f"layers.{int(merging[1]) - 1}.downsample.{merging[2]}"
        converted[f"backbone.{name}"] = value
    return converted
