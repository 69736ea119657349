"""A training step on a GPU, by accounting: memory, communication, arithmetic, hours.

`python -m benchmarks.plan`: an estimate, on any machine. Nothing is computed: fake tensors go
through the network. Every storage that autograd saves is counted once, every operator's arithmetic
is counted by PyTorch.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import DTYPES, report, write_json
from models import VARIANTS, build_criterion, build_upocr
from models.fast import checkpoint_blocks
from models.swin import SwinBlock
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
# NVIDIA A100 datasheet (2021): dense products; TF32 for float32.
A100_TFLOPS = {"bfloat16": 312.0, "float16": 312.0, "float32": 156.0}
UTILISATIONS = (0.3, 0.4, 0.5)
# Paper, section 4.2: the schedule, and its duration on two A100.
EPOCHS, STEPS, PAPER_HOURS = 400, 200, 36
TYPES = DTYPES | {"float16": torch.float16}


class FusedAttention(TorchFunctionMode):
    """Context manager in which fake tensors take PyTorch's memory-efficient attention kernel.

    A GPU takes it in every type: the flash kernel accepts no bias, and this one is the only other
    that does without a matrix of scores. It saves q, k, v, the bias, the output and one logarithm
    per query. PyTorch chooses kernels by the hardware at hand, so a fake device never gets it.
    """

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replace `scaled_dot_product_attention` with a bias, and call everything else."""
        if func is F.scaled_dot_product_attention:
            return fused_attention(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def fused_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor, scale: float
) -> Tensor:
    """(B, heads, N, D) each, attn_mask: (heads, N, N) -> (B, heads, N, D)."""
    device = query.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else query.dtype
    query, key, value, bias = (x.to(dtype) for x in (query, key, value, attn_mask))
    bias = bias.expand(len(query), -1, -1, -1)  # without memory of its own
    attend = torch.ops.aten._scaled_dot_product_efficient_attention
    return attend(query, key, value, bias, compute_log_sumexp=True, scale=scale)[0]


class SavedTensors:
    """Context manager that counts the tensors saved by autograd.

    Args:
        known: tensors that are not counted, such as parameters.
    """

    def __init__(self, known: list[Tensor]) -> None:
        self._known = {tensor.untyped_storage()._cdata for tensor in known}
        self._storages: dict[int, torch.UntypedStorage] = {}
        self._num_bytes = 0
        self._hooks = saved_tensors_hooks(self._pack, lambda tensor: tensor)

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._known:
            # kept, so that no other storage takes its address
            if storage._cdata not in self._storages:
                self._num_bytes += storage.nbytes()
            self._storages[storage._cdata] = storage
        return tensor

    def __enter__(self) -> "SavedTensors":
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._hooks.__exit__(*error)

    def num_bytes(self) -> int:
        """Bytes of all storages so far."""
        return self._num_bytes


class LargestOperator(TorchDispatchMode):
    """Context manager that notes the most bytes that one operator returns."""

    def __init__(self) -> None:
        super().__init__()
        self.num_bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call the operator."""
        results = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = [x for x in tree_leaves(results) if isinstance(x, Tensor)]
            self.num_bytes = max(self.num_bytes, sum(x.nbytes for x in tensors))
        return results


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


@dataclass(frozen=True)
class Need:
    """Bytes of a step beside weights, gradients and moments.

    Args:
        saved: by forward pass and losses for the backward pass.
        largest: returned at once by one operator.
        block: saved by one Swin block, which a checkpointed one keeps while it is recomputed.
    """

    saved: int
    largest: int
    block: int

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


class Accounts:
    """The training step of a variant, without contents.

    Args:
        variant: of `VARIANTS`.
        side: of the images in pixels.
        dtype: of mixed precision; float32 for none.
    """

    def __init__(self, variant: str, side: int, dtype: torch.dtype) -> None:
        self.side, self.dtype = side, dtype
        self.model = build_upocr(variant).train()
        self.num_parameters = sum(p.numel() for p in self.model.parameters())
        self._criterion = build_criterion(OFFICIAL_TASKS, VGG16Features())
        self._fake = FakeTensorMode()
        for module in (self.model, self._criterion):
            without_contents(module, self._fake)

    def parameter_bytes(self) -> int:
        """Bytes of the weights; the gradients take as many, the moments twice as many."""
        return FLOAT * self.num_parameters

    def needs(self, batch_sizes: Sequence[int]) -> dict[str, list[Need]]:
        """Memory of steps, `plain` and `checkpointed`; the model stays checkpointed."""
        plain = [self.need(size) for size in batch_sizes]
        checkpoint_blocks(self.model, encoder=True, decoder=True)
        kept = [self.need(size).saved for size in batch_sizes]
        checkpointed = [
            Need(saved, need.largest + need.block, need.block)
            for saved, need in zip(kept, plain, strict=True)
        ]
        return {"plain": plain, "checkpointed": checkpointed}

    def need(self, batch_size: int) -> Need:
        """Account for the memory of a step with `batch_size` samples per task."""
        with self._context(), LargestOperator() as operator:
            batch = unit_batch(self.side, batch_size)
            with SavedTensors(self._known(batch)) as saved:
                marks = self._loss_with_marks(batch, saved)
        blocks = [end - start for start, end in zip(marks[::2], marks[1::2], strict=True)]
        return Need(saved.num_bytes(), operator.num_bytes, max(blocks))

    def _loss_with_marks(self, batch: Batch, saved: SavedTensors) -> list[int]:
        """Bytes saved at the start and at the end of every block."""
        marks: list[int] = []

        def mark(*_: Any) -> None:
            marks.append(saved.num_bytes())

        blocks = [module for module in self.model.modules() if isinstance(module, SwinBlock)]
        handles = [
            *(block.register_forward_pre_hook(mark) for block in blocks),
            *(block.register_forward_hook(mark) for block in blocks),
        ]
        self._loss(batch)
        for handle in handles:
            handle.remove()
        return marks

    def work(self, batch_size: int) -> tuple[int, int]:
        """Floating-point operations of forward and backward pass, multiply and add apart."""
        with self._context():
            batch = unit_batch(self.side, batch_size)
            with FlopCounterMode(display=False) as forward:
                loss = self._loss(batch)
            with FlopCounterMode(display=False) as backward:
                loss.backward()
        return forward.get_total_flops(), backward.get_total_flops()

    def _context(self) -> ExitStack:
        """Fake tensors, mixed precision, and the attention of a GPU."""
        mixed = self.dtype != torch.float32
        stack = ExitStack()
        for context in (
            self._fake,
            torch.autocast("cpu", dtype=self.dtype if mixed else None, enabled=mixed),
            FusedAttention(),
        ):
            stack.enter_context(context)
        return stack

    def _loss(self, batch: Batch) -> Tensor:
        return self._criterion(self.model(batch.images, batch.tasks), batch)[0]

    def _known(self, batch: Batch) -> list[Tensor]:
        modules = (self.model, self._criterion)
        weights = [x for module in modules for x in (*module.parameters(), *module.buffers())]
        return [*weights, batch.images, batch.labels, batch.masks]


def unit_batch(side: int, batch_size: int) -> Batch:
    """Random fractions, `batch_size` samples per official task."""
    tasks = [task for task in OFFICIAL_TASKS for _ in range(batch_size)]
    images, labels = (torch.rand(len(tasks), 3, side, side) for _ in range(2))
    return Batch(images, labels, torch.ones(len(tasks), 1, side, side), tasks, tasks)


def total_bytes(accounts: Accounts, need: Need) -> float:
    """Memory of a GPU for a step: see `RESERVE` and `FRAGMENTATION` for what is assumed."""
    constant = accounts.parameter_bytes() * (2 + MOMENTS)
    return (constant + need.saved + need.largest) * (1 + FRAGMENTATION) + RESERVE


def largest_batch(accounts: Accounts, one: Need, two: Need, capacity: float) -> int:
    """Samples per task and GPU that fit into `capacity` bytes, 0 if not even one does."""
    first, second = total_bytes(accounts, one), total_bytes(accounts, two)
    return max(0, 1 + int((capacity - first) // (second - first)))


def all_reduce_bytes(gradient_bytes: int, gpus: int) -> float:
    """Bytes that each GPU sends, and receives, per step: a ring all-reduce of the gradients."""
    return 2 * (gpus - 1) / gpus * gradient_bytes


def hours(flop: float, dtype: str, utilisation: float) -> float:
    """Hours of the paper's schedule on A100, given the arithmetic per GPU and step."""
    return EPOCHS * STEPS * flop / (utilisation * A100_TFLOPS[dtype] * 1e12) / 3600


def plan(args: Any) -> list[dict[str, Any]]:
    """Print all tables."""
    accounts = Accounts(args.variant, args.side, TYPES[args.dtype])
    flop = accounts.work(args.batch_size)
    kinds = accounts.needs((1, 2))
    setting = (
        f"{args.variant}, {args.dtype}, {args.batch_size} samples of {args.side} x {args.side} "
        f"per task and GPU, {len(OFFICIAL_TASKS)} tasks, {args.gpus} GPUs"
    )
    print(
        f"Estimate by accounting, not measured: {setting}; {accounts.num_parameters:,} parameters"
    )
    return [
        report("memory per GPU, GiB", memory_rows(accounts, kinds, args.batch_size), {}),
        report("largest batch per task and GPU", batch_rows(accounts, kinds), {}),
        report("work per step and GPU", work_rows(accounts, flop, args.gpus), {}),
        report(
            f"{EPOCHS} epochs of {STEPS} steps on A100, arithmetic alone; the paper's hours are "
            f"{sum(flop) * EPOCHS * STEPS / PAPER_HOURS / 3600 / 1e12:.1f} TFLOP/s per GPU",
            hour_rows(flop, args),
            {},
        ),
    ]


def memory_rows(
    accounts: Accounts, kinds: dict[str, list[Need]], batch_size: int
) -> list[dict[str, Any]]:
    """What the memory holds, plain and checkpointed."""
    weights = accounts.parameter_bytes()
    rows = []
    for kind, (one, two) in kinds.items():
        need = one.scaled(two, batch_size)
        parts = {
            "weights": weights,
            "gradients": weights,
            "optimizer": MOMENTS * weights,
            "saved activations": need.saved,
            "temporary": need.largest,
            "sum with reserve": total_bytes(accounts, need),
        }
        rows.append({"step": kind, **{name: size / GIB for name, size in parts.items()}})
    return rows


def batch_rows(accounts: Accounts, kinds: dict[str, list[Need]]) -> list[dict[str, Any]]:
    """The largest batch by memory of the card."""
    return [
        {"memory": f"{card} GiB"}
        | {
            kind: largest_batch(accounts, one, two, card * GIB)
            for kind, (one, two) in kinds.items()
        }
        for card in CARDS
    ]


def work_rows(accounts: Accounts, flop: tuple[int, int], gpus: int) -> list[dict[str, Any]]:
    """Arithmetic and communication."""
    sent = all_reduce_bytes(accounts.parameter_bytes(), gpus)
    return [
        {"quantity": "forward pass, TFLOP", "value": flop[0] / 1e12},
        {"quantity": "backward pass, TFLOP", "value": flop[1] / 1e12},
        {"quantity": "checkpointed: more, at most, TFLOP", "value": flop[0] / 1e12},
        {"quantity": "gradients sent, and received, GiB", "value": sent / GIB},
    ]


def hour_rows(flop: tuple[int, int], args: Any) -> list[dict[str, Any]]:
    """Hours by share of the peak rate, beside the paper's."""
    rows = []
    for share in UTILISATIONS:
        plain = hours(sum(flop), args.dtype, share)
        again = hours(sum(flop) + flop[0], args.dtype, share)
        rows.append(
            {
                "of the peak rate": f"{share:.0%} of {A100_TFLOPS[args.dtype]:.0f} TFLOP/s",
                "hours": plain,
                "checkpointed": again,
                "paper, two A100": PAPER_HOURS,
            }
        )
    return rows


def build_parser() -> Parser:
    """Options of the command."""
    parser = Parser(prog="python -m benchmarks.plan", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--variant", choices=sorted(VARIANTS), default="upocr")
    add("--batch_size", type=positive_int, default=8, help="samples per task and GPU")
    add("--gpus", type=positive_int, default=2, help="processes, one per GPU")
    add("--side", type=positive_int, default=512, help="side of the images in pixels")
    add("--dtype", choices=sorted(TYPES), default="bfloat16", help="of mixed precision")
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
