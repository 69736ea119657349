"""What a training run says before its first step: a summary, and what is rarely meant that way."""

import filecmp
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from datasets import TextDataset
from datasets.transforms import RandomTransform
from options import Options
from utils import dist
from utils.memory import available_memory
from utils.optim import learning_rate

WORKER_BYTES = 300 * 2**20  # of a loader process with its batches


def summary(
    options: Options,
    device: torch.device,
    amp_dtype: torch.dtype | None,
    model: nn.Module,
    tasks: Sequence[str],
    training: Sequence[TextDataset],
    validation: Sequence[TextDataset],
    image_size: int,
    start_epoch: int,
) -> list[str]:
    """Lines that describe the run."""
    optimisation, processes = options.optimisation, dist.world_size()
    precision = "float32"
    if amp_dtype is not None:
        precision = f"{str(amp_dtype).removeprefix('torch.')} mixed precision"
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad) / 1e6
    frozen = "" if trained == millions else f", {trained:.1f} M of them trained"
    samples = optimisation.batch_size * processes
    epochs = f"epochs {start_epoch + 1} to {optimisation.epochs}"
    return [
        f"device      {device}, {processes} process{'es' if processes > 1 else ''}, {precision}",
        f"model       {millions:.1f} M parameters{frozen}; images of {image_size} x {image_size}",
        f"tasks       {', '.join(tasks)}",
        *_pictures("train", training),
        *_pictures("validate", validation),
        f"steps       {epochs}, {optimisation.iter_per_epoch} steps each; "
        f"{samples * len(training)} images per step ({samples} of each training set)",
        f"output      {options.run.output_dir}",
    ]


def _pictures(purpose: str, datasets: Sequence[TextDataset]) -> Iterator[str]:
    for dataset in datasets:
        number = "1 image" if len(dataset) == 1 else f"{len(dataset):,} images"
        yield f"{purpose:<10}  {dataset.name} ({dataset.task}): {number}"


def warnings(
    options: Options, training: Sequence[TextDataset], validation: Sequence[TextDataset]
) -> Iterator[str]:
    """One line per thing that is allowed and rarely meant: what, and what to do."""
    data = options.data
    for path, dataset in zip(data.data_cfg_paths, training, strict=True):
        if not _is_random(dataset):
            yield (
                f"{path}: no random transform, every epoch shows the same pixels; to train, use a "
                "configuration like those in data_configs/train"
            )
    for path, dataset in zip(data.val_data_cfg_paths, validation, strict=True):
        if _is_random(dataset):
            yield (
                f"{path}: validation leaves out its random transforms; use a configuration like "
                "those in data_configs/eval"
            )
    yield from _shared_images(training, validation)
    yield from _small_datasets(options, training)
    yield from _learning_rates(options)
    yield from _memory(options)


def _is_random(dataset: TextDataset) -> bool:
    return any(isinstance(transform, RandomTransform) for transform in dataset.transforms)


def _shared_images(
    training: Sequence[TextDataset], validation: Sequence[TextDataset]
) -> Iterator[str]:
    trained: dict[int, list[Path]] = {}  # by size in bytes: only files of equal size are read
    for path in (item.image for dataset in training for item in dataset.items):
        trained.setdefault(path.stat().st_size, []).append(path)
    for dataset in validation:
        images = [item.image for item in dataset.items]
        shared = [path for path in images if _is_among(path, trained)]
        if shared:
            yield (
                f"{dataset.name}: {len(shared)} of {len(dataset)} validation images are trained "
                f"on, such as {shared[0]}; validate on others"
            )


def _is_among(image: Path, others: Mapping[int, Sequence[Path]]) -> bool:
    same_size = others.get(image.stat().st_size, ())
    return any(
        image.samefile(path) or filecmp.cmp(image, path, shallow=False) for path in same_size
    )


def _small_datasets(options: Options, training: Sequence[TextDataset]) -> Iterator[str]:
    samples = options.optimisation.batch_size * dist.world_size()
    counts = Counter({dataset.name: len(dataset) for dataset in training})
    for name, count in counts.items():
        if count < samples:
            yield (
                f"{name}: {count} images for {samples} samples per step, so that a step sees some "
                "of them several times; lower --batch_size or add images"
            )


def _learning_rates(options: Options) -> Iterator[str]:
    o = options.optimisation
    if o.warmup_epochs >= o.epochs:
        last = learning_rate(
            o.epochs - 1, o.epochs, o.lr, o.min_lr, o.warmup_epochs, o.warmup_min_lr
        )
        yield (
            f"--warmup_epochs {o.warmup_epochs} outlast --epochs {o.epochs}: the learning rate "
            f"ends at {last:.2g} and never reaches --lr {o.lr:.2g}; shorten the warm-up"
        )
    for name in ("warmup_min_lr", "min_lr"):
        floor = getattr(o, name)
        if floor > o.lr > 0 and (name == "min_lr" or o.warmup_epochs):
            yield (
                f"--{name} {floor:.2g} is above --lr {o.lr:.2g}, which the training passes over; "
                f"lower --{name}"
            )
    if o.lr_encoder_ratio == 0:
        yield "--lr_encoder_ratio is 0: the encoder stays as it is"
    if o.lr == 0:
        yield "--lr is 0: nothing is learnt after the warm-up"


def _memory(options: Options) -> Iterator[str]:
    workers = options.data.processes()
    needed = workers * dist.world_size() * WORKER_BYTES
    free = available_memory()
    if needed > free:
        yield (
            f"--num_workers {workers} in {dist.world_size()} processes need about "
            f"{needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are available; lower --num_workers"
        )
