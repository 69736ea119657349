"""Bytes saved for the backward pass of a training step: `python -m benchmarks.memory`.

Nothing is computed: fake tensors go through the network, and every storage that autograd saves is
counted once, so that any batch is accounted for on any machine.
"""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._guards import detect_fake_mode
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from benchmarks.measure import DTYPES, report, write_json
from models import VARIANTS, build_criterion, build_upocr, build_vgg16
from models.fast import checkpoint_blocks, for_training
from models.swin import SwinBlock
from tasks import OFFICIAL_TASKS
from utils.batch import Batch
from utils.cli import Parser, positive_int, run

# Bytes per parameter: weight, gradient and the two moments of AdamW in float32.
PARAMETER_BYTES = 16


class SavedTensors:
    """Context manager that counts the tensors saved by autograd.

    Args:
        known: tensors that are not counted, such as parameters.
    """

    def __init__(self, known: list[Tensor]) -> None:
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


def saved_bytes(
    variant: str, vgg16_weights: str, batch: Batch, dtype: torch.dtype, checkpointed: bool
) -> int:
    """Bytes that forward pass and losses of a batch of fractions save for the backward pass.

    The backward pass recomputes checkpointed blocks one by one: the largest counts as well.
    """
    model = for_training(build_upocr(variant).train())
    criterion = build_criterion(OFFICIAL_TASKS, build_vgg16(vgg16_weights))
    mode = detect_fake_mode(batch.images)
    if mode is not None:
        for module in (model, criterion):
            without_contents(module, mode)
    weights = [*model.parameters(), *model.buffers(), *criterion.parameters()]
    known = [*weights, batch.images, batch.labels, batch.masks]
    autocast = torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32)
    with mode or nullcontext(), autocast:
        largest = _largest_block(model, batch, known) if checkpointed else 0
        checkpoint_blocks(model, encoder=checkpointed, decoder=checkpointed)
        with SavedTensors(known) as saved:
            criterion(model(batch.images, batch.tasks), batch)
    return saved.num_bytes() + largest


def without_contents(module: nn.Module, mode: FakeTensorMode) -> nn.Module:
    """The module with weights and buffers replaced by fake tensors of the same shape and type."""
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None:
                fake = mode.from_tensor(weight.detach())
                part._parameters[name] = nn.Parameter(fake, weight.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = mode.from_tensor(buffer)
    return module


def _largest_block(model: nn.Module, batch: Batch, known: list[Tensor]) -> int:
    sizes = []

    def count(block: nn.Module, inputs: tuple[Tensor]) -> None:
        with SavedTensors(known) as saved:
            block.forward(*inputs)
        sizes.append(saved.num_bytes())

    blocks = [module for module in model.modules() if isinstance(module, SwinBlock)]
    handles = [block.register_forward_pre_hook(count) for block in blocks]
    model(batch.images, batch.tasks)
    for handle in handles:
        handle.remove()
    return max(sizes)


def unit_batch(side: int, batch_size: int) -> Batch:
    """Random fractions, `batch_size` samples per official task."""
    tasks = [task for task in OFFICIAL_TASKS for _ in range(batch_size)]
    images, labels = (torch.rand(len(tasks), 3, side, side) for _ in range(2))
    return Batch(images, labels, torch.ones(len(tasks), 1, side, side), tasks, tasks)


def build_parser() -> Parser:
    """Options of the command."""
    parser = Parser(prog="python -m benchmarks.memory", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--variant", choices=sorted(VARIANTS), default="upocr")
    add("--side", type=positive_int, default=512, help="side of the images in pixels")
    add("--batch_size", type=positive_int, default=8, help="samples per task")
    add("--vgg16_weights", default="random", help="random or none; only its shape matters")
    add("--json", type=Path, help="write the figures to this file")
    return parser


def main() -> None:
    """The command."""
    args = build_parser().parse_args()
    count = sum(p.numel() for p in build_upocr(args.variant).parameters())
    constant = PARAMETER_BYTES * count / 2**30
    with FakeTensorMode():
        batch = unit_batch(args.side, args.batch_size)
    rows = []
    for name, dtype in DTYPES.items():
        for checkpointed in (False, True):
            saved = saved_bytes(args.variant, args.vgg16_weights, batch, dtype, checkpointed)
            rows.append(
                {
                    "step": name + ", checkpointed" * checkpointed,
                    "saved GiB": saved / 2**30,
                    "weights and optimizer GiB": constant,
                    "sum GiB": saved / 2**30 + constant,
                }
            )
    samples = len(batch)
    title = f"{args.variant}, {samples} samples of {args.side} x {args.side}, by accounting"
    write_json(args.json, {}, [report(title, rows, {})])


if __name__ == "__main__":
    run(main)
