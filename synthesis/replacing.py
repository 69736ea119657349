"""Replacing a synthetic data set: only files that its manifest lists, once the new are there."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from synthesis.layouts import FOLDERS, MANIFEST, sample_files
from utils.files import atomic_path, read_text
from utils.lock import LOCK, locked

STAGING = ".synthesis-new"  # folder beside the data that are to be replaced


@contextlib.contextmanager
def replacing(output_dir: Path, overwrite: bool) -> Iterator[Path]:
    """An empty folder for a data set with its manifest, which comes to `output_dir` on success.

    If the block fails, `output_dir` stays as it was. With `overwrite` the files of an earlier data
    set are deleted, but no others. Raises ValueError if the folder holds anything else, or may not
    be overwritten, or if a folder of the earlier data is a link.
    """
    with locked(output_dir):
        staging = output_dir / STAGING
        if staging.is_symlink():
            raise ValueError(f"{staging}: is a link, remove it")
        shutil.rmtree(staging, ignore_errors=True)  # of a run that was killed
        old = _earlier_files(output_dir, overwrite)
        staging.mkdir()
        try:
            yield staging
            _replace(output_dir, staging, old)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _earlier_files(output_dir: Path, overwrite: bool) -> set[str]:
    """Files that the manifest lists, relative to `output_dir`; raises ValueError as `replacing`."""
    if {path.name for path in output_dir.iterdir()} <= {LOCK}:
        return set()
    manifest = output_dir / MANIFEST
    if not overwrite or not manifest.is_file():
        hint = "pass --overwrite true" if manifest.is_file() else "choose another"
        raise ValueError(f"{output_dir}: the folder is not empty, {hint}")
    _refuse_links(output_dir)
    files: set[str] = set()
    for number, line in enumerate(read_text(manifest).splitlines(), start=1):
        try:
            files.update(sample_files(json.loads(line)["name"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ValueError(
                f"{manifest}:{number}: not the manifest of a synthetic data set"
            ) from None
    return files


def _refuse_links(output_dir: Path) -> None:
    """Raise ValueError if a folder of the data set is a link: what lies behind is not ours."""
    for folder in map(Path, FOLDERS):
        for part in (folder, *folder.parents):
            path = output_dir / part
            if path.is_symlink() and path != output_dir:
                raise ValueError(
                    f"{path}: is a link, and nothing behind it is deleted; remove the link or "
                    "choose another folder"
                )


def _replace(output_dir: Path, staging: Path, old: set[str]) -> None:
    """Move the new files to their places, then delete those of the old that have no successor."""
    new = {str(path.relative_to(staging)) for path in staging.rglob("*") if path.is_file()}
    # Until all is done the manifest lists both, so that a run that is killed here can be repeated.
    texts = [read_text(folder / MANIFEST) for folder in (output_dir, staging) if _is_filled(folder)]
    with atomic_path(output_dir / MANIFEST) as temporary:
        temporary.write_text("".join(texts), encoding="utf-8")
    for name in sorted(new - {MANIFEST}):
        (output_dir / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(staging / name, output_dir / name)
    for name in sorted(old - new):
        (output_dir / name).unlink(missing_ok=True)
    for folder in sorted(FOLDERS, reverse=True):
        with contextlib.suppress(OSError):  # has other files, or never was
            os.removedirs(output_dir / folder)
    os.replace(staging / MANIFEST, output_dir / MANIFEST)


def _is_filled(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()
