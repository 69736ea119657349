"""Files of weights that attack their reader; every function writes or returns one."""

import copy
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from models.checkpoint import PROMPTS


def quantized(tensor: Tensor) -> Tensor:
    """The tensor in 8 bits."""
    return torch.quantize_per_tensor(tensor.detach().float(), 0.1, 0, torch.qint8)


# Tensors of the right shape that no optimizer may write into and no model may hold.
TENSORS: dict[str, Callable[[Tensor], Tensor]] = {
    "stride 0": lambda tensor: torch.zeros(()).expand_as(tensor),
    "overlapping rows": lambda tensor: torch.zeros(tensor.numel()).as_strided(
        tensor.shape, [1] * tensor.ndim
    ),
    "sparse": lambda tensor: torch.zeros(tensor.shape).to_sparse(),
    "meta": lambda tensor: tensor.to("meta"),
    "quantized": quantized,
    "complex": lambda tensor: torch.zeros(tensor.shape, dtype=torch.complex64),
    "negated view": lambda tensor: torch.zeros(tensor.shape)._neg_view(),
    "integers": lambda tensor: torch.zeros(tensor.shape, dtype=torch.int64),
}
# Moments alone: weights may have another precision, and another order in memory.
MOMENTS = TENSORS | {
    "transposed": lambda tensor: torch.zeros(tensor.shape[::-1]).permute(
        *reversed(range(tensor.ndim))
    ),
    "half precision": lambda tensor: torch.zeros(tensor.shape, dtype=torch.float16),
    "another shape": lambda tensor: torch.zeros(2, *tensor.shape),
    "no tensor": lambda tensor: [0.0] * 4,
}
STEPS = {
    "a vector": torch.zeros(3),
    "one element": torch.zeros(1),
    "meta": torch.zeros((), device="meta"),
    "integer": torch.zeros((), dtype=torch.int64),
    "sparse": torch.zeros(1).to_sparse(),
    "negative": torch.tensor(-1.0),
    "not finite": torch.tensor(float("nan")),
    "text": "many",
    "huge": 10**400,
}


def optimizer_with(state: dict, name: str, value: object) -> dict:
    """A copy of an optimizer's state whose largest weight has another moment or step.

    value: a function of the moment, or what stands in its place.
    """
    changed = copy.deepcopy(state)
    number = max(state["state"], key=lambda key: state["state"][key]["exp_avg"].numel())
    entry = changed["state"][number]
    entry[name] = value(entry[name]) if callable(value) else value
    return changed


def change_entry(source: Path, path: Path, change: Callable[[dict], object]) -> Path:
    """A copy of a checkpoint whose content `change` has changed in place."""
    content = torch.load(source, weights_only=True)
    change(content)
    torch.save(content, path)
    return path


def deflated(source: Path, path: Path) -> Path:
    """A copy of a checkpoint whose records are compressed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return path


def overlapping(source: Path, path: Path, times: int) -> Path:
    """A copy of a checkpoint whose directory lists its first storage `times` more times."""
    with zipfile.ZipFile(source) as archive:
        records = archive.infolist()
    content = bytearray(source.read_bytes())
    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive:
        stored = max(records, key=lambda record: record.file_size)
        for number in range(times):
            twin = copy.copy(stored)
            twin.filename = f"{stored.filename}{number}"
            archive.filelist.append(twin)
        archive._didModify = True
    return path


def alias_bomb(levels: int = 40) -> list:
    """A list whose written form has 2 ** levels entries, in a few hundred bytes."""
    bomb: list = []
    for _ in range(levels):
        bomb = [bomb, bomb]
    return bomb


def endless_list() -> list:
    """A list that holds itself."""
    endless: list = []
    endless += [endless, endless]
    return endless


# Entries of a checkpoint of kilobytes that ask for gigabytes, or for a message without end.
SIZES: dict[str, Callable[[dict], object]] = {
    "a billion blocks": lambda content: content["architecture"].update(enc_depths=[10**9, 1, 1, 1]),
    "many blocks": lambda content: content["architecture"].update(dec_depths=[64] * 5),
    "ten million channels": lambda content: content["architecture"].update(embed_dim=10**7),
    "a huge integer": lambda content: content["architecture"].update(embed_dim=10**9999),
    "a huge window": lambda content: content["architecture"].update(enc_window_size=10**6),
    "large windows in many blocks": lambda content: content["architecture"].update(
        enc_window_size=64, enc_depths=[8] * 4
    ),
    "many heads": lambda content: content["architecture"].update(enc_num_heads=[10**9] * 4),
    "wide and empty": lambda content: content["architecture"].update(embed_dim=4096),
    "a huge image": lambda content: content.update(image_size=2**30),
    "alias bomb in tasks": lambda content: content.update(tasks=alias_bomb()),
    "alias bomb in depths": lambda content: content["architecture"].update(enc_depths=alias_bomb()),
    "endless list in verdict": lambda content: content.update(verdict=endless_list()),
    "alias bomb in image_size": lambda content: content.update(image_size=alias_bomb()),
    "alias bomb as architecture": lambda content: content.update(architecture=alias_bomb()),
    "long task": lambda content: content.update(tasks=["x" * 10**6]),
    "long names": lambda content: content["model"].update({"x" * 10**6: torch.zeros(1)}),
    "a prompt table without rows": lambda content: content["model"].update(
        {PROMPTS: torch.zeros(())}
    ),
}


def inflating_export(path: Path, size: int) -> Path:
    """A file like those of `tools.export` with a graph of `size` zeros, deflated to little."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("upocr.json", "{}")
        file.writestr("encoder.onnx", bytes(size))
    return path


def crowded_export(path: Path) -> Path:
    """A file like those of `tools.export` with a stranger in it."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("upocr.json", "{}")
        file.writestr("../../evil.py", "")
    return path
