"""Checkpoints: written atomically, read safely, ours and the official ones."""

import argparse
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from models import TASKS, UPOCR, VARIANTS, build_upocr
from models.upocr import STRIDE, check_architecture
from utils.weights import CheckpointError, read_file, state_dict_of

DERIVED = ("relative_coords_table", "relative_position_index", "attn_mask")
IMAGE_SIZE = 512  # of the paper
PROMPTS = "task_prompt.task_embedding.weight"
# What training needs to go on, and its types.
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
    """What a file of weights holds, whoever wrote it.

    Args:
        path: the file.
        model: parameter name -> tensor, without derived buffers and without VGG16.
        architecture: the numbers `build_upocr` takes.
        tasks: task of each prompt row.
        image_size: side of the images in training, in pixels.
        vgg16: `vgg16.*` weights of an official training file, else empty.
        training: `optimizer`, `scaler`, `epoch`, `loader`, `rng`, `best`, as far as the file has
            them.
    """

    path: Path
    model: dict[str, Tensor]
    architecture: dict[str, Any]
    tasks: tuple[str, ...]
    image_size: int = IMAGE_SIZE
    vgg16: dict[str, Tensor] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


def save_atomically(content: dict[str, Any], paths: list[Path]) -> None:
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
    """Give `source` the second name `path`, atomically; a copy where the file system has no hard
    links.
    """
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
    """Read a checkpoint of ours, an official one (training or released), or a bare state
    dictionary.

    Prompt rows come in the order of `models.TASKS`. Raises CheckpointError.
    """
    path = Path(path)
    content = read_file(path)
    state = state_dict_of(content, path)
    if PROMPTS not in state:
        raise CheckpointError(f"{path}: holds no UPOCR weights ({PROMPTS} is missing)")
    options = content.get("args")
    options = vars(options) if isinstance(options, argparse.Namespace) else {}
    architecture = content.get("architecture")
    if architecture is None:
        architecture = _infer_architecture(state, options, path)
    checkpoint = Checkpoint(
        path=path,
        model={k: v for k, v in state.items() if not _is_derived(k) and not k.startswith("vgg16.")},
        architecture=architecture,
        tasks=content.get("tasks", TASKS),
        image_size=content.get("image_size", options.get("pix2pix_size", IMAGE_SIZE)),
        vgg16={key: value for key, value in state.items() if key.startswith("vgg16.")},
        training={name: content[name] for name in TRAINING if name in content},
    )
    _check_entries(checkpoint)
    return _order_tasks(checkpoint)


def _check_entries(checkpoint: Checkpoint) -> None:
    """Raise CheckpointError for an entry that no training has written; make `tasks` a tuple."""
    try:
        check_architecture(checkpoint.architecture)
    except ValueError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from None
    entries = {"tasks": checkpoint.tasks, **checkpoint.training}
    for name, value in entries.items():
        if not isinstance(value, TRAINING.get(name, (list, tuple))):
            raise CheckpointError(f"{checkpoint.path}: {name} is {_abbreviate([repr(value)])}")
    checkpoint.tasks = tuple(checkpoint.tasks)
    size = checkpoint.image_size
    if not isinstance(size, int) or size < STRIDE or size % STRIDE:
        raise CheckpointError(
            f"{checkpoint.path}: image_size is {size!r}, expected a multiple of {STRIDE}"
        )


def _is_derived(key: str) -> bool:
    return key.endswith(DERIVED)


def _infer_architecture(
    state: dict[str, Tensor], options: dict[str, Any], path: Path
) -> dict[str, Any]:
    """Architecture of an official file: from its weights, then its command line, then the paper."""
    numbers = dict(VARIANTS["upocr"])
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
    numbers = {f"{half}_depths": depths, f"{half}_num_heads": num_heads}
    table = state.get(f"{prefix}.layers.0.blocks.0.attn.relative_coords_table")
    if table is not None:  # both windows can be read off the derived table
        window_size = (table.shape[1] + 1) // 2
        spread = 2 ** (3 * table.max().item()) - 1
        numbers[f"{half}_window_size"] = window_size
        numbers[f"{half}_pretrained_window_size"] = round(8 * (window_size - 1) / spread) + 1
    return numbers


def _order_tasks(checkpoint: Checkpoint) -> Checkpoint:
    """Bring prompt rows, and what the optimizer knows of them, into the order of `models.TASKS`, by
    name.
    """
    rows = len(checkpoint.model[PROMPTS])
    if len(checkpoint.tasks) != rows:
        raise CheckpointError(
            f"{checkpoint.path}: {rows} task prompts for the {len(checkpoint.tasks)} tasks "
            f"{list(checkpoint.tasks)}"
        )
    if checkpoint.tasks == TASKS:
        return checkpoint
    missing = [task for task in TASKS if task not in checkpoint.tasks]
    if missing:
        raise CheckpointError(
            f"{checkpoint.path}: trained for the tasks {list(checkpoint.tasks)}, without {missing}"
        )
    order = torch.tensor([checkpoint.tasks.index(task) for task in TASKS])
    table = checkpoint.model[PROMPTS]
    checkpoint.model[PROMPTS] = table[order]
    states = checkpoint.training.get("optimizer", {}).get("state", {})
    index = list(checkpoint.model).index(PROMPTS) if states else None
    # The optimizer counts the parameters of its groups: everything but the encoder, then the
    # encoder.
    if index is not None:
        others = [key for key in checkpoint.model if not key.startswith("encoder.")]
        moments = states.get(others.index(PROMPTS), {})
        for name in ("exp_avg", "exp_avg_sq"):
            if name in moments:
                moments[name] = moments[name][order]
    checkpoint.tasks = TASKS
    return checkpoint


def build_from_checkpoint(checkpoint: Checkpoint) -> UPOCR:
    """The model of a checkpoint with its weights; raises CheckpointError where they do not fit."""
    try:
        model = build_upocr(**checkpoint.architecture)
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from None
    load_weights(model, checkpoint.model, checkpoint.path)
    return model


def load_weights(
    module: nn.Module, state: dict[str, Tensor], source: Path, may_miss: tuple[str, ...] = ()
) -> None:
    """Load weights into a module; anything missing, left over or of another shape is an error that
    lists it.

    Keys in `may_miss` keep their values if the file has none.
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
    return ", ".join(names[:most]) + (
        f", and {len(names) - most} more" if len(names) > most else ""
    )


def load_pretrained_encoder(model: UPOCR, path: str | Path) -> None:
    """Load SwinV2 ImageNet weights (Microsoft's or timm's file), or the encoder of a UPOCR file.

    ImageNet files know only one norm, after the last stage: it becomes `norm3`, and `norm0` to
    `norm2` keep their start. Their classification head is left out. Raises CheckpointError.
    """
    path = Path(path)
    state = state_dict_of(read_file(path), path)
    if PROMPTS in state:
        load_weights(model.encoder, _strip(state, "encoder."), path)
        return
    fresh = tuple(
        f"backbone.norm{stage}.{kind}" for stage in range(3) for kind in ("weight", "bias")
    )
    load_weights(model.encoder, convert_imagenet_encoder(state), path, may_miss=fresh)


def load_pretrained_decoder(model: UPOCR, path: str | Path) -> None:
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
    # timm puts a stage's patch merging before its blocks, Microsoft and UPOCR after those of the
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
