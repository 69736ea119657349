"""Training, evaluation and prediction on a fake GPU: devices, types, and when the host waits."""

import ast
import contextlib
import re

import numpy as np
import pytest
import torch
from fake_gpu import GPU, fake_gpu
from small_run import ROOT
from torch import Tensor, nn

from engine import evaluate, task_gap, train_one_epoch
from models import VARIANTS, build_criterion, build_upocr
from models.fast import checkpoint_blocks, for_inference, for_training
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


def train(model, criterion, amp_dtype):
    """Losses and optimizer after one real training step, from uint8 pixels on the CPU."""
    optimizer = build_optimizer(model, 1e-4, 0.1, 0.05)
    scaler = torch.amp.GradScaler(GPU.type, enabled=amp_dtype == torch.float16)
    batch = Batch(pixels(3), pixels(3), pixels(1), list(OFFICIAL_TASKS), list(OFFICIAL_TASKS))
    log = StepLog(0, 1, 1, 1, optimizer, GPU)
    losses = train_one_epoch(
        model,
        criterion,
        iter([batch]),
        optimizer,
        scaler,
        log,
        device=GPU,
        amp_dtype=amp_dtype,
        clip_max_norm=0.1,
    )
    return losses, optimizer


QUICK = ("upocr_nano", "float16")
CASES = [
    pytest.param(v, d, marks=[] if (v, d) == QUICK else pytest.mark.slow)
    for v in VARIANTS
    for d in DTYPES
]


def built(variant):
    """A model and its criterion with random weights on the CPU."""
    return build_upocr(variant).train(), build_criterion(OFFICIAL_TASKS, VGG16Features())


def check_types(types, amp_dtype):
    """Matrix products in the type of mixed precision; Gram matrices alone stay in float32."""
    expected = {frozenset({amp_dtype or torch.float32})}
    assert types.keys() >= {"addmm", "mm", "convolution", "convolution_backward"}
    assert types.pop("bmm") == {frozenset({torch.float32})}
    assert {name: kinds for name, kinds in types.items() if kinds != expected} == {}


STEPS = [(*case.values, False) for case in CASES] + [("upocr_nano", "float16", True)]


@pytest.mark.parametrize(
    ("variant", "dtype", "checkpointed"),
    [pytest.param(*s, marks=[] if s[:2] == QUICK else pytest.mark.slow) for s in STEPS],
)
def test_training_step(variant, dtype, checkpointed):
    model, criterion = built(variant)
    checkpoint_blocks(model, encoder=checkpointed, decoder=checkpointed)
    with fake_gpu() as gpu:
        model, criterion = for_training(gpu.on_gpu(model)), gpu.on_gpu(criterion)
        gpu.waits.clear()
        losses, optimizer = train(model, criterion, DTYPES[dtype])
    assert {"total", "grad_norm", "text_removal/style"} <= set(losses)
    check_types(gpu.types, DTYPES[dtype])
    assert set(gpu.waits) == {"_local_scalar_dense at utils/logger.py"}
    assert gpu.waits.total() == len(losses)  # each figure once
    for parameter in model.parameters():
        for tensor in (parameter, parameter.grad, *optimizer.state[parameter].values()):
            assert (tensor.device, tensor.dtype) == (GPU, torch.float32)


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
        gpu.waits.clear()
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
        gpu.waits.clear()
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
        gpu.waits.clear()
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


class Faulty(nn.Module):
    """A tensor that is not a buffer, or a product outside of mixed precision."""

    def __init__(self, misplaced: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(SIDE, SIDE)
        self.misplaced = misplaced

    def forward(self, images: Tensor, tasks: list[str]) -> list[Tensor]:
        if self.misplaced:
            return [self.linear(images) + torch.ones(SIDE)]
        with torch.autocast(GPU.type, enabled=False):
            return [self.linear(images)]


def train_faulty(misplaced):
    with fake_gpu() as gpu:
        model = gpu.on_gpu(Faulty(misplaced))
        train(model, lambda outputs, _: (outputs[0].sum(), {}), torch.float16)
    return gpu


def test_a_tensor_on_the_cpu_is_an_error():
    with pytest.raises(RuntimeError, match=r"devices,? cuda:0(,| and) cpu"):
        train_faulty(misplaced=True)


def test_a_product_in_the_wrong_type_is_recorded():
    types = train_faulty(misplaced=False).types
    assert types["addmm"] == types["mm"] == {frozenset({torch.float32})}


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
