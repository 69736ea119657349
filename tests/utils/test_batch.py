"""Training batches."""

import torch

from utils.batch import Batch


def batch_of(count: int) -> Batch:
    pixels = torch.arange(count * 12, dtype=torch.uint8).view(count, 3, 2, 2)
    names = [f"name {index}" for index in range(count)]
    return Batch(pixels, pixels + 1, pixels[:, :1], [f"task {n % 2}" for n in range(count)], names)


def test_pixels_reach_the_device_as_fractions():
    batch = batch_of(2)
    moved = batch.to(torch.device("cpu"))
    assert torch.equal(moved.images, batch.images.float() / 255)
    assert torch.equal(moved.labels, batch.labels.float() / 255)
    assert torch.equal(moved.masks, batch.masks.float() / 255)
    assert (moved.tasks, moved.names) == (batch.tasks, batch.names)


def test_rows_are_samples():
    batch = batch_of(4)
    for rows in ([1, 3], slice(1, 4, 2)):
        part = batch[rows]
        assert torch.equal(part.images, batch.images[[1, 3]])
        assert torch.equal(part.labels, batch.labels[[1, 3]])
        assert torch.equal(part.masks, batch.masks[[1, 3]])
        assert part.tasks == ["task 1", "task 1"]
        assert part.names == ["name 1", "name 3"]
        assert len(part) == 2


def test_a_slice_copies_nothing():
    batch = batch_of(4)
    assert batch[1:3].images.data_ptr() == batch.images[1].data_ptr()
