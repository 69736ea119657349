"""Loaders: endless joint batches of all tasks for training, every image once for evaluation."""

import functools
import multiprocessing
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datasets.base import TextDataset
from models import TASKS

# Branches of the seed, so that the order of the samples and what happens to them are independent.
ORDER, AUGMENTATION = 0, 1


class MultiTaskLoader:
    """Endless iterator over training batches, each one batch of every data set in TASKS order.

    Every data set is a stream of its own epochs, each a new permutation, cut into batches without a
    gap. What stands at a position of a stream follows from the seed alone, so neither the number of
    workers nor an interruption changes a batch, and the processes together see what one process
    would with their joint batch size.

    A batch is a dictionary: `images`, `labels` uint8 (N, 3, S, S) RGB, `masks` uint8 (N, 1, S, S)
    (255 everywhere where the task has none), `tasks` and `names` lists of N strings. Reading a
    broken file raises the data set's ValueError.

    Args:
        datasets: in any order; a task may have several.
        batch_size: samples of each data set and process.
        seed: not negative.
        num_workers: processes that read ahead; 0 reads in this one.
        rank, world_size: this process and their number.
        start_step: steps already done, as in `state_dict`.
        pin_memory: put batches into page-locked memory, for copies to a GPU.
    """

    def __init__(
        self,
        datasets: Sequence[TextDataset],
        batch_size: int,
        seed: int,
        num_workers: int = 0,
        rank: int = 0,
        world_size: int = 1,
        start_step: int = 0,
        pin_memory: bool = False,
    ) -> None:
        _check_datasets(datasets, batch_size)
        self.datasets = sorted(datasets, key=lambda dataset: TASKS.index(dataset.task))
        self.batch_size = batch_size
        self.seed = seed
        self.num_workers = num_workers
        self.rank = rank
        self.world_size = world_size
        self.pin_memory = pin_memory
        self._step = start_step
        self._position = start_step * world_size * batch_size
        self._batches: Iterator | None = None

    def __iter__(self) -> Iterator[dict]:
        return self

    def __next__(self) -> dict:
        if self._batches is None:
            self._batches = iter(self._data_loader())
        batch = next(self._batches)
        if isinstance(batch, Exception):
            self._batches = None
            raise batch
        self._step += 1
        self._position += self.world_size * self.batch_size
        return batch

    def state_dict(self) -> dict[str, int]:
        """Steps handed out, and samples that all processes took from each data set.

        What workers have read ahead is not counted.
        """
        return {"step": self._step, "position": self._position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after `state`.

        With another batch size or number of processes the epochs still go on without a gap.
        """
        self._step, self._position = state["step"], state["position"]
        self._batches = None

    def _data_loader(self) -> DataLoader:
        lengths = [len(dataset) for dataset in self.datasets]
        start = self._position + self.rank * self.batch_size
        stride = self.world_size * self.batch_size
        return DataLoader(
            _ReadOrError(self.datasets),
            batch_sampler=_JointBatches(lengths, self.batch_size, self.seed, start, stride),
            collate_fn=_join,
            pin_memory=self.pin_memory,
            **_worker_options(self.num_workers),
        )


def evaluation_loader(
    dataset: TextDataset,
    batch_size: int,
    num_workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[dict]:
    """Yield batches of evaluation samples; over all processes each image comes once, in order.

    A batch is {"images": uint8 (B, 3, S, S), "samples": list of B evaluation samples}; the last one
    may be smaller, and a process may get none. Reading a broken file raises the data set's
    ValueError.
    """
    loader = DataLoader(
        _ReadOrError([dataset]),
        sampler=[(0, index) for index in range(rank, len(dataset), world_size)],
        batch_size=batch_size,
        collate_fn=list,
        **_worker_options(num_workers),
    )
    for samples in loader:
        for sample in samples:
            if isinstance(sample, Exception):
                raise sample
        yield {"images": torch.stack([sample["image"] for sample in samples]), "samples": samples}


class _ReadOrError(Dataset):
    """Samples by (number of the data set, its key).

    An error of the data is returned, not raised: PyTorch would wrap it into the text of a worker's
    traceback.
    """

    def __init__(self, datasets: Sequence[TextDataset]) -> None:
        self.datasets = datasets

    def __getitem__(self, key: tuple[int, int | tuple[int, int]]) -> dict | Exception:
        number, sample_key = key
        try:
            return self.datasets[number][sample_key]
        except (ValueError, OSError) as error:
            return error


class _JointBatches:
    """Endless sampler: lists of keys (number, (index, seed)), `batch_size` of every data set.

    Args:
        start: position in every stream of the first sample.
        stride: positions from one batch to the next.
    """

    def __init__(
        self, lengths: Sequence[int], batch_size: int, seed: int, start: int, stride: int
    ) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.start = start
        self.stride = stride

    def __iter__(self) -> Iterator[list]:
        position = self.start
        while True:
            positions = range(position, position + self.batch_size)
            numbers = range(len(self.lengths))
            yield [self._key(number, place) for number in numbers for place in positions]
            position += self.stride

    def _key(self, number: int, position: int) -> tuple[int, tuple[int, int]]:
        epoch, place = divmod(position, self.lengths[number])
        index = _permutation(self.seed, number, epoch, self.lengths[number])[place]
        sequence = np.random.SeedSequence(self.seed, spawn_key=(AUGMENTATION, number, position))
        return number, (int(index), int(sequence.generate_state(1)[0]))


@functools.lru_cache(maxsize=32)
def _permutation(seed: int, number: int, epoch: int, length: int) -> np.ndarray:
    sequence = np.random.SeedSequence(seed, spawn_key=(ORDER, number, epoch))
    return np.random.default_rng(sequence).permutation(length)


def _join(samples: list[dict | Exception]) -> dict | Exception:
    for sample in samples:
        if isinstance(sample, Exception):
            return sample
    return {
        "images": torch.stack([sample["image"] for sample in samples]),
        "labels": torch.stack([sample["label"] for sample in samples]),
        "masks": torch.stack([_mask(sample) for sample in samples]),
        "tasks": [sample["task"] for sample in samples],
        "names": [sample["name"] for sample in samples],
    }


def _mask(sample: dict) -> Tensor:
    return sample["mask"] if "mask" in sample else torch.full_like(sample["image"][:1], 255)


def _worker_options(num_workers: int) -> dict:
    """DataLoader arguments: workers, and a generator so that the global one is not drawn from."""
    options: dict = {"num_workers": num_workers, "generator": torch.Generator()}
    if num_workers:
        # A plain fork copies locks that the threads of NCCL, gloo or a logger hold: workers then
        # hang now and then.
        methods = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        if "forkserver" in methods:
            context.set_forkserver_preload(
                ["torchvision.transforms"]
            )  # imported once for all workers
        options["multiprocessing_context"] = context
    return options


def _check_datasets(datasets: Sequence[TextDataset], batch_size: int) -> None:
    if not datasets:
        raise ValueError("no data sets to train on")
    for dataset in datasets:
        dataset.require_targets()
        if not 1 <= batch_size <= len(dataset):
            raise ValueError(
                f"batch size is {batch_size}, expected 1 to {len(dataset)}, "
                f"the number of training images of {dataset.name}"
            )
