"""Bytes that a training step keeps for its backward pass: `python -m benchmarks.memory`.

Nothing is computed: tensors without contents go through the network, and what autograd saves is
counted, every storage once. So any batch is accounted for on any machine.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from benchmarks.measure import DTYPES, report, write_json
from models import TASKS, build_upocr
from models.build import VARIANTS
from models.criterion import MultiTaskCriterion, build_criterion
from models.swin import SwinBlock
from models.upocr import UPOCRNetwork
from models.vgg import build_vgg16
from utils.cli import Parser, positive_int, run

# Bytes a parameter: weight, gradient and the two moments of AdamW, all float32.
PARAMETER_BYTES = 16


class SavedTensors:
    """Counts what autograd saves while it is entered; parameters are not counted.

    Args:
        known: tensors that exist anyway.
    """

    def __init__(self, known: list[Tensor]) -> None:
        self._known = {tensor.untyped_storage()._cdata for tensor in known}
        self._storages: dict[int, torch.UntypedStorage] = {}
        self._hooks = saved_tensors_hooks(self._pack, lambda tensor: tensor)

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._known:
            # Kept, so that no other takes its place in memory.
            self._storages[storage._cdata] = storage
        return tensor

    def __enter__(self) -> "SavedTensors":
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._hooks.__exit__(*error)

    def num_bytes(self) -> int:
        """Bytes so far, every storage once."""
        return sum(storage.nbytes() for storage in self._storages.values())


def saved_bytes(
    model: UPOCRNetwork,
    criterion: MultiTaskCriterion,
    batch_size: int,
    side: int,
    dtype: torch.dtype,
    checkpointed: bool,
) -> int:
    """Bytes that forward pass and losses of `batch_size` samples a task leave for the backward.

    A checkpointed block comes back whole in the backward pass: the largest one counts as well.
    """
    tasks = [task for task in TASKS for _ in range(batch_size)]
    images, labels = (torch.rand(len(tasks), 3, side, side) for _ in range(2))
    masks = torch.ones(len(tasks), 1, side, side)
    weights = [*model.parameters(), *model.buffers(), *criterion.parameters()]
    known = [*weights, images, labels, masks]
    model.set_grad_checkpointing(False, False)
    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        largest = _largest_block(model, images, tasks, known) if checkpointed else 0
        model.set_grad_checkpointing(checkpointed, checkpointed)
        with SavedTensors(known) as saved:
            criterion(model(images, tasks), images, labels, masks, tasks)
    return saved.num_bytes() + largest


def without_contents(module: nn.Module, mode: FakeTensorMode) -> nn.Module:
    """The module with its weights and buffers replaced by tensors of the same shape and type."""
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None:
                fake = mode.from_tensor(weight.detach())
                part._parameters[name] = nn.Parameter(fake, weight.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = mode.from_tensor(buffer)
    return module


def _largest_block(
    model: UPOCRNetwork, images: Tensor, tasks: list[str], known: list[Tensor]
) -> int:
    sizes = []

    def count(block: SwinBlock, inputs: tuple[Tensor]) -> None:
        with SavedTensors(known) as saved:
            block.forward(*inputs)
        sizes.append(saved.num_bytes())

    blocks = [module for module in model.modules() if isinstance(module, SwinBlock)]
    handles = [block.register_forward_pre_hook(count) for block in blocks]
    model(images, tasks)
    for handle in handles:
        handle.remove()
    return max(sizes)


def build_parser() -> Parser:
    """Options of the command."""
    parser = Parser(prog="python -m benchmarks.memory", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--variant", choices=sorted(VARIANTS), default="upocr")
    add("--side", type=positive_int, default=512, help="of the images, in pixels")
    add("--batch_size", type=positive_int, default=8, help="samples of each task")
    add("--vgg16_weights", default="random", help="random or none: only its shape matters")
    add("--json", type=Path, help="write the figures to this file")
    return parser


def main() -> None:
    """The command."""
    args = build_parser().parse_args()
    model = build_upocr(args.variant).train()
    criterion = build_criterion(build_vgg16(args.vgg16_weights))
    constant = PARAMETER_BYTES * sum(p.numel() for p in model.parameters()) / 2**30
    rows = []
    mode = FakeTensorMode()
    for module in (model, criterion):
        without_contents(module, mode)
    with mode:
        for name, dtype in DTYPES.items():
            for checkpointed in (False, True):
                options = (args.batch_size, args.side, dtype, checkpointed)
                saved = saved_bytes(model, criterion, *options) / 2**30
                rows.append(
                    {
                        "step": name + ", checkpointed" * checkpointed,
                        "saved GiB": saved,
                        "weights and optimizer GiB": constant,
                        "sum GiB": saved + constant,
                    }
                )
    samples = args.batch_size * len(TASKS)
    title = f"{args.variant}, {samples} samples of {args.side} x {args.side}, by accounting"
    write_json(args.json, {}, [report(title, rows, {})])


if __name__ == "__main__":
    run(main)
