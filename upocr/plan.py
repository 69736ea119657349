"""What a run does, in pieces that its processes take one by one."""

import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upocr.inputs import Input

RUN_FOLDER = ".run"  # in a folder of results, while a run goes or after it was killed
PAGE = re.compile(r"\.page\d+$")  # end of a name that pages of another file may have


@dataclass(frozen=True)
class Plan:
    """The same for all processes of a run.

    Args:
        folder: of the run, below the folder of results.
        inputs: all files, in the order of their records.
        units: numbers of the inputs that one process does one after another.
    """

    folder: Path
    inputs: list[Input]
    units: list[list[int]]

    def journal(self, rank: int) -> Path:
        """The journal of a process."""
        return self.folder / f"{rank}.jsonl"

    def claim(self, unit: int) -> bool:
        """Take a unit for this process; False if another one has taken it."""
        path = self.folder / "claims" / str(unit)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def content(self) -> dict[str, Any]:
        """For JSON; `read_plan` is the inverse."""
        inputs = [
            {key: str(value) if isinstance(value, Path) else value for key, value in each.items()}
            for each in map(vars, self.inputs)
        ]
        return {"run": self.folder.name, "inputs": inputs, "units": self.units}


def make_plan(output_dir: Path, inputs: list[Input], processes: int) -> Plan:
    """The plan of a new run; several processes begin with the largest files."""
    units = list(_units(inputs))
    if processes > 1:
        sizes = [_size(each.path) for each in inputs]
        units.sort(key=lambda unit: sum(sizes[number] for number in unit), reverse=True)
    return Plan(output_dir / RUN_FOLDER / secrets.token_hex(8), inputs, units)


def read_plan(output_dir: Path, content: dict[str, Any]) -> Plan:
    """A plan from its `content`."""
    inputs = [
        Input(Path(each.pop("path")), Path(each.pop("folder")), **each)
        for each in content["inputs"]
    ]
    return Plan(output_dir / RUN_FOLDER / content["run"], inputs, content["units"])


def _units(inputs: list[Input]) -> Iterator[list[int]]:
    """Inputs whose results may have the same names belong together: a file and `FILE.page1`."""
    units: dict[tuple[Path, str], list[int]] = {}
    for number, each in enumerate(inputs):
        key = each.folder, PAGE.sub("", each.path.stem)
        units.setdefault(key, []).append(number)
    yield from units.values()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):  # reported when it is opened
        return 0
