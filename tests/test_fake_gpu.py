"""Training, evaluation and prediction on a fake GPU: devices, types, and when the host waits."""

import ast
import contextlib
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_gpu import GPU, fake_gpu
from small_run import ROOT
from torch import Tensor

from engine import evaluate, task_gap, train_one_epoch
from models import VARIANTS, build_criterion, build_upocr
from models.criterion import resize_nearest, style_loss
from models.fast import (
    checkpoint_blocks,
    features_channels_last,
    for_inference,
    for_training,
)
from models.swin import Mlp, WindowAttention, shift_mask
from models.vgg import VGG16Features
from tasks import OFFICIAL_TASKS
from upocr.backends.torch import TorchBackend
from utils.batch import Batch
from utils.logger import StepLog
from utils.optim import build_optimizer

DTYPES = {"float32": None, "float16": torch.float16, "bfloat16": torch.bfloat16}
SIDE = 64


def pixels(channels):
    """One sample per task, as the loader gives them."""
    return torch.zeros(len(OFFICIAL_TASKS), channels, SIDE, SIDE, dtype=torch.uint8)


def train(model, criterion, amp_dtype, batches=None, steps=1, print_freq=1):
    """Losses and optimizer after real training steps, from uint8 pixels on the CPU."""
    optimizer = build_optimizer(model, 1e-4, 0.1, 0.05)
    scaler = torch.amp.GradScaler(GPU.type, enabled=amp_dtype == torch.float16)
    batch = Batch(pixels(3), pixels(3), pixels(1), list(OFFICIAL_TASKS), list(OFFICIAL_TASKS))
    log = StepLog(0, 1, steps, print_freq, optimizer, GPU)
    losses = train_one_epoch(
        model,
        criterion,
        batches(batch) if batches else iter([batch] * steps),
        optimizer,
        scaler,
        log,
        device=GPU,
        amp_dtype=amp_dtype,
        clip_max_norm=0.1,
    )
    return losses, optimizer


def cost(variant, dtype):
    """Marks of a case: one is quick, and one of the full model is in every run of the tests."""
    if variant == "upocr_nano":
        return [] if dtype == "float16" else pytest.mark.slow
    return pytest.mark.slow if (variant, dtype) == ("upocr", "bfloat16") else pytest.mark.long


CASES = [pytest.param(v, d, marks=cost(v, d)) for v in VARIANTS for d in DTYPES]


def built(variant, **numbers):
    """A model and its criterion with random weights on the CPU."""
    criterion = build_criterion(OFFICIAL_TASKS, VGG16Features())
    return build_upocr(variant, **numbers).train(), criterion


def move(gpu, model, criterion):
    """To the GPU as the trainer does it, and then forget that."""
    moved = for_training(gpu.on_gpu(model)), features_channels_last(gpu.on_gpu(criterion))
    gpu.clear()
    return moved


def check_types(types, amp_dtype):
    """Matrix products in the type of mixed precision; Gram matrices alone stay in float32."""
    expected = {frozenset({amp_dtype or torch.float32})}
    assert types.keys() >= {"addmm", "mm", "convolution", "convolution_backward"}
    assert types.pop("bmm") == {frozenset({torch.float32})}
    assert {name: kinds for name, kinds in types.items() if kinds != expected} == {}


def check_step(gpu, model, losses, optimizer, amp_dtype):
    """What holds after every training step."""
    assert {"total", "grad_norm", "text_removal/style"} <= set(losses)
    check_types(gpu.types, amp_dtype)
    assert set(gpu.waits) == {"_local_scalar_dense at utils/logger.py"}
    assert gpu.waits.total() == len(losses)  # each figure once
    # The pixels as bytes, and the rows of the prompts.
    assert gpu.copied == {torch.uint8: 3 * 7 * SIDE**2, torch.int64: 3 * 8}
    assert gpu.channels_first <= {"models/encoder.py"}  # of RGB, where no transpose is cheaper
    for parameter in model.parameters():
        for tensor in (parameter, parameter.grad, *optimizer.state[parameter].values()):
            assert (tensor.device, tensor.dtype) == (GPU, torch.float32)


STEPS = [(*case.values, False) for case in CASES] + [("upocr_nano", "float16", True)]


@pytest.mark.parametrize(
    ("variant", "dtype", "checkpointed"),
    [pytest.param(*step, marks=cost(*step[:2])) for step in STEPS],
)
def test_training_step(variant, dtype, checkpointed):
    model, criterion = built(variant)
    checkpoint_blocks(model, encoder=checkpointed, decoder=checkpointed)
    with fake_gpu() as gpu:
        model, criterion = move(gpu, model, criterion)
        losses, optimizer = train(model, criterion, DTYPES[dtype])
    check_step(gpu, model, losses, optimizer, DTYPES[dtype])


SHALLOW = {"enc_depths": [2, 1, 1, 1], "dec_depths": [1, 1, 1, 1, 1]}


@pytest.mark.slow
def test_steps_between_two_lines_do_not_wait():
    model, criterion = built("upocr_nano", **SHALLOW)
    waits = []
    with fake_gpu() as gpu:
        model, criterion = move(gpu, model, criterion)

        def batches(batch):
            while True:
                waits.append(gpu.waits.total())
                yield batch

        losses, _ = train(model, criterion, torch.float16, batches, steps=4, print_freq=2)
    assert waits == [0, 0, 2 * len(losses), 2 * len(losses)]


class Recorder:
    def __init__(self) -> None:
        self.outputs: list[Tensor] = []

    def update(self, outputs, samples) -> None:
        self.outputs.append(outputs)

    def compute(self) -> dict:
        return {}


@pytest.mark.parametrize(("variant", "dtype"), CASES)
def test_evaluation(variant, dtype):
    model, amp_dtype, recorder = built(variant)[0], DTYPES[dtype], Recorder()
    samples = [{"task": task, "name": task} for task in OFFICIAL_TASKS]
    fast = for_inference(model, amp_dtype or torch.float32)
    with fake_gpu() as gpu:
        fast = gpu.on_gpu(fast)
        gpu.clear()
        batches = [{"images": pixels(3), "samples": samples}] * 2
        evaluate(fast, batches, recorder, device=GPU, amp_dtype=amp_dtype, num_images=6)
    # Each output is checked, and the images are counted at the end.
    assert gpu.waits == {"_local_scalar_dense at engine.py": 6 + 1}
    assert {(x.device, x.dtype) for x in recorder.outputs} == {(GPU, torch.float32)}
    expected = {frozenset({amp_dtype or torch.float32})}
    assert {name: kinds for name, kinds in gpu.types.items() if kinds != expected} == {}


@pytest.mark.parametrize(("variant", "dtype"), CASES)
def test_prediction(variant, dtype):
    model, amp_dtype = built(variant)[0], DTYPES[dtype]
    network = for_inference(model, amp_dtype or torch.float32)
    with fake_gpu() as gpu:
        backend = TorchBackend(gpu.on_gpu(network), SIDE, GPU, amp_dtype)
        gpu.clear()
        outputs = backend.predict(np.zeros((1, 3, SIDE, SIDE), np.float32), OFFICIAL_TASKS)
    assert outputs.shape == (1, len(OFFICIAL_TASKS), 3, SIDE, SIDE)
    where = "at upocr/backends/torch.py"  # in, out, and one check
    assert gpu.waits == {f"_to_copy {where}": 2, f"_local_scalar_dense {where}": 1}
    expected = {frozenset({amp_dtype or torch.float32})}
    assert {name: kinds for name, kinds in gpu.types.items() if kinds != expected} == {}


def test_task_gap_waits_once():
    model = built("upocr_nano")[0]
    with fake_gpu() as gpu:
        model = gpu.on_gpu(model).eval()
        gpu.clear()
        task_gap(model, torch.zeros(1, 3, SIDE, SIDE, device=GPU), OFFICIAL_TASKS)
    assert gpu.waits == {"_local_scalar_dense at engine.py": 1}


# The tests of the tests: every fault that they are for.


@pytest.mark.parametrize(
    "fault",
    [
        lambda x: x.sum().item(),
        lambda x: x.tolist(),
        lambda x: bool((x > 0).all()),
        lambda x: x.cpu(),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: x[[0, 1]],
        lambda x: torch.ones(4).to(x.device),
        lambda x: torch.tensor([1.0, 2.0], device=x.device),
        lambda x: x.copy_(torch.ones(4)),
    ],
)
def test_whatever_waits_is_recorded(fault):
    with fake_gpu() as gpu:
        x = torch.ones(4, device=GPU)
        assert not gpu.waits
        with contextlib.suppress(RuntimeError):  # sizes that depend on contents
            fault(x)
    assert gpu.waits


@pytest.mark.parametrize(
    "sound",
    [
        lambda x: (x + 1).where(x > 0, 2.0),
        lambda x: x.to("cpu", non_blocking=True),
        lambda x: torch.ones(4).to(x.device, non_blocking=True),
        lambda x: x[torch.arange(2, device=x.device)],
        lambda x: torch.arange(4) + 1,
    ],
)
def test_nothing_else_is_recorded(sound):
    with fake_gpu() as gpu:
        sound(torch.ones(4, device=GPU))
    assert not gpu.waits


# Our own code, broken in one place each: the step must not pass `check_step`.


def mask_on_the_cpu(grid, window_size, shift, device):
    return shift_mask(grid, window_size, shift)


def labels_on_the_cpu(batch, device, move=Batch.to):
    return replace(move(batch, device), labels=batch.labels.float())


def blocking_copy(pixels, device):
    return pixels.to(device).float().div_(255)


def copy_of_floats(pixels, device):
    return pixels.float().div_(255).to(device, non_blocking=True)


def wide_mlp(mlp, x, forward=Mlp.forward):
    with torch.autocast(GPU.type, enabled=False):
        return forward(mlp, x.float())


def narrow_gram_matrix(features):
    return features.flatten(2) @ features.flatten(2).transpose(1, 2)


def read_loss(feature, target):
    return torch.full((), style_loss(feature, target).item(), device=GPU)


def selected_loss(outputs, label, selects):
    target = resize_nearest(label, outputs[-1])
    return (outputs[-1] - target)[selects(target)].mean()


def optimizer_of_many_kernels(model, *options):
    return torch.optim.AdamW(model.parameters())


BROKEN = [
    ("models.swin.shift_mask", mask_on_the_cpu, r"devices,? cuda:0(,| and) cpu"),
    ("utils.batch.Batch.to", labels_on_the_cpu, r"devices,? cuda:0(,| and) cpu"),
    ("utils.batch.to_unit", blocking_copy, "_to_copy at tests/test_fake_gpu.py"),
    ("utils.batch.to_unit", copy_of_floats, "float32: "),
    (
        "models.swin.WindowAttention.position_bias",
        lambda attention, bias=WindowAttention.position_bias: bias(attention).double(),
        "attention without one type",
    ),
    (
        "models.swin.WindowAttention.position_bias",
        lambda attention, bias=WindowAttention.position_bias: bias(attention).mT,
        "attention without neighbours in memory",
    ),
    ("models.swin.Mlp.forward", wide_mlp, "addmm"),
    ("models.criterion.gram_matrix", narrow_gram_matrix, "float16"),
    ("models.criterion.style_loss", read_loss, "_local_scalar_dense at tests/test_fake_gpu.py"),
    ("models.criterion.multi_scale_smooth_l1", selected_loss, "aten.nonzero|aten.index"),
    (f"{__name__}.build_optimizer", optimizer_of_many_kernels, "at engine.py"),
    (f"{__name__}.features_channels_last", lambda criterion: criterion, "models/vgg.py"),
]


def take_a_step_and_check_it(gpu, model, criterion):
    model, criterion = move(gpu, model, criterion)
    check_step(gpu, model, *train(model, criterion, torch.float16), torch.float16)


@pytest.mark.slow
def test_a_step_that_is_not_broken_passes():
    model, criterion = built("upocr_nano", **SHALLOW)
    with fake_gpu() as gpu:
        take_a_step_and_check_it(gpu, model, criterion)


@pytest.mark.slow
@pytest.mark.parametrize(("place", "fault", "found"), BROKEN)
def test_a_broken_step_is_found(monkeypatch, place, fault, found):
    model, criterion = built("upocr_nano", **SHALLOW)
    monkeypatch.setattr(place, fault)
    with fake_gpu() as gpu, pytest.raises((RuntimeError, AssertionError), match=found):
        take_a_step_and_check_it(gpu, model, criterion)


def test_one_module_knows_the_name_of_the_device():
    files = [path for path in ROOT.rglob("*.py") if not {".venv", "tests"} & set(path.parts)]
    assert len(files) > 50
    naming = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node, "id", getattr(node, "attr", getattr(node, "value", None)))
            if isinstance(name, str) and re.fullmatch(r"cuda(:\d+)?", name):
                naming.add(str(path.relative_to(ROOT)))
    assert naming == {"utils/dist.py"}
