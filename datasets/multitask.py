"""Loaders: endless joint batches of all tasks for training, every image once for evaluation."""

import functools
import math
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from multiprocessing import forkserver
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from datasets.base import Sample, TextDataset
from tasks import TASKS
from utils.batch import Batch
from utils.processes import end_with_parent, obey_only_the_parent, sigterm_ignored
from utils.quote import quote

LOOK = 2  # seconds between two looks at the workers
FULL = (
    "shared memory (/dev/shm) is full: lower --num_workers or the batch size, or enlarge it, in "
    "containers with docker run --shm-size=8g"
)
# Branches of the seed: the order of the samples is independent of their augmentation.
ORDER, AUGMENTATION = 0, 1

KILLED = "a loader worker was killed: if memory is short, lower --num_workers ({})"

Key = tuple[int, Any]  # number of the data set, key of its sample


class MultiTaskLoader:
    """Endless iterator over training batches with samples of all data sets, in order of `TASKS`.

    Every data set is a stream of epochs, each a new permutation, cut into batches without a gap.
    Each position of a stream follows from the seed alone: neither the number of workers nor an
    interruption changes a batch, and several processes together read what one process reads with
    their joint batch size. A broken file raises the ValueError of its data set.

    Args:
        datasets: in any order; a task may have several.
        batch_size: samples per data set and process.
        seed: not negative.
        num_workers: processes that read ahead; 0 reads in this one.
        rank, world_size: this process and the number of processes.
        pin_memory: put batches into page-locked memory, for copies to a GPU.
        timeout: seconds to wait for a batch of a worker; 0 waits forever.
    """

    def __init__(
        self,
        datasets: Sequence[TextDataset],
        batch_size: int,
        seed: int,
        num_workers: int = 0,
        rank: int = 0,
        world_size: int = 1,
        pin_memory: bool = False,
        timeout: float = 0,
    ) -> None:
        _check_datasets(datasets, batch_size)
        order = list(TASKS)
        self.datasets = sorted(datasets, key=lambda dataset: order.index(dataset.task))
        self.batch_size = batch_size
        self.seed = seed
        self.num_workers = num_workers
        self.rank = rank
        self.world_size = world_size
        self.pin_memory = pin_memory
        self.timeout = timeout
        self._step = self._position = 0
        self._batches: Iterator[Batch | Exception] | None = None

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._batches is None:
            self._batches = iter(self._data_loader())
        batch = _take(self._batches, self.timeout)
        if isinstance(batch, Exception):
            self._batches = None
            raise batch
        self._step += 1
        self._position += self.world_size * self.batch_size
        return batch

    def state_dict(self) -> dict[str, int]:
        """Steps returned, and samples that all processes took from each data set.

        Batches that workers have read ahead do not count.
        """
        return {"step": self._step, "position": self._position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue after `state`.

        The epochs continue without a gap even if the batch size or the number of processes differs.
        Raises ValueError for numbers that no loader has returned.
        """
        for name in ("step", "position"):
            if not isinstance(state[name], int) or state[name] < 0:
                raise ValueError(f"{name} of the loader is {quote(state[name])}")
        self._step, self._position = state["step"], state["position"]
        self._batches = None

    def _data_loader(self) -> DataLoader[Any]:
        lengths = [len(dataset) for dataset in self.datasets]
        start = self._position + self.rank * self.batch_size
        stride = self.world_size * self.batch_size
        return DataLoader(
            _ReadOrError(self.datasets),
            batch_sampler=_joint_batches(lengths, self.batch_size, self.seed, start, stride),
            collate_fn=_join,
            pin_memory=self.pin_memory,
            **_worker_options(self.num_workers, self.timeout),
        )


def evaluation_loader(
    dataset: TextDataset,
    batch_size: int,
    num_workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
    timeout: float = 0,
) -> Iterator[dict[str, Any]]:
    """Yield batches of evaluation samples, in order; the processes together read each image once.

    A batch is {"images": uint8 (B, 3, S, S), "samples": list of B evaluation samples}; the last one
    may be smaller, and a process may get none. A broken file raises the ValueError of its data set.

    timeout: seconds to wait for a batch of a worker; 0 waits forever.
    """
    loader: DataLoader[Any] = DataLoader(
        _ReadOrError([dataset]),
        sampler=[(0, index) for index in range(rank, len(dataset), world_size)],
        batch_size=batch_size,
        collate_fn=_share,
        **_worker_options(num_workers, timeout),
    )
    batches = iter(loader)
    for _ in range(len(loader)):
        samples = _take(batches, timeout)
        if isinstance(samples, Exception):
            raise samples
        yield {"images": torch.stack([sample["image"] for sample in samples]), "samples": samples}


class _ReadOrError(Dataset[Any]):
    """Samples of several data sets; data errors are returned, not raised.

    PyTorch would wrap a raised error into the text of a worker's traceback.
    """

    def __init__(self, datasets: Sequence[TextDataset]) -> None:
        self.datasets = datasets

    def __getitem__(self, key: Key) -> Sample | Exception:
        number, sample_key = key
        try:
            return self.datasets[number][sample_key]
        except (ValueError, OSError) as error:
            return error


def _joint_batches(
    lengths: Sequence[int], batch_size: int, seed: int, start: int, stride: int
) -> Iterator[list[Key]]:
    """Endless keys (number, (index, seed)), `batch_size` of every data set per batch.

    start: position of the first sample in every stream; stride: positions between batches.
    """
    while True:
        positions = range(start, start + batch_size)
        yield [
            (number, _sample_key(seed, number, length, position))
            for number, length in enumerate(lengths)
            for position in positions
        ]
        start += stride


def _sample_key(seed: int, number: int, length: int, position: int) -> tuple[int, int]:
    epoch, place = divmod(position, length)
    index = _permutation(seed, number, epoch, length)[place]
    sequence = np.random.SeedSequence(seed, spawn_key=(AUGMENTATION, number, position))
    return int(index), int(sequence.generate_state(1)[0])


@functools.lru_cache(maxsize=32)
def _permutation(seed: int, number: int, epoch: int, length: int) -> np.ndarray:
    sequence = np.random.SeedSequence(seed, spawn_key=(ORDER, number, epoch))
    return np.random.default_rng(sequence).permutation(length)


def _join(samples: list[Any]) -> Batch | Exception:
    if errors := [sample for sample in samples if isinstance(sample, Exception)]:
        return errors[0]
    images, labels, masks = (
        torch.stack([sample[field] for sample in samples]) for field in ("image", "label", "mask")
    )
    tasks, names = ([sample[key] for sample in samples] for key in ("task", "name"))
    return _shared([images, labels, masks]) or Batch(images, labels, masks, tasks, names)


def _share(samples: list[Any]) -> list[Any] | Exception:
    if errors := [sample for sample in samples if isinstance(sample, Exception)]:
        return errors[0]
    pixels = [value for sample in samples for value in sample.values() if torch.is_tensor(value)]
    return _shared(pixels) or samples


def _shared(tensors: list[Tensor]) -> Exception | None:
    """Move tensors of a worker into shared memory; returns the error if that is full.

    PyTorch does the same when a worker sends them, in a thread whose error is printed and then
    forgotten, while the main process waits.
    """
    if get_worker_info() is None:
        return None
    size = sum(tensor.untyped_storage().nbytes() for tensor in tensors)
    try:
        for tensor in tensors:
            tensor.share_memory_()
    except (RuntimeError, OSError) as error:
        return OSError(f"{FULL} ({size / 2**20:.0f} MiB asked for; {quote(error)})")
    return None


def _take(batches: Iterator[Any], timeout: float) -> Any:
    """The next batch; raises OSError, in one line, if the workers are silent or gone.

    timeout: seconds, 0 to wait forever.
    """
    deadline = time.monotonic() + (timeout or math.inf)
    while True:
        try:
            return next(batches)
        except RuntimeError as error:
            text = str(error)
            if text.startswith("DataLoader timed out") and time.monotonic() < deadline:
                continue
            reason = _reason(text)
            if reason is None:
                raise
        except (ConnectionError, EOFError) as error:  # it ended while it handed over a batch
            reason = KILLED.format(error)
        raise OSError(reason) from None


def _reason(text: str) -> str | None:
    """What an error of a DataLoader says of its workers, None for other errors."""
    if text.startswith("DataLoader timed out"):
        return "a loader worker hangs, see --timeout: do the images lie on a slow disk?"
    if "Bus error" in text:
        return FULL
    if text.startswith(("DataLoader worker", "Pin memory thread")):
        return KILLED.format(text)
    return None


def _worker_options(num_workers: int, timeout: float = 0) -> dict[str, Any]:
    """DataLoader arguments: workers, and a generator that spares the global one."""
    options: dict[str, Any] = {"num_workers": num_workers, "generator": torch.Generator()}
    if num_workers:
        # A time-out of its own would keep the DataLoader from looking after its workers meanwhile.
        options["timeout"] = min(timeout, LOOK)
        # Plain forks copy locks held by the threads of NCCL, gloo or a logger, and may then hang.
        can_fork = "forkserver" in multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("forkserver" if can_fork else "spawn")
        if can_fork:  # import once for all workers
            context.set_forkserver_preload(["utils.fork_server", "torchvision.transforms"])
            with sigterm_ignored():  # also by the workers, see `_start_worker`
                forkserver.ensure_running()
        options["multiprocessing_context"] = context
        options["worker_init_fn"] = _start_worker
    return options


def _start_worker(number: int) -> None:
    end_with_parent(number)
    # SIGTERM may be sent to all processes of a run: the main one decides, and needs its batches.
    obey_only_the_parent()


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
