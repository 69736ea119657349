"""Checkpoints: written atomically, read safely, ours and the official ones."""

import argparse
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from models.build import PAPER, build_upocr, check_architecture
from models.upocr import STRIDE, UPOCRNetwork
from tasks import OFFICIAL_TASKS
from utils.weights import CheckpointError, read_file, state_dict_of

logger = logging.getLogger(__name__)

DERIVED = ("relative_coords_table", "relative_position_index", "attn_mask")
IMAGE_SIZE = 512  # Paper: section 4.2
PROMPTS = "task_prompt.task_embedding.weight"
# State of a training run, and its types.
TRAINING = {
    "optimizer": dict,
    "scaler": dict,
    "epoch": int,
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
        vgg16: `vgg16.*` weights of an official training file, else empty.
        training: the entries of `TRAINING` that the file has.
        options: options of the run that wrote the file, else empty.
    """

    path: Path
    model: dict[str, Tensor]
    architecture: dict[str, Any]
    tasks: tuple[str, ...]
    image_size: int = IMAGE_SIZE
    vgg16: dict[str, Tensor] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def require(self, task: str) -> None:
        """Raise CheckpointError if the model was not trained on `task`."""
        if task not in self.tasks:
            trained = ", ".join(self.tasks)
            raise CheckpointError(f"{self.path}: was trained on {trained}; not on {task}")


def save_atomically(content: dict[str, Any], paths: Sequence[Path]) -> None:
    """Write a dictionary to each of `paths`: a temporary file in the same folder, then a rename.

    An interrupted run leaves the old file or the new one, never half of one.
    """
    descriptor, name = tempfile.mkstemp(dir=paths[0].parent, prefix=".checkpoint-", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _save(content, file, paths[0])
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        for path in paths[1:]:
            _replace_by_link(temporary, path)
        temporary.replace(paths[0])
    finally:
        temporary.unlink(missing_ok=True)


def _save(content: dict[str, Any], file: BinaryIO, path: Path) -> None:
    try:
        torch.save(content, file)
    except RuntimeError as error:  # how torch reports a full disk
        reason = str(error.__context__ or error).splitlines()[0]
        raise OSError(f"{path}: cannot be written ({reason})") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _replace_by_link(source: Path, path: Path) -> None:
    """Give `source` the second name `path`, atomically; copy if there are no hard links."""
    link = path.with_name(f".{path.name}.tmp")
    link.unlink(missing_ok=True)
    try:
        try:
            link.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, link)
        link.replace(path)
    finally:
        link.unlink(missing_ok=True)


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
        vgg16={key: value for key, value in state.items() if key.startswith("vgg16.")},
        training={name: content[name] for name in TRAINING if name in content},
        options=content.get("options", {}),
    )
    _check_entries(checkpoint)
    return checkpoint


def _check_entries(checkpoint: Checkpoint) -> None:
    """Raise CheckpointError for entries that no training run writes; make `tasks` a tuple."""
    path = checkpoint.path
    try:
        check_architecture(checkpoint.architecture)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None
    types = {"tasks": (list, tuple), "options": dict, **TRAINING}
    entries = {"tasks": checkpoint.tasks, "options": checkpoint.options, **checkpoint.training}
    for name, value in entries.items():
        if not isinstance(value, types[name]):
            raise CheckpointError(f"{path}: {name} is {_abbreviate([repr(value)])}")
    checkpoint.tasks = tuple(checkpoint.tasks)
    rows = len(checkpoint.model[PROMPTS])
    if len(checkpoint.tasks) != rows:
        listed = list(checkpoint.tasks)
        raise CheckpointError(f"{path}: {rows} task prompts for the {len(listed)} tasks {listed}")
    size = checkpoint.image_size
    if not isinstance(size, int) or size < STRIDE or size % STRIDE:
        raise CheckpointError(f"{path}: image_size is {size!r}, expected a multiple of {STRIDE}")


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
        numbers["embed_dim"] = len(state["encoder.backbone.patch_embed.proj.weight"])
        for half, prefix, stages in (("enc", "encoder.backbone", 4), ("dec", "decoder", 5)):
            numbers |= _infer_half(state, half, prefix, stages)
    except KeyError as error:
        raise CheckpointError(
            f"{path}: holds no complete UPOCR weights ({error} is missing)"
        ) from None
    return numbers


def _infer_half(state: dict[str, Tensor], half: str, prefix: str, stages: int) -> dict[str, Any]:
    depths, num_heads = [], []
    for stage in range(stages):
        block = re.compile(rf"{re.escape(prefix)}\.layers\.{stage}\.blocks\.(\d+)\.norm1\.weight")
        depths.append(sum(block.fullmatch(key) is not None for key in state))
        num_heads.append(len(state[f"{prefix}.layers.{stage}.blocks.0.attn.logit_scale"]))
    numbers: dict[str, Any] = {f"{half}_depths": depths, f"{half}_num_heads": num_heads}
    table = state.get(f"{prefix}.layers.0.blocks.0.attn.relative_coords_table")
    if table is not None:  # both windows follow from the derived table
        window_size = (table.shape[1] + 1) // 2
        spread = 2 ** (3 * table.max().item()) - 1
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
    try:
        model = build_upocr(tasks=tasks, **(checkpoint.architecture | overrides))
    except ValueError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from None
    state = checkpoint.model | {PROMPTS: _prompts_for(tasks, checkpoint)}
    load_weights(model, state, checkpoint.path)
    return model


def _prompts_for(tasks: Sequence[str], checkpoint: Checkpoint) -> Tensor:
    """Prompt table (T, C) for `tasks`; rows the checkpoint lacks are drawn as strong as its own."""
    table, trained = checkpoint.model[PROMPTS], checkpoint.tasks
    fresh = [task for task in tasks if task not in trained]
    dropped = [task for task in trained if task not in tasks]
    changes = [("starts", fresh, "fresh"), ("leaves", dropped, "out")]
    found = [f"{verb} {', '.join(names)} {how}" for verb, names, how in changes if names]
    if found:
        logger.info("%s: %s", checkpoint.path, " and ".join(found))
    new = torch.randn(len(fresh), *table.shape[1:], dtype=table.dtype) * table.std()
    rows = [table[trained.index(t)] if t in trained else new[fresh.index(t)] for t in tasks]
    return torch.stack(rows)


def load_weights(
    module: nn.Module, state: dict[str, Tensor], source: Path | str, may_miss: Sequence[str] = ()
) -> None:
    """Load weights; anything missing, left over or of another shape is an error that lists it.

    Parameters in `may_miss` keep their values if `state` lacks them. Raises CheckpointError.
    """
    own = module.state_dict()
    problems = {
        "missing": [key for key in own if key not in state and key not in may_miss],
        "left over": [key for key in state if key not in own],
        "other shapes": [
            f"{key} {tuple(state[key].shape)} for {tuple(own[key].shape)}"
            for key in own
            if key in state and state[key].shape != own[key].shape
        ],
    }
    found = [f"{len(keys)} {kind} ({_abbreviate(keys)})" for kind, keys in problems.items() if keys]
    if found:
        raise CheckpointError(f"{source}: weights do not fit the model: {'; '.join(found)}")
    module.load_state_dict(state, strict=False)


def _abbreviate(names: list[str], most: int = 4) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def load_pretrained_encoder(model: UPOCRNetwork, source: str | Path) -> None:
    """Load SwinV2 ImageNet weights (Microsoft's or timm's file), or the encoder of a UPOCR file.

    ImageNet files have only one norm, after the last stage: it becomes `norm3`, and `norm0` to
    `norm2` keep their start. Their classification head is left out. Raises CheckpointError.
    """
    path = Path(source)
    state = state_dict_of(read_file(path), path)
    if PROMPTS in state:
        load_weights(model.encoder, _strip(state, "encoder."), path)
        return
    fresh = [f"backbone.norm{stage}.{kind}" for stage in range(3) for kind in ("weight", "bias")]
    load_weights(model.encoder, convert_imagenet_encoder(state), path, may_miss=fresh)


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
