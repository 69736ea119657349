"""Command: several synthetic corpora as one, by hard links; names carry that of their corpus."""

import argparse
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from utils.cli import Parser, run, say

SPLIT_FILE = "TextSegmentation/TextSeg/split.json"
SAMPLE = re.compile(r"^(train|test)_(?=\d)")


def linked_files(corpus: Path) -> Iterator[tuple[Path, Path]]:
    """(file, path in the merged corpus) of every image and label of a corpus."""
    for path in sorted(corpus.rglob("*")):
        if path.is_file() and SAMPLE.match(path.name):
            name = SAMPLE.sub(rf"\g<0>{corpus.name}_", path.name)
            yield path, path.relative_to(corpus).with_name(name)


def merge(corpora: list[Path], output_dir: Path) -> int:
    """Replace `output_dir` by the union of the corpora; returns the number of training samples."""
    temporary = output_dir.with_name(output_dir.name + ".new")
    shutil.rmtree(temporary, ignore_errors=True)
    splits: dict[str, list[str]] = {}
    for corpus in corpora:
        for source, target in linked_files(corpus):
            (temporary / target).parent.mkdir(parents=True, exist_ok=True)
            os.link(source, temporary / target)
        for split, names in json.loads((corpus / SPLIT_FILE).read_text()).items():
            renamed = [SAMPLE.sub(rf"\g<0>{corpus.name}_", name) for name in names]
            splits.setdefault(split, []).extend(renamed)
    (temporary / SPLIT_FILE).write_text(json.dumps(splits, indent=1))
    shutil.rmtree(output_dir, ignore_errors=True)
    temporary.rename(output_dir)
    return len(splits["train"])


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = Parser(description=__doc__)
    parser.add_argument("output_dir", type=Path, help="folder to write to; is replaced")
    parser.add_argument("corpora", type=Path, nargs="+", help="folders of `synthesize`")
    return parser


def main() -> None:
    """Merge, say how many."""
    args = build_parser().parse_args()
    say(f"{args.output_dir}: {merge(args.corpora, args.output_dir)} training samples per task")


if __name__ == "__main__":
    run(main)
