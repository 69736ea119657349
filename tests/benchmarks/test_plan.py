"""The plan of a training step: what it accounts for, and how it grows."""

import math
from dataclasses import replace

import pytest
import torch
from fake_gpu import GPU, fake_gpu
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.plan import (
    CARDS,
    GIB,
    Accounts,
    Ledger,
    Need,
    Operator,
    SavedTensors,
    Step,
    all_reduce_bytes,
    attention_of_a_gpu,
    build_parser,
    check_kernel,
    hour_rows,
    hours,
    largest_batch,
    memory_rows,
    total_bytes,
    unit_batch,
    without_contents,
    work_rows,
)
from models import build_criterion, build_upocr
from models.swin import WindowAttention
from models.vgg import VGG16Features
from tasks import OFFICIAL_TASKS

MIB = 2**20
SIDE = 64


@pytest.fixture(scope="module")
def accounts():
    return Accounts("upocr_nano", SIDE, torch.float32)


@pytest.fixture(scope="module")
def plain(accounts):
    return [accounts.step(batch_size) for batch_size in (1, 2, 5)]


@pytest.fixture(scope="module")
def checkpointed():
    return Accounts("upocr_nano", SIDE, torch.float32, checkpointed=True).step(2)


@pytest.mark.slow
def test_activations_grow_linearly_with_the_batch(plain):
    one, two, five = (step.need for step in plain)
    assert one.saved < two.saved < 2 * one.saved  # position biases do not grow
    assert one.scaled(two, 5).saved == five.saved
    assert one.scaled(two, 5).peak == pytest.approx(five.peak, rel=0.03)
    assert all(need.saved < need.peak for need in (one, two, five))


@pytest.mark.slow
def test_checkpointing_trades_arithmetic_for_memory(plain, checkpointed):
    assert checkpointed.need.saved < 0.35 * plain[1].need.saved
    assert checkpointed.need.peak < 0.5 * plain[1].need.peak
    (forward, backward), (same, more) = plain[1].flop, checkpointed.flop
    assert same == forward
    assert backward < more < backward + forward  # blocks alone are computed again


@pytest.mark.slow
def test_mixed_precision_saves_less(plain):
    mixed = Accounts("upocr_nano", SIDE, torch.bfloat16).step(2)
    assert plain[1].need.saved / 2 < mixed.need.saved < plain[1].need.saved


@pytest.mark.slow
def test_gradients_take_as_much_as_weights_and_moments_twice_that(accounts, plain):
    (row,) = memory_rows(accounts, {"plain": plain[1]})
    count = sum(p.numel() for p in build_upocr("upocr_nano").parameters())
    assert row["weights"] == row["gradients"] == row["optimizer"] / 2 == 4 * count / GIB
    assert row["saved activations"] + row["more at the peak"] == plain[1].need.peak / GIB


@pytest.mark.slow
def test_the_largest_batch_is_the_last_that_fits(accounts, plain):
    one, two = plain[0].need, plain[1].need
    for card in CARDS:
        batch = largest_batch(accounts, one, two, card * GIB)
        fits, exceeds = (total_bytes(accounts, one.scaled(two, b)) for b in (batch, batch + 1))
        assert fits <= card * GIB < exceeds
    assert largest_batch(accounts, Need(0, 100 * GIB), Need(0, 200 * GIB), GIB) == 0


@pytest.mark.slow
def test_tables_of_work_and_hours(plain, accounts):
    steps = {"plain": plain[1]}
    (work,) = work_rows(accounts, steps, gpus=2)
    assert work["forward, TFLOP"] + work["backward, TFLOP"] == sum(plain[1].flop) / 1e12
    assert work["gradients sent, and received, GiB"] == accounts.parameter_bytes() / GIB
    rows = hour_rows(steps, "float32")
    assert [row["of the peak rates"] for row in rows] == ["30%", "40%", "50%"]
    for row in rows:  # the faster memory saves time, and none takes less than the arithmetic
        assert row["arithmetic alone"] < row["with traffic, 80 GB"] < row["with traffic, 40 GB"]
    assert rows[2]["arithmetic alone"] == pytest.approx(rows[0]["arithmetic alone"] * 0.6)


def by_hand(model, criterion, batch) -> int:
    """Floating-point operations of a forward pass, from the sizes of the layers."""
    total = 0

    def linear(layer, inputs, output):
        nonlocal total
        total += 2 * output.numel() * layer.in_features

    def convolution(layer, inputs, output):
        nonlocal total
        total += 2 * output.numel() * layer.weight[0].numel()

    def attention(layer, inputs, output):
        nonlocal total  # q, k and v, which are computed without calling the layer; scores; values
        total += 2 * output.numel() * (3 * output.shape[-1] + 2 * output.shape[1])

    def gram(layer, inputs, outputs):
        nonlocal total  # both the features and those of the label, for each of two pictures
        if outputs[0].requires_grad:
            total += sum(2 * 2 * x.numel() * x.shape[1] for x in outputs)

    kinds = {
        nn.Linear: linear,
        nn.Conv2d: convolution,
        WindowAttention: attention,
        VGG16Features: gram,
    }
    for part in (*model.modules(), *criterion.modules()):
        if type(part) in kinds:
            part.register_forward_hook(kinds[type(part)])
    criterion(model(batch.images, batch.tasks), batch)
    return total


@pytest.mark.slow
def test_arithmetic_is_that_of_the_layers(plain):
    fake = FakeTensorMode()
    model = without_contents(build_upocr("upocr_nano").train(), fake)
    criterion = without_contents(build_criterion(OFFICIAL_TASKS, VGG16Features()), fake)
    with fake, attention_of_a_gpu():
        assert by_hand(model, criterion, unit_batch(SIDE, 1)) == plain[0].flop[0]


@pytest.mark.slow
def test_the_backward_pass_is_that_of_a_real_step(plain):
    forward, backward = plain[0].flop
    assert forward / 2 < backward < 2 * forward  # most of it is VGG16, which gets no gradients
    assert plain[1].flop[0] == pytest.approx(2 * forward, rel=0.05)


def test_memory_is_booked_while_it_lives():
    with FakeTensorMode():
        known = torch.zeros(MIB)
        with Ledger([known]) as ledger:
            first = torch.zeros(MIB)  # 4 MiB
            second = first + known
            assert (ledger.held, ledger.peak) == (8 * MIB, 8 * MIB)
            del first
            assert (ledger.held, ledger.peak) == (4 * MIB, 8 * MIB)
            view = second.view(2, -1).t()
            known.add_(1)
            assert ledger.held == 4 * MIB
            ledger.forget(view)
            assert ledger.held == 0


def test_every_operand_is_read_and_every_result_written():
    with FakeTensorMode():
        a, b = torch.zeros(64, 32), torch.zeros(32, 16, dtype=torch.bfloat16)
        with Ledger([a, b]) as ledger:
            torch.empty(100)
            row = b[:1].expand(32, 16)  # 16 elements in memory
            wide = row.float()
            product = a @ wide
            product.add_(1)
    cast, product, addition = ledger.operators
    assert cast == Operator(0, 2 * 16 + 4 * 32 * 16, False)
    assert product == Operator(2 * 64 * 32 * 16, 4 * (64 * 32 + 32 * 16 + 64 * 16), True)
    assert addition == Operator(0, 4 * 2 * 64 * 16, True)


def test_an_operator_takes_as_long_as_its_arithmetic_or_its_memory():
    narrow, wide, copy = Operator(312, 1, False), Operator(156, 1, True), Operator(0, 10**12, True)

    def seconds(operator, dtype, bandwidth=math.inf):
        tera = replace(operator, flop=operator.flop * 10**12)
        return Step(Need(0, 0), [tera], []).seconds(dtype, 0.5, bandwidth)

    assert seconds(narrow, "bfloat16") == 2
    assert seconds(wide, "bfloat16") == seconds(wide, "float32") == 16
    assert seconds(wide, "tf32") == seconds(replace(wide, convolution=True), "float32") == 2
    assert seconds(copy, "bfloat16") == 0
    assert seconds(copy, "bfloat16", 2e12) == 0.5


def test_one_gpu_sends_nothing():
    assert all_reduce_bytes(100, 1) == 0
    assert all_reduce_bytes(100, 2) == 100
    assert all_reduce_bytes(100, 8) == 175


def test_hours_of_the_schedule():
    assert hours(1) == pytest.approx(400 * 200 / 3600)


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
        known = [x for m in (model, criterion) for x in (*m.parameters(), *m.buffers())]
        batch = unit_batch(SIDE, 2).to(GPU)
        autocast = torch.autocast(GPU.type, dtype=dtype, enabled=dtype != torch.float32)
        with autocast, SavedTensors(known) as saved:
            criterion(model(batch.images, batch.tasks), batch)
    return saved.num_bytes()


@pytest.mark.slow
def test_accounting_is_that_of_a_gpu(plain):
    assert saved_on_the_fake_gpu(torch.float32) == plain[1].need.saved


@pytest.mark.slow
def test_mixed_precision_on_a_gpu_differs_little():
    mixed = Accounts("upocr_nano", SIDE, torch.bfloat16).step(2)
    assert saved_on_the_fake_gpu(torch.bfloat16) == pytest.approx(mixed.need.saved, rel=0.1)


def operands() -> dict[str, torch.Tensor]:
    """Of an attention that the memory-efficient kernel takes, in bfloat16."""
    q, k, v = (torch.zeros(2, 3, 64, 16, dtype=torch.bfloat16) for _ in range(3))
    return {"query": q, "key": k, "value": v, "bias": q.new_zeros(3, 64, 64)}


@pytest.mark.parametrize(
    ("change", "unmet"),
    [
        ({}, None),
        ({"bias": lambda x: x.float()}, "one type"),
        ({"bias": lambda x: x.mT}, "neighbours in memory"),
        ({"value": lambda x: x.mT.contiguous().mT}, "neighbours in memory"),
        (dict.fromkeys(("query", "key", "value"), lambda x: x[..., :12]), "aligned heads"),
        ({"key": lambda x: torch.zeros_like(x[..., :-1, :])}, None),
        ({"value": lambda x: x.new_zeros(2, 3, 64, 20)[..., 4:]}, "aligned offsets"),
        ({"bias": lambda x: x[..., :49]}, "aligned rows of the bias"),
        ({"query": lambda x: x[:, :1].expand(-1, 65_536, -1, -1)}, "a grid that fits"),
    ],
)
def test_attention_that_takes_another_kernel_is_an_error(change, unmet):
    tensors = operands()
    for name, function in change.items():
        tensors[name] = function(tensors[name])
    if unmet is None:
        check_kernel(**tensors)
    else:
        with pytest.raises(RuntimeError, match=f"attention without {unmet}: torch.bfloat16"):
            check_kernel(**tensors)
