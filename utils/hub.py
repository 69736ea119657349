"""Published files in the cache of torch.hub, checked against the checksum in their name."""

import re
from pathlib import Path
from urllib.parse import urlparse

import torch

from upocr.download import DOWNLOADS, Downloads, fetch, has_checksum


def hub_path(url: str) -> Path:
    """Where torch.hub keeps the file of a URL, below TORCH_HOME if that is set."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name


def hub_file(url: str, downloads: Downloads = DOWNLOADS) -> Path:
    """Path of the file of a URL such as `https://.../vgg16-397923af.pth`.

    Fetched unless it is there and has its checksum, of which the name holds the first digits.
    Raises ValueError as `fetch`.
    """
    path = hub_path(url)
    found = re.search(r"-([0-9a-f]{8,64})\.[^.]+$", path.name)
    assert found, f"{url} holds no checksum"
    if not has_checksum(path, found[1]):
        fetch(url, path, downloads, found[1])
    return path
