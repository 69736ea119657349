"""Processes and devices: the only module that knows the accelerator and the process group."""

import datetime
import inspect
import os
import time
import uuid
import warnings
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from utils.memory import peak_memory
from utils.processes import end_with_launcher
from utils.quote import quote

AMP_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
POLL = 0.05  # seconds between two looks into the store of the process group
NCCL_MARGIN = 60  # seconds that NCCL, whose time-out ends in an abort, waits longer than gloo


# What gloo says of a peer that has ended, and of one that is silent.
LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")
SILENT = ("Timed out", "timed out")
# Of CPU tensors, where the process group itself is of NCCL.
_control: Any = None


def is_distributed() -> bool:
    """Whether a process group is up."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """Rank of this process, 0 without a process group."""
    return dist.get_rank() if is_distributed() else 0


def world_size() -> int:
    """Number of processes, 1 without a process group."""
    return dist.get_world_size() if is_distributed() else 1


def is_main_process() -> bool:
    """Whether this process writes the files and the log."""
    return rank() == 0


def select_device(name: str) -> torch.device:
    """Device for `auto`, `cpu`, `cuda`, `cuda:1` or `mps`; `auto` prefers CUDA, then MPS.

    Under torchrun, `auto` and `cuda` select the GPU of the local rank. Raises ValueError if the
    device does not exist.
    """
    if name == "auto":
        name = next((kind for kind in ("cuda", "mps") if _is_available(kind)), "cpu")
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(
            f"unknown device {name!r}, expected auto, cpu, cuda, cuda:N or mps"
        ) from None
    if device.type not in ("cpu", "cuda", "mps"):
        raise ValueError(f"unknown device {name!r}, expected auto, cpu, cuda, cuda:N or mps")
    if not _is_available(device.type):
        raise ValueError(f"device {name!r} is not available on this machine, try --device auto")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device {name!r} does not exist: {torch.cuda.device_count()} GPUs are visible"
        )
    return device


def _is_available(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_available()
    return kind == "cpu" or torch.backends.mps.is_available()


def init_process_group(device: torch.device, timeout: float) -> None:
    """Join the process group announced by torchrun, if any.

    timeout: seconds after which waiting for another process fails, see `peer_failure`.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return
    _check_environment()
    if has_launcher():  # a shell that starts ranks may end before
        end_with_launcher()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    seconds = datetime.timedelta(seconds=timeout)
    store, number, size = next(iter(rendezvous("env://", timeout=seconds)))
    store = PrefixStore(_agree_on_prefix(store, number, size, timeout), store)
    if device.type != "cuda":
        dist.init_process_group("gloo", timeout=seconds, store=store, rank=number, world_size=size)
        return
    longer = seconds + datetime.timedelta(seconds=NCCL_MARGIN)
    dist.init_process_group("nccl", timeout=longer, store=store, rank=number, world_size=size)
    global _control  # noqa: PLW0603 - as the process group itself
    _control = dist.new_group(timeout=seconds, backend="gloo")


def _check_environment() -> None:
    """Raise ValueError unless the numbers that torchrun sets are such."""
    for name in ("RANK", "WORLD_SIZE", "MASTER_PORT"):
        value = os.environ.get(name, "0")
        if not value.isdecimal():
            raise ValueError(f"{name} is {quote(value)}, expected a number, as torchrun sets it")
    number, size = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE"))
    if number >= size:
        raise ValueError(f"RANK is {number}, expected less than WORLD_SIZE, which is {size}")


def _agree_on_prefix(store: Store, number: int, size: int, timeout: float) -> str:
    """A prefix for the keys of this process group, the same in its processes and used by no other.

    After a restart torchrun offers the store of the attempt before: a process that reads an old
    address there waits forever for a peer that is gone. Its count of restarts is no prefix, as it
    differs between hosts. Every process therefore leaves a fresh token, and the first one answers
    each of them until all have acknowledged its own.
    """
    token = uuid.uuid4().hex
    if number:
        store.set(f"hello/{number}", token)
        prefix = store.get(f"prefix/{token}").decode()
        store.set(f"heard/{prefix}/{number}", token)
        return prefix
    missing, deadline = set(range(1, size)), time.monotonic() + timeout
    while missing:
        missing = {peer for peer in missing if not _answer(store, peer, token)}
        if missing and time.monotonic() > deadline:
            raise dist.DistStoreError(f"ranks {sorted(missing)} stayed away")
        time.sleep(POLL if missing else 0)
    return token


def _answer(store: Store, peer: int, prefix: str) -> bool:
    """Tell a peer the prefix; returns whether it has heard."""
    if store.check([f"hello/{peer}"]):
        store.set(f"prefix/{store.get(f'hello/{peer}').decode()}", prefix)
    return store.check([f"heard/{prefix}/{peer}"])


def restarts() -> int:
    """How often torchrun has restarted the processes of this host."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def has_launcher() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def destroy_process_group() -> None:
    """Leave the process group, if any."""
    if is_distributed():
        dist.destroy_process_group()


def peer_failure(error: Exception) -> str | None:
    """What a failed collective call says of another process; None if it is a failure of our own."""
    text = str(error)
    if isinstance(error, dist.DistStoreError) or any(phrase in text for phrase in SILENT):
        return "another process does not answer, see --timeout: it hangs, or its host is gone"
    if isinstance(error, dist.DistError) or any(phrase in text for phrase in LOST):
        return "lost another process, see its message"
    return None


def pins_memory(device: torch.device) -> bool:
    """Whether copies to `device` are faster from page-locked memory."""
    return device.type == "cuda"


def convolves_channels_last(device: torch.device) -> bool:
    """Whether convolutions prefer maps (B, C, H, W) whose channels are neighbours in memory.

    The tensor cores of NVIDIA GPUs read them so; other layouts are transposed on the way.
    """
    return device.type == "cuda"


def barrier() -> None:
    """Wait for every process."""
    if is_distributed():
        dist.barrier()


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """Sum of `tensor` over the processes, on every process; the argument stays unchanged."""
    total = tensor.clone()
    if is_distributed():
        dist.all_reduce(total)
    return total


def any_process(flag: bool) -> bool:
    """Whether `flag` is true in any process, on every process; waits for no device."""
    if not is_distributed():
        return flag
    raised = torch.tensor(float(flag))
    dist.all_reduce(raised, dist.ReduceOp.MAX, group=_control)
    return bool(raised)


def all_gather_objects(item: Any) -> list:
    """The `item` (picklable) of every process in rank order, on every process."""
    if not is_distributed():
        return [item]
    gathered: list = [None] * world_size()
    dist.all_gather_object(gathered, item)
    return gathered


def amp_dtype(device: torch.device, name: str | None) -> torch.dtype:
    """Data type of mixed precision; by default float16 on CUDA and bfloat16 elsewhere.

    Raises ValueError for an unknown name, and for float16 on a CPU.
    """
    if name is None:
        return torch.float16 if device.type == "cuda" else torch.bfloat16
    if name not in AMP_DTYPES:
        raise ValueError(f"unknown amp_dtype {name!r}, expected one of {sorted(AMP_DTYPES)}")
    if name == "float16" and device.type == "cpu":
        raise ValueError("amp_dtype float16 needs a GPU, a CPU trains in bfloat16")
    return AMP_DTYPES[name]


def bfloat16_is_slow(device: torch.device) -> bool:
    """Whether mixed precision costs time: true on x86 CPUs without AVX-512."""
    return device.type == "cpu" and torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2")


def inference_dtype(device: torch.device, name: str) -> torch.dtype | None:
    """Data type for prediction, None for float32; `auto` means float16 on CUDA, else float32.

    `auto` never means bfloat16, whose 8 significant bits round the colours of a picture. Raises
    ValueError for an unknown name, and for float16 on a CPU.
    """
    if name == "auto":
        name = "float16" if device.type == "cuda" else "float32"
    if name == "float32":
        return None
    if name not in AMP_DTYPES:
        raise ValueError(f"unknown dtype {name!r}, expected auto, float32, bfloat16 or float16")
    if name == "float16" and device.type == "cpu":
        raise ValueError("dtype float16 needs a GPU, use float32 or bfloat16 on a CPU")
    return AMP_DTYPES[name]


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager:
    """Mixed-precision context in `dtype`; None for full precision."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def rng_state(device: torch.device) -> dict[str, Tensor]:
    """Generator states of this process: `cpu`, and `device` on an accelerator."""
    state = {"cpu": torch.get_rng_state()}
    if device.type != "cpu":
        state["device"] = torch.get_device_module(device).get_rng_state()
    return state


def set_rng_state(state: dict[str, Tensor], device: torch.device) -> None:
    """Restore the result of `rng_state`; a CPU ignores the state of an accelerator."""
    torch.set_rng_state(state["cpu"].cpu())
    if device.type != "cpu" and "device" in state:
        torch.get_device_module(device).set_rng_state(state["device"].cpu())


def peak_memory_mib(device: torch.device) -> float:
    """Peak memory in MiB: allocated on a GPU, of the process elsewhere (`peak_memory`)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return peak_memory() / 2**20


def allow_tf32() -> None:
    """Let float32 matrix products on NVIDIA GPUs round their factors to TF32 (10 bits)."""
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True


def wrap_model(model: nn.Module, device: torch.device, compiled: bool = False) -> nn.Module:
    """The model as training calls it, sharing its weights.

    Compiled at the first call if `compiled`, and with gradients averaged over several processes.
    """
    network: Any = torch.compile(model) if compiled else model
    if not is_distributed():
        return network
    # The weight gradient of a channels-last convolution may have that layout: the same numbers, at
    # worst one more copy, and a warning that looks like an error.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    # Our buffers are constants; newer releases renamed the option that keeps them local.
    parameters = inspect.signature(nn.parallel.DistributedDataParallel).parameters
    renamed = "forward_sync_buffers" in parameters
    constant: dict[str, Any] = {"forward_sync_buffers" if renamed else "broadcast_buffers": False}
    return nn.parallel.DistributedDataParallel(
        network,
        device_ids=[device] if device.type == "cuda" else None,
        gradient_as_bucket_view=True,
        static_graph=True,  # every parameter takes part in every step
        **constant,
    )
