"""The plan of a training step: what it accounts for, and how it grows."""

import pytest
import torch
from fake_gpu import GPU, fake_gpu

from benchmarks.plan import (
    CARDS,
    GIB,
    Accounts,
    Need,
    SavedTensors,
    all_reduce_bytes,
    build_parser,
    hours,
    largest_batch,
    memory_rows,
    total_bytes,
    unit_batch,
)
from models import build_criterion, build_upocr
from models.vgg import VGG16Features
from tasks import OFFICIAL_TASKS

pytestmark = pytest.mark.slow

SIDE = 64


@pytest.fixture(scope="module")
def accounts():
    return Accounts("upocr_nano", SIDE, torch.float32)


@pytest.fixture(scope="module")
def plain(accounts):
    return [accounts.need(batch_size) for batch_size in (1, 2, 5)]


def test_activations_grow_linearly_with_the_batch(plain):
    one, two, five = plain
    assert one.saved < two.saved < 2 * one.saved  # position biases do not grow
    assert one.scaled(two, 5).saved == five.saved


def test_checkpointing_saves_less(plain):
    needs = Accounts("upocr_nano", SIDE, torch.float32).needs((1, 2))
    assert needs["plain"] == plain[:2]
    for all_kept, few_kept in zip(*needs.values(), strict=True):
        assert few_kept.saved < 0.7 * all_kept.saved
        assert few_kept.largest == all_kept.largest + all_kept.block > all_kept.block > 0


def test_mixed_precision_saves_less(plain):
    mixed = Accounts("upocr_nano", SIDE, torch.bfloat16).need(2)
    assert plain[1].saved / 2 < mixed.saved < plain[1].saved


def test_gradients_take_as_much_as_weights_and_moments_twice_that(accounts, plain):
    (row,) = memory_rows(accounts, {"plain": plain[:2]}, 2)
    count = sum(p.numel() for p in build_upocr("upocr_nano").parameters())
    assert row["weights"] == row["gradients"] == row["optimizer"] / 2 == 4 * count / GIB
    assert row["saved activations"] == plain[1].saved / GIB


def test_the_largest_batch_is_the_last_that_fits(accounts, plain):
    one, two, _ = plain
    for card in CARDS:
        batch = largest_batch(accounts, one, two, card * GIB)
        fits, exceeds = (total_bytes(accounts, one.scaled(two, b)) for b in (batch, batch + 1))
        assert fits <= card * GIB < exceeds
    assert largest_batch(accounts, Need(100 * GIB, 0, 0), Need(200 * GIB, 0, 0), GIB) == 0


def test_work_is_that_of_a_real_step(accounts):
    forward, backward = accounts.work(1)
    assert forward / 2 < backward < 2 * forward  # most of it is VGG16, which gets no gradients
    assert accounts.work(2)[0] == pytest.approx(2 * forward, rel=0.05)


def test_one_gpu_sends_nothing():
    assert all_reduce_bytes(100, 1) == 0
    assert all_reduce_bytes(100, 2) == 100
    assert all_reduce_bytes(100, 8) == 175


def test_hours_of_the_schedule():
    # 312 TFLOP per step at all of the peak rate: one second per step.
    assert hours(312e12, "bfloat16", 1.0) == pytest.approx(400 * 200 / 3600)


def test_the_paper_is_the_default():
    args = build_parser().parse_args([])
    assert (args.variant, args.batch_size, args.gpus, args.side) == ("upocr", 8, 2, 512)


@pytest.mark.slow
def test_the_paper_has_108_million_parameters():
    assert Accounts("upocr", SIDE, torch.float32).num_parameters == 108_157_401


def saved_on_the_fake_gpu(dtype) -> int:
    model, criterion = build_upocr("upocr_nano").train(), VGG16Features()
    with fake_gpu() as gpu:
        model = gpu.on_gpu(model)
        criterion = gpu.on_gpu(build_criterion(OFFICIAL_TASKS, criterion))
        batch = unit_batch(SIDE, 2).to(GPU)
        known = [*model.parameters(), *model.buffers(), *criterion.parameters()]
        known += [batch.images, batch.labels, batch.masks]
        autocast = torch.autocast(GPU.type, dtype=dtype, enabled=dtype != torch.float32)
        with autocast, SavedTensors(known) as saved:
            criterion(model(batch.images, batch.tasks), batch)
    return saved.num_bytes()


def test_accounting_is_that_of_a_gpu(plain):
    assert saved_on_the_fake_gpu(torch.float32) == plain[1].saved


def test_mixed_precision_on_a_gpu_differs_little():
    mixed = Accounts("upocr_nano", SIDE, torch.bfloat16).need(2)
    assert saved_on_the_fake_gpu(torch.bfloat16) == pytest.approx(mixed.saved, rel=0.1)
