"""Reading files of weights without running code from them."""

import argparse
import json
import pickle
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

# JSON, in the header of a safetensors file.
METADATA = ("architecture", "tasks", "image_size", "verdict")


class CheckpointError(ValueError):
    """A file of weights that cannot be read or does not fit; the message names the file."""


def read_file(path: Path) -> dict[str, Any]:
    """Content of a pickled or safetensors file of weights; raises CheckpointError."""
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
            raise CheckpointError(f"{path}: {key!r} is a {kind}, expected named weights")
    return {key.removeprefix("module."): value for key, value in state.items()}


def _read_pickle(path: Path) -> Any:
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


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            content = {name: json.loads(header[name]) for name in METADATA if name in header}
            return {"model": {key: file.get_tensor(key) for key in file.keys()}, **content}  # noqa: SIM118 - not a dictionary
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except (SafetensorError, ValueError, OSError) as error:
        raise CheckpointError(f"{path}: truncated or not a checkpoint ({error})") from None
