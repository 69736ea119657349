"""Reading files of weights without running code from them."""

import argparse
import json
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from utils.files import check_file
from utils.quote import quote

# JSON, in the header of a safetensors file.
METADATA = ("architecture", "tasks", "image_size", "verdict")


class CheckpointError(ValueError):
    """A file of weights that cannot be read or does not fit; the message names the file."""


def read_file(path: Path) -> dict[str, Any]:
    """Content of a pickled or safetensors file of weights; raises CheckpointError."""
    try:
        check_file(path)
    except ValueError as error:
        raise CheckpointError(error) from None
    read = _read_safetensors if path.suffix == ".safetensors" else _read_pickle
    try:
        content = read(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint") from None
    except IsADirectoryError:
        raise CheckpointError(f"{path}: is a folder, expected a checkpoint file") from None
    except PermissionError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, expected a dictionary")
    return content


def state_dict_of(content: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """The weights in the result of `read_file`: bare, or under `model` or `state_dict`.

    Names lose the `module.` of a distributed wrapper. Raises CheckpointError.
    """
    state = content.get("model", content.get("state_dict", content))
    if not isinstance(state, dict):
        kind = type(state).__name__
        raise CheckpointError(f"{path}: its model is a {kind}, expected a dictionary of weights")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            kind = type(value).__name__
            raise CheckpointError(f"{path}: {quote(key)} is a {kind}, expected named weights")
        if problem := unfit(value, any_order=True):
            raise CheckpointError(f"{path}: {quote(key)} is {problem}, expected plain numbers")
    return {key.removeprefix("module."): value for key, value in state.items()}


def unfit(tensor: Tensor, any_order: bool = False) -> str | None:
    """What keeps a tensor of a file from being used, such as `sparse`; None for a plain one.

    `any_order`: the dimensions may lie in memory in any order, as of a transposed matrix.

    Kernels that write in place trust shape and strides. A file can hold a tensor whose elements
    share storage, lie outside of it, or have none at all.
    """
    if tensor.layout != torch.strided or tensor.is_nested:
        return "sparse or nested"
    if tensor.is_meta or tensor.device.type != "cpu":
        return "without data"
    if tensor.is_quantized or tensor.is_complex() or tensor.is_neg():
        return "quantized, complex or a negated view"
    if not (_is_dense(tensor) if any_order else _is_contiguous(tensor)):
        return "not contiguous"
    end = (tensor.storage_offset() + tensor.numel()) * tensor.element_size()
    return "larger than its storage" if end > tensor.untyped_storage().nbytes() else None


def _is_contiguous(tensor: Tensor) -> bool:
    """Whether every element has its own place, in either order of a convolution's weights."""
    channels_last = tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return tensor.is_contiguous() or channels_last


def _is_dense(tensor: Tensor) -> bool:
    """Whether every element has its own place and there is no gap, in any order of dimensions."""
    sides = [(stride, n) for stride, n in zip(tensor.stride(), tensor.shape, strict=True) if n > 1]
    place = 1
    for stride, side in sorted(sides):
        if stride != place:
            return False
        place *= side
    return True


def _read_pickle(path: Path) -> Any:
    _check_records(path)
    # Official training checkpoints hold their command line as a Namespace, the only type allowed
    # besides plain ones.
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except pickle.UnpicklingError as error:
        refused = re.search(r"Unsupported global: GLOBAL (\S+)", str(error))
        reason = f"holds {refused[1]}, which is not loaded for safety" if refused else "is damaged"
        raise CheckpointError(f"{path}: {reason}") from None
    except Exception as error:  # damaged bytes can raise anything in the unpickler
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path}: truncated or not a checkpoint ({reason})") from None


def _check_records(path: Path) -> None:
    """Raise CheckpointError for an archive that holds more than its own size.

    `torch.save` stores records as they are, but `torch.load` inflates, too: gigabytes from a file
    of megabytes.
    """
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
    except Exception as error:  # damaged bytes can raise anything here, too
        raise CheckpointError(f"{path}: truncated or not a checkpoint ({quote(error)})") from None
    if any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise CheckpointError(f"{path}: holds compressed records, which torch.save never writes")
    if sum(record.file_size for record in records) > path.stat().st_size:
        raise CheckpointError(f"{path}: holds records that overlap")


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            content = {name: json.loads(header[name]) for name in METADATA if name in header}
            return {"model": {key: file.get_tensor(key) for key in file.keys()}, **content}  # noqa: SIM118 - not a dictionary
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except (SafetensorError, ValueError, OSError, RecursionError) as error:
        raise CheckpointError(f"{path}: truncated or not a checkpoint ({error})") from None
