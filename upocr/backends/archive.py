"""One file with everything that a runtime needs: two graphs, tasks, window, verdict, checksums."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from upocr.files import atomic_path
from upocr.tasks import Verdict

SUFFIX = ".zip"
VERSION = 1
MANIFEST = "upocr.json"
FORMATS = ("onnx", "openvino")
# Files of the two graphs by format; every runtime finds its own by these names.
MEMBERS = {
    "onnx": ("encoder.onnx", "decoder.onnx"),
    "openvino": ("encoder.xml", "encoder.bin", "decoder.xml", "decoder.bin"),
}
TIME = (1980, 1, 1, 0, 0, 0)  # equal content gives equal files


@dataclass(frozen=True)
class Half:
    """Numbers of the encoder or the decoder that its index tables depend on.

    Args:
        depths: blocks per stage.
        side: of a window in tokens.
    """

    depths: tuple[int, ...]
    side: int


@dataclass(frozen=True)
class Archive:
    """Content of an exported file.

    Args:
        format: `onnx` or `openvino`.
        tasks: that the weights were trained on, in the order of their prompts.
        image_size: side of the windows in pixels.
        verdict: on the tampering of words, calibrated for the weights.
        encoder, decoder: see `Half`.
        dtype: of the stored weights.
        weights: SHA-256 of the weights that the graphs were made from.
        files: content of `MEMBERS` by name.
    """

    format: str
    tasks: tuple[str, ...]
    image_size: int
    verdict: Verdict
    encoder: Half
    decoder: Half
    dtype: str
    weights: str
    files: Mapping[str, bytes]

    def write(self, path: Path) -> None:
        """Write a ZIP archive, complete or not at all."""
        content = {MANIFEST: self._manifest(), **self.files}
        with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as file:
            for name, data in content.items():
                entry = zipfile.ZipInfo(name, TIME)
                file.writestr(entry, data, zipfile.ZIP_DEFLATED, 9)

    def checksum(self) -> str:
        """SHA-256 of everything, however it is compressed."""
        return _sha256(self._manifest())

    def _manifest(self) -> bytes:
        manifest = {"version": VERSION, **asdict(self)}
        manifest["files"] = {name: _sha256(data) for name, data in self.files.items()}
        return json.dumps(manifest, indent=2).encode()


def read_archive(path: Path) -> Archive:
    """Read and check an exported file; raises ValueError that names it."""
    try:
        with zipfile.ZipFile(path) as file:
            content = {name: file.read(name) for name in file.namelist()}
        manifest = json.loads(content.pop(MANIFEST))
        return _archive(manifest, content)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ValueError(f"{path}: is a folder, expected a file of tools.export") from None
    except _ArchiveError as error:
        raise ValueError(f"{path}: {error}") from None
    except (zipfile.BadZipFile, EOFError, KeyError, TypeError, ValueError):
        raise ValueError(
            f"{path}: damaged or not written by tools.export; export it again"
        ) from None


class _ArchiveError(Exception):
    """What is wrong with an archive."""


def _archive(manifest: dict[str, Any], content: dict[str, bytes]) -> Archive:
    version = manifest.pop("version")
    if version != VERSION:
        raise _ArchiveError(
            f"is of version {version}, this release reads version {VERSION}; export it again"
        )
    if manifest["format"] not in FORMATS:
        raise _ArchiveError(f"holds {manifest['format']!r}, expected one of {', '.join(FORMATS)}")
    sums = manifest.pop("files")
    wrong = [name for name, digest in sums.items() if _sha256(content.get(name, b"")) != digest]
    if wrong or set(sums) != set(MEMBERS[manifest["format"]]):
        raise _ArchiveError(
            f"{', '.join(wrong) or 'a graph'} is damaged or missing; export it again"
        )
    halves = {
        name: Half(tuple(manifest[name]["depths"]), int(manifest[name]["side"]))
        for name in ("encoder", "decoder")
    }
    verdict, tasks = Verdict(**manifest["verdict"]), tuple(manifest["tasks"])
    return Archive(**manifest | halves | {"verdict": verdict, "tasks": tasks, "files": content})


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
