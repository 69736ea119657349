"""A fake GPU: steps run without hardware and without arithmetic, and every operator is watched.

Fake tensors have a device, a type and a shape, but no content. PyTorch itself refuses operands on
different devices. `Watch` sees the rest: operators that make the host wait for the device, and
the types of matrix products.
"""

import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from traceback import walk_stack
from typing import TypeVar
from unittest.mock import patch

import numpy as np
import torch
from small_run import ROOT
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.plan import attention_of_a_gpu, without_contents

OURS = (Path(__file__), ROOT / "benchmarks" / "plan.py")
M = TypeVar("M", bound=nn.Module)
GPU = torch.device("cuda:0")
aten = torch.ops.aten
# Their output has a size that depends on contents, or is read by the host.
READING = {
    *(aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten.equal),
    *(aten._unique2, aten.unique_dim, aten.unique_consecutive, aten.bincount),
}
COPIES = {aten._to_copy, aten.copy_}
LAST = torch.channels_last
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._unsafe_index}
PRODUCTS = {
    *(aten.mm, aten.addmm, aten.bmm, aten.baddbmm, aten.convolution, aten.convolution_backward),
    aten._scaled_dot_product_efficient_attention,
    aten._scaled_dot_product_efficient_attention_backward,
}


class Watch(TorchDispatchMode):
    """Records operators of the GPU; what the host reads is 1.

    `waits`: "operator at file" -> calls that make the host wait for the device.
    `types`: operator -> sets of the floating-point types of its operands.
    `copied`: type -> bytes copied to the GPU.
    `channels_first`: files with convolutions whose maps are not channels last.
    """

    def __init__(self, fake: FakeTensorMode) -> None:
        super().__init__()
        self._fake = fake
        self.waits: Counter[str] = Counter()
        self.types: defaultdict[str, set[frozenset[torch.dtype]]] = defaultdict(set)
        self.copied: Counter[torch.dtype] = Counter()
        self.channels_first: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if torch.is_inference_mode_enabled() and func.namespace == "aten":  # arrive whole
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        packet = func.overloadpacket
        operands = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        reads = packet in READING and any(x.device == GPU for x in operands)
        if reads or self._waits_for_a_copy(packet, args, kwargs, operands):
            self.waits[f"{packet.__name__} at {caller()}"] += 1
        if packet is aten._local_scalar_dense:
            return True if args[0].dtype == torch.bool else 1
        if packet in PRODUCTS:
            floats = {x.dtype for x in operands if x.is_floating_point() and x.ndim}
            log_sum = {torch.float32} if "attention_backward" in packet.__name__ else set()
            self.types[packet.__name__].add(frozenset(floats - log_sum or floats))
        result = func(*args, **kwargs)
        if packet in COPIES and result.device == GPU != operands[-1].device:
            self.copied[operands[-1].dtype] += operands[-1].nbytes
        if packet is aten.convolution and not result.is_contiguous(memory_format=LAST):
            self.channels_first.add(caller())
        return result

    def clear(self) -> None:
        """Forget everything so far, such as the copy of the weights."""
        for record in (self.waits, self.types, self.copied, self.channels_first):
            record.clear()

    def on_gpu(self, module: M) -> M:
        """A real module without its contents, moved as the trainer moves its own."""
        return without_contents(module, self._fake).to(GPU)

    @staticmethod
    def _waits_for_a_copy(packet, args, kwargs, operands) -> bool:
        """A copy between devices that blocks, or an index that is a mask or not on the GPU."""
        if packet is aten._to_copy:
            device = torch.device(kwargs.get("device") or operands[0].device)
            crosses = device.type != operands[0].device.type
            return crosses and not kwargs.get("non_blocking", False)
        if packet is aten.copy_:
            crosses = args[0].device != args[1].device
            return crosses and not (args[2:] or [kwargs.get("non_blocking", False)])[0]
        if packet in INDEXING and args[0].device == GPU:
            indices = [index for index in args[1] if index is not None]
            return any(index.dtype == torch.bool or index.device != GPU for index in indices)
        return False


def caller() -> str:
    """The innermost file of the repository on the stack, without those of the fake device."""
    for frame, _ in walk_stack(None):
        path = Path(frame.f_code.co_filename)
        inside = path.is_relative_to(ROOT) and ".venv" not in path.parts
        if inside and path not in OURS:
            return str(path.relative_to(ROOT))
    return "unknown"


@contextlib.contextmanager
def fake_gpu() -> Iterator[Watch]:
    """Everything inside is fake; modules can be moved to `GPU`, trained, and called."""
    changes = (
        patch("torch.cuda.amp.common.amp_definitely_not_available", lambda: False),
        patch("torch.cuda.is_bf16_supported", lambda *arguments, **options: True),
        patch.object(torch._C, "_conv_determine_backend_memory_format", layout_of_cudnn),
        patch.object(nn.Module, "_apply", apply_by_replacing),
        patch.object(Tensor, "backward", backward),
        # Checkpointed blocks are recomputed once per run of the engine, not once per tensor.
        patch.object(torch._C, "_current_graph_task_id", lambda: 0),
        patch.object(FakeTensor, "numpy", lambda self: np.zeros(tuple(self.shape)), create=True),
        patch.object(torch, "from_numpy", lambda array: torch.zeros(array.shape)),
    )
    with contextlib.ExitStack() as stack:
        for change in changes:
            stack.enter_context(change)
        fake = stack.enter_context(FakeTensorMode(allow_non_fake_inputs=False))
        stack.enter_context(attention_of_a_gpu())
        yield stack.enter_context(Watch(fake))


def layout_of_cudnn(images: Tensor, weight: Tensor, _) -> torch.memory_format:
    """Of the maps that a convolution returns; PyTorch asks the hardware first whether cuDNN runs.

    As `cudnn_conv_suggest_memory_format` of PyTorch's ATen/native/ConvUtils.h.
    """
    either = any(x.is_contiguous(memory_format=LAST) for x in (images, weight) if x.shape[1] > 1)
    return LAST if either else torch.contiguous_format


def apply_by_replacing(module: nn.Module, function, recurse: bool = True) -> nn.Module:
    """`nn.Module._apply`, which cannot change fake parameters in place."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                moved = function(parameter.detach())
                part._parameters[name] = nn.Parameter(moved, parameter.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = function(buffer)
    return module


@torch.no_grad()
def backward(loss: Tensor) -> None:
    """`Tensor.backward` node by node: the engine of PyTorch asks the driver for a stream.

    As in the engine, gradients are summed to the shape and cast to the type of what they belong
    to, and must be on its device.
    """
    assert loss.grad_fn is not None
    received: dict = {loss.grad_fn: {0: torch.ones_like(loss)}}
    for node in _from_the_root(loss.grad_fn):
        gradients = received.pop(node, {})
        if hasattr(node, "variable"):
            _accumulate(node.variable, gradients[0])
            continue
        results = node(*(gradients.get(i) for i in range(len(node._input_metadata))))
        results = results if isinstance(results, tuple) else (results,)
        for (target, place), result in zip(node.next_functions, results, strict=True):
            if target is not None and result is not None:
                expected = target._input_metadata[place]
                assert result.device == expected.device, f"{node.name()}: {result.device}"
                fitting = result.sum_to_size(expected.shape).to(expected.dtype)
                slots = received.setdefault(target, {})
                slots[place] = slots[place] + fitting if place in slots else fitting


def _accumulate(variable: Tensor, gradient: Tensor) -> None:
    variable.grad = gradient if variable.grad is None else variable.grad + gradient


def _from_the_root(root) -> list:
    """All nodes of a graph, each after those that it receives gradients from."""
    done, seen, stack = [], set(), [(root, False)]
    while stack:
        node, left = stack.pop()
        if left:
            done.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(target, False) for target, _ in node.next_functions if target is not None]
    return done[::-1]
