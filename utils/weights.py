"""Reading a file of weights without running code from it."""

import argparse
import pickle
import re
from pathlib import Path
from typing import Any

import torch


class CheckpointError(ValueError):
    """A file of weights that cannot be read or does not fit; the message names the file."""


def read_file(path: Path) -> dict[str, Any]:
    """Unpickle a file of weights without running code from it; raises CheckpointError naming the
    file.
    """
    # Official training checkpoints hold their command line as a Namespace, the one type allowed
    # beside plain ones.
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint") from None
    except IsADirectoryError:
        raise CheckpointError(f"{path}: is a folder, expected a checkpoint file") from None
    except pickle.UnpicklingError as error:
        refused = re.search(r"Unsupported global: GLOBAL (\S+)", str(error))
        reason = f"holds {refused[1]}, which is not loaded for safety" if refused else "is damaged"
        raise CheckpointError(f"{path}: {reason}") from None
    except (RuntimeError, EOFError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path}: truncated or not a checkpoint ({reason})") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, expected a dictionary")
    return content
