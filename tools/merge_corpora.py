"""Command: several synthetic corpora as one, by hard links; names carry that of their corpus."""

import argparse
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from datasets.files import read_splits
from synthesis.layouts import SEGMENTATION, SPLITS, split_of, write_files, write_manifest
from synthesis.replacing import replacing
from utils.cli import BOOL, Parser, run, say
from utils.files import resolved

SPLIT_FILE = f"{SEGMENTATION}/split.json"
SAMPLE = re.compile(r"^(train|test)_(?=\d)")


def renamed(name: str, corpus: Path) -> str:
    """Name of a sample, or of its file, in the merged corpus."""
    return SAMPLE.sub(lambda found: f"{found[0]}{corpus.name}_", name)


def linked_files(corpus: Path) -> Iterator[tuple[Path, Path]]:
    """(file, path in the merged corpus) of every image and label of a corpus."""
    for path in sorted(corpus.rglob("*")):
        if path.is_file() and SAMPLE.match(path.name):
            name = renamed(path.name, corpus)
            yield path, path.relative_to(corpus).with_name(name)


def merge(corpora: list[Path], output_dir: Path, overwrite: bool) -> int:
    """Write the union of the corpora; returns the number of training samples.

    Raises ValueError as `replacing`, and if the corpora have equal names or one of them is the
    output.
    """
    _check_places(corpora, output_dir)
    splits: dict[str, list[str]] = {}
    with replacing(output_dir, overwrite) as folder:
        for corpus in corpora:
            for source, target in linked_files(corpus):
                (folder / target).parent.mkdir(parents=True, exist_ok=True)
                os.link(source, folder / target)
            for split, names in read_splits(corpus / SPLIT_FILE).items():
                splits.setdefault(split, []).extend(renamed(name, corpus) for name in names)
        write_files(folder, {SPLIT_FILE: json.dumps(splits, indent=1).encode()})
        names = [name for split in splits.values() for name in split]
        write_manifest(folder, [{"split": split_of(name), "name": name} for name in names])
    return len(splits.get(SPLITS[0], ()))


def _check_places(corpora: list[Path], output_dir: Path) -> None:
    places = [resolved(corpus) for corpus in corpora]
    if len({place.name for place in places}) < len(places):
        raise ValueError(
            "two of the corpora have the same name, which those of samples would share"
        )
    for place in places:
        output = resolved(output_dir)
        if output == place or output in place.parents or place in output.parents:
            raise ValueError(f"{output_dir} and {place} are one folder, or one lies in the other")


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(description=__doc__)
    parser.add_argument("output_dir", type=Path, help="folder to write to")
    parser.add_argument("corpora", type=Path, nargs="+", help="folders of `synthesize`")
    parser.add_argument("--overwrite", **BOOL, default=False, help="replace a corpus there")
    return parser


def main() -> None:
    """Merge, say how many."""
    args = build_parser().parse_args()
    count = merge(args.corpora, args.output_dir, args.overwrite)
    say(f"{args.output_dir}: {count} training samples per task")


if __name__ == "__main__":
    run(main)
