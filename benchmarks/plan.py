"""A training step on a GPU, by accounting: memory, communication, arithmetic, hours.

`python -m benchmarks.plan`: an estimate, on any machine. Nothing is computed: fake tensors go
through the network and back. Every storage is booked while it lives, every operator with its
arithmetic and with the bytes that it reads and writes.
"""

import math
import weakref
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from benchmarks.measure import report, write_json
from models import VARIANTS, build_criterion, build_upocr
from models.fast import checkpoint_blocks
from models.upocr import STRIDE
from models.vgg import VGG16Features
from tasks import OFFICIAL_TASKS
from utils.batch import Batch
from utils.cli import Parser, positive_int, run

GIB = 2**30
FLOAT = 4  # bytes: weights, gradients and moments stay in float32 under mixed precision
MOMENTS = 2  # of AdamW
CARDS = (16, 24, 40, 80)  # GiB
# Not accounted for: the CUDA context with cuDNN and cuBLAS, the NCCL buffers, and fragmentation.
# Our assumption, not a measurement.
RESERVE = 1.5 * GIB
FRAGMENTATION = 0.05
TYPES = {
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "tf32": torch.float32,
    "float32": torch.float32,
}
# NVIDIA A100 datasheet (2021), SXM: dense products, float32 without tensor cores; bytes per second
# of the card with 40 GB and of that with 80 GB.
A100_TFLOPS = {"bfloat16": 312.0, "float16": 312.0, "tf32": 156.0, "float32": 19.5}
A100_BANDWIDTH = {40: 1.555e12, 80: 2.039e12}
UTILISATIONS = (0.3, 0.4, 0.5)  # of the arithmetic
BANDWIDTH_SHARE = 0.8  # our assumption: what large element-wise kernels reach
# Paper, section 4.2: the schedule, and its duration on two A100.
EPOCHS, STEPS, PAPER_HOURS = 400, 200, 36
MAX_GRID = 65_535  # blocks of a CUDA grid in y, one per head
aten = torch.ops.aten
CONVOLUTIONS = {aten.convolution, aten.convolution_backward}
ALLOCATIONS = {aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty}


@contextmanager
def attention_of_a_gpu() -> Iterator[None]:
    """Let fake tensors take PyTorch's memory-efficient attention kernel, without choosing.

    Training on a GPU takes it in every type: the flash kernel accepts no bias, cuDNN's none that
    needs a gradient, and it does without a matrix of scores. It saves q, k, v, the bias, the output
    and one logarithm per query. PyTorch chooses kernels by the hardware at hand, so a fake device
    never gets it. RuntimeError where PyTorch would choose another, see `check_kernel`.
    """
    with patch.object(F, "scaled_dot_product_attention", fused_attention):
        yield


def fused_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor, scale: float
) -> Tensor:
    """(B, heads, N, D) each, attn_mask: (heads, N, N) -> (B, heads, N, D)."""
    tensors = [_as_under_autocast(x) for x in (query, key, value, attn_mask)]
    check_kernel(*tensors)
    query, key, value, bias = tensors
    bias = bias.expand(len(query), -1, -1, -1)  # without memory of its own
    attend = aten._scaled_dot_product_efficient_attention
    return attend(query, key, value, bias, compute_log_sumexp=True, scale=scale)[0]


def _as_under_autocast(x: Tensor) -> Tensor:
    """In the type of mixed precision, if that is on; float64 stays, as in PyTorch."""
    device = x.device.type
    if torch.is_autocast_enabled(device) and x.dtype != torch.float64:
        return x.to(torch.get_autocast_dtype(device))
    return x


def check_kernel(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> None:
    """Raise RuntimeError unless the memory-efficient kernel takes these operands as they are.

    The conditions of PyTorch (`can_use_mem_efficient_attention` in
    aten/src/ATen/native/transformers/cuda/sdp_utils.cpp) for a GPU since Ampere, and two more:
    rows of the bias that are not aligned are copied, and more heads than the grid of a kernel holds
    fail (PyTorch issue 142228).
    """
    vectors = (query, key, value)
    alignment = 16 // query.element_size()  # elements that a tensor core loads at once
    conditions = {
        "one type": len({x.dtype for x in (*vectors, bias)}) == 1,
        "neighbours in memory": all(x.stride(-1) == 1 for x in (*vectors, bias)),
        "aligned heads": all(x.shape[-1] % alignment == 0 for x in vectors),
        "aligned offsets": all(x.storage_offset() % alignment == 0 for x in vectors),
        "aligned rows of the bias": bias.shape[-1] % 16 == 0,
        "a grid that fits": query.shape[1] <= MAX_GRID,
    }
    unmet = [name for name, met in conditions.items() if not met]
    if unmet:
        shapes = ", ".join(f"{x.dtype} {tuple(x.shape)} {x.stride()}" for x in (*vectors, bias))
        raise RuntimeError(f"attention without {' and '.join(unmet)}: {shapes}")


class SavedTensors:
    """Context manager that counts the tensors saved by autograd.

    Args:
        known: tensors that are not counted, such as parameters.
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        self._known = {tensor.untyped_storage()._cdata for tensor in known}
        self._storages: dict[int, torch.UntypedStorage] = {}
        self._hooks = saved_tensors_hooks(self._pack, lambda tensor: tensor)

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._known:
            # kept, so that no other storage takes its address
            self._storages[storage._cdata] = storage
        return tensor

    def __enter__(self) -> "SavedTensors":
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._hooks.__exit__(*error)

    def num_bytes(self) -> int:
        """Bytes of all storages so far."""
        return sum(storage.nbytes() for storage in self._storages.values())


@dataclass(frozen=True)
class Operator:
    """What one kernel does.

    Args:
        flop: floating-point operations, multiply and add apart.
        moved: bytes of its operands and results, each once, as if there were no cache.
        wide: whether its first operand is float32; further ones may be statistics.
        convolution: whether cuDNN computes it, by default in TF32 if it is wide.
    """

    flop: int
    moved: int
    wide: bool
    convolution: bool = False


class Ledger(TorchDispatchMode):
    """Context manager that books operators, and the memory of their results while they live.

    Args:
        known: tensors that are not counted, such as parameters.

    `held` and `peak`: bytes now, and at most so far.
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()
        self.operators: list[Operator] = []
        self.held = self.peak = 0
        self._sizes = {tensor.untyped_storage()._cdata: 0 for tensor in known}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call the operator, and book it."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        results = [x for x in tree_leaves(result) if isinstance(x, Tensor)]
        is_new = any([self._hold(x.untyped_storage()) for x in results])
        if (is_new or func._schema.is_mutable) and func.overloadpacket not in ALLOCATIONS:
            operands = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
            count = flop_registry.get(func.overloadpacket)
            flop = count(*args, **kwargs, out_val=result) if count else 0
            moved = sum(_bytes_in_memory(x) for x in (*operands, *results))
            wide = bool(operands) and operands[0].dtype == torch.float32
            convolution = func.overloadpacket in CONVOLUTIONS
            self.operators.append(Operator(flop, moved, wide, convolution))
        return result

    def _hold(self, storage: torch.UntypedStorage) -> bool:
        """Whether the storage is new."""
        key = storage._cdata
        if key in self._sizes:
            return False
        self._sizes[key] = storage.nbytes()
        self.held += storage.nbytes()
        self.peak = max(self.peak, self.held)
        weakref.finalize(storage, self._release, key).atexit = False
        return True

    def _release(self, key: int) -> None:
        self.held -= self._sizes.pop(key)

    def forget(self, tensor: Tensor) -> None:
        """Count a tensor no longer."""
        key = tensor.untyped_storage()._cdata
        self.held -= self._sizes[key]
        self._sizes[key] = 0


def _bytes_in_memory(x: Tensor) -> int:
    """Bytes of a tensor; those along which it was expanded are not there."""
    sizes = (size for size, stride in zip(x.shape, x.stride(), strict=True) if stride)
    return x.itemsize * math.prod(sizes)


@dataclass(frozen=True)
class Need:
    """Bytes of a step beside weights, gradients and moments.

    Args:
        saved: by forward pass and losses for the backward pass.
        peak: held at once, those included.
    """

    saved: int
    peak: int

    def scaled(self, double: "Need", batch_size: int) -> "Need":
        """The need of any batch, given those of one and of two samples per task.

        Position biases are shared by all samples, the rest grows with their number.
        """
        return Need(
            *(
                one + (batch_size - 1) * (two - one)
                for one, two in zip(astuple(self), astuple(double), strict=True)
            )
        )


@dataclass(frozen=True)
class Step:
    """A training step, accounted for.

    Args:
        need: memory.
        forward, backward: operators of both passes.
    """

    need: Need
    forward: list[Operator]
    backward: list[Operator]

    @property
    def flop(self) -> tuple[int, int]:
        """Of both passes."""
        return sum(x.flop for x in self.forward), sum(x.flop for x in self.backward)

    def seconds(self, dtype: str, share: float, bandwidth: float) -> float:
        """On an A100: every operator as long as its arithmetic or its memory takes.

        share: of the peak arithmetic rate; bandwidth: bytes per second, infinite for arithmetic
        alone.
        """
        return sum(
            max(x.flop / (share * _peak(x, dtype)), x.moved / bandwidth)
            for x in (*self.forward, *self.backward)
        )


def _peak(operator: Operator, dtype: str) -> float:
    """Operations per second of an A100: under mixed precision, some operators stay in float32."""
    if operator.wide:
        dtype = "tf32" if operator.convolution or dtype == "tf32" else "float32"
    return A100_TFLOPS[dtype] * 1e12


class Accounts:
    """Training steps of a variant, without contents.

    Args:
        variant: of `VARIANTS`.
        side: of the images in pixels.
        dtype: of mixed precision; float32 for none.
        checkpointed: whether blocks are computed again in the backward pass.
    """

    def __init__(
        self, variant: str, side: int, dtype: torch.dtype, checkpointed: bool = False
    ) -> None:
        self.side, self.dtype = side, dtype
        self.model = build_upocr(variant).train()
        checkpoint_blocks(self.model, encoder=checkpointed, decoder=checkpointed)
        self.num_parameters = sum(p.numel() for p in self.model.parameters())
        self._criterion = build_criterion(OFFICIAL_TASKS, VGG16Features())
        self._fake = FakeTensorMode()
        for module in (self.model, self._criterion):
            without_contents(module, self._fake)

    def parameter_bytes(self) -> int:
        """Bytes of the weights; the gradients take as many, the moments twice as many."""
        return FLOAT * self.num_parameters

    def step(self, batch_size: int) -> Step:
        """Account for a step with `batch_size` samples per task."""
        with self._context(), Ledger(self.known()) as ledger:
            # Gradients are counted for good, as the buckets of several processes hold them.
            handles = [
                parameter.register_post_accumulate_grad_hook(lambda p: ledger.forget(p.grad))
                for parameter in self.model.parameters()
            ]
            batch = unit_batch(self.side, batch_size)
            with SavedTensors(self.known()) as saved:
                loss = self.loss(batch)
            num_forward = len(ledger.operators)
            num_bytes = saved.num_bytes()
            del saved  # frees them as the backward pass does
            loss.backward()
        for handle in handles:
            handle.remove()
        self.model.zero_grad(set_to_none=True)
        operators = ledger.operators
        need = Need(num_bytes, ledger.peak)
        return Step(need, operators[:num_forward], operators[num_forward:])

    def _context(self) -> ExitStack:
        """Fake tensors, mixed precision, and the attention of a GPU."""
        mixed = self.dtype != torch.float32
        stack = ExitStack()
        for context in (
            self._fake,
            torch.autocast("cpu", dtype=self.dtype if mixed else None, enabled=mixed),
            attention_of_a_gpu(),
        ):
            stack.enter_context(context)
        return stack

    def loss(self, batch: Batch) -> Tensor:
        """Forward pass and losses."""
        return self._criterion(self.model(batch.images, batch.tasks), batch)[0]

    def known(self) -> list[Tensor]:
        """Weights and buffers."""
        modules = (self.model, self._criterion)
        return [x for module in modules for x in (*module.parameters(), *module.buffers())]


def without_contents(module: nn.Module, mode: FakeTensorMode) -> nn.Module:
    """The module with weights and buffers replaced by fake tensors of the same shape and type."""
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None:
                fake = mode.from_tensor(weight).detach()
                part._parameters[name] = nn.Parameter(fake, weight.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = mode.from_tensor(buffer)
    return module


def unit_batch(side: int, batch_size: int) -> Batch:
    """Random fractions, `batch_size` samples per official task."""
    tasks = [task for task in OFFICIAL_TASKS for _ in range(batch_size)]
    images, labels = (torch.rand(len(tasks), 3, side, side) for _ in range(2))
    return Batch(images, labels, torch.ones(len(tasks), 1, side, side), tasks, tasks)


def total_bytes(accounts: Accounts, need: Need) -> float:
    """Memory of a GPU for a step: see `RESERVE` and `FRAGMENTATION` for what is assumed."""
    constant = accounts.parameter_bytes() * (2 + MOMENTS)
    return (constant + need.peak) * (1 + FRAGMENTATION) + RESERVE


def largest_batch(accounts: Accounts, one: Need, two: Need, capacity: float) -> int:
    """Samples per task and GPU that fit into `capacity` bytes, 0 if not even one does."""
    first, second = total_bytes(accounts, one), total_bytes(accounts, two)
    return max(0, 1 + int((capacity - first) // (second - first)))


def all_reduce_bytes(gradient_bytes: int, gpus: int) -> float:
    """Bytes that each GPU sends, and receives, per step: a ring all-reduce of the gradients."""
    return 2 * (gpus - 1) / gpus * gradient_bytes


def hours(seconds: float) -> float:
    """Hours of the paper's schedule, given the seconds of a step."""
    return EPOCHS * STEPS * seconds / 3600


def plan(args: Any) -> list[dict[str, Any]]:
    """Print all tables."""
    accounts = Accounts(args.variant, args.side, TYPES[args.dtype])
    steps = {"plain": [accounts.step(size) for size in (1, 2, args.batch_size)]}
    checkpoint_blocks(accounts.model, encoder=True, decoder=True)
    steps["checkpointed"] = [accounts.step(size) for size in (1, 2, args.batch_size)]
    print(
        f"Estimate by accounting, not measured: {args.variant}, {args.dtype}, {args.batch_size} "
        f"samples of {args.side} x {args.side} per task and GPU, {len(OFFICIAL_TASKS)} tasks, "
        f"{args.gpus} GPUs; {accounts.num_parameters:,} parameters"
    )
    ours = {kind: of_sizes[-1] for kind, of_sizes in steps.items()}
    rate = sum(ours["plain"].flop) / (PAPER_HOURS * 3600 / EPOCHS / STEPS) / 1e12
    return [
        report("memory per GPU, GiB", memory_rows(accounts, ours), {}),
        report("largest batch per task and GPU", batch_rows(accounts, steps), {}),
        report("work per step and GPU", work_rows(accounts, ours, args.gpus), {}),
        report(
            f"hours of {EPOCHS} epochs of {STEPS} steps on A100; the paper's {PAPER_HOURS} hours "
            f"on two are {rate:.1f} TFLOP/s per GPU",
            hour_rows(ours, args.dtype),
            {},
        ),
    ]


def memory_rows(accounts: Accounts, steps: dict[str, Step]) -> list[dict[str, Any]]:
    """What the memory holds, plain and checkpointed."""
    weights = accounts.parameter_bytes()
    rows = []
    for kind, step in steps.items():
        parts = {
            "weights": weights,
            "gradients": weights,
            "optimizer": MOMENTS * weights,
            "saved activations": step.need.saved,
            "more at the peak": step.need.peak - step.need.saved,
            "sum with reserve": total_bytes(accounts, step.need),
        }
        rows.append({"step": kind, **{name: size / GIB for name, size in parts.items()}})
    return rows


def batch_rows(accounts: Accounts, steps: dict[str, list[Step]]) -> list[dict[str, Any]]:
    """The largest batch by memory of the card, given the steps of one and of two samples."""
    return [
        {"memory": f"{card} GiB"}
        | {
            kind: largest_batch(accounts, one.need, two.need, card * GIB)
            for kind, (one, two, *_) in steps.items()
        }
        for card in CARDS
    ]


def work_rows(accounts: Accounts, steps: dict[str, Step], gpus: int) -> list[dict[str, Any]]:
    """Arithmetic, memory traffic and communication."""
    sent = all_reduce_bytes(accounts.parameter_bytes(), gpus) / GIB
    rows = []
    for kind, step in steps.items():
        forward, backward = step.flop
        moved = sum(x.moved for x in (*step.forward, *step.backward))
        rows.append(
            {
                "step": kind,
                "forward, TFLOP": forward / 1e12,
                "backward, TFLOP": backward / 1e12,
                "read and written, GB": moved / 1e9,
                "gradients sent, and received, GiB": sent,
            }
        )
    return rows


def hour_rows(steps: dict[str, Step], dtype: str) -> list[dict[str, Any]]:
    """Hours by share of the peak rate: of arithmetic alone, and with the traffic of each card."""
    rows = []
    for kind, step in steps.items():
        for share in UTILISATIONS:
            row: dict[str, Any] = {
                "step": kind,
                "of the peak rates": f"{share:.0%}",
                "arithmetic alone": hours(step.seconds(dtype, share, math.inf)),
            }
            for card, bandwidth in A100_BANDWIDTH.items():
                seconds = step.seconds(dtype, share, BANDWIDTH_SHARE * bandwidth)
                row[f"with traffic, {card} GB"] = hours(seconds)
            rows.append(row)
    return rows


def build_parser() -> Parser:
    """Options of the command."""
    parser = Parser(prog="python -m benchmarks.plan", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--variant", choices=sorted(VARIANTS), default="upocr")
    add("--batch_size", type=positive_int, default=8, help="samples per task and GPU")
    add("--gpus", type=positive_int, default=2, help="processes, one per GPU")
    add("--side", type=positive_int, default=512, help="side of the images in pixels")
    add("--dtype", choices=list(TYPES), default="bfloat16", help="of matrix products")
    add("--json", type=Path, help="write the figures to this file")
    return parser


def main() -> None:
    """The command."""
    args = build_parser().parse_args()
    if args.side % STRIDE:
        raise ValueError(f"--side is {args.side}, expected a multiple of {STRIDE}")
    write_json(args.json, {}, plan(args))


if __name__ == "__main__":
    run(main)
