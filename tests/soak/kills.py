"""Kill trainings at random moments and compare what comes of them with an undisturbed one.

`python -m tests.soak.kills --runs 50` prints a table of tried, survived and failed kills.
"""

import argparse
import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
sys.path += [str(ROOT), str(ROOT / "tests")]

from small_run import DATA, EVAL, TRAINING  # noqa: E402

from soak import Row  # noqa: E402

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
EPOCHS, STEPS = 3, 6
LINES = EPOCHS * STEPS  # of the log, one per step
OPTIONS = [
    *(*TRAINING, "--vgg16_weights", "none", "--num_workers", "1", "--data_root", str(DATA)),
    *("--swin_enc_drop_path_rate", "0.5"),  # a step draws random numbers
    *("--epochs", str(EPOCHS), "--iter_per_epoch", str(STEPS), "--save_steps", "4"),
    *("--val_data_cfg_paths", EVAL[2], "--eval_interval", "2", "--save_interval", "1"),
    *("--keep_last", "2", "--resume", "auto"),
]
RUNS = 50
PATIENCE = 2.0  # seconds until a process counts as left behind
LONGEST = 300.0  # seconds until a run counts as hung
MARK = "UPOCR_KILLS"  # variable in the environment of every process of a run


@dataclass(frozen=True)
class Victim:
    """What is killed.

    Args:
        name: for the table.
        processes: ranks; above 1 under torchrun.
        is_rank: one rank under torchrun, which restarts the training itself.
        is_group: loader workers as well, as a terminal and a cluster do.
    """

    name: str
    processes: int
    is_rank: bool = False
    is_group: bool = False


VICTIMS = (
    Victim("main process", 1),
    Victim("all processes", 1, is_group=True),
    Victim("one of two ranks", 2, is_rank=True),
    Victim("torchrun", 2),
)


def training(folder: Path, processes: int, options: Sequence[str] = ()) -> list[str]:
    """Command of a training that goes on from what is in `folder`."""
    launcher = ["main.py"]
    if processes > 1:
        torchrun = ["--standalone", f"--nproc_per_node={processes}", "--max_restarts=3"]
        launcher = ["-m", "torch.distributed.run", *torchrun, "main.py"]
    return [sys.executable, *launcher, *OPTIONS, *options, "--output_dir", str(folder)]


class Run:
    """A training in processes of its own, with its log.

    Args:
        command: that starts it, see `training`.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1", MARK: self._mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)

    def wait_for_step(self, number: int) -> None:
        """Return when so many steps have been logged, or when the run has ended."""
        while self.process.poll() is None and self._steps() < number:
            time.sleep(0.01)

    def _steps(self) -> int:
        return sum(" [" in line and "epoch " in line for line in list(self.lines))

    def finish(self) -> int | None:
        """Exit code, None after `LONGEST` seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(LONGEST)
        code = self.process.poll()
        if code is not None:
            self._reader.join(1)  # a process that is left behind may hold the pipe
        return code

    def alive(self) -> list[int]:
        """Processes of this run, including those that nobody waits for."""
        return [number for number in _processes() if _is_marked(number, self._mark)]

    def ranks(self) -> list[int]:
        """The processes of `main.py` below torchrun."""
        return [number for number in self.alive() if _parent(number) == self.process.pid]

    def left_behind(self, patience: float) -> list[int]:
        """Processes that still run after `patience` seconds."""
        deadline = time.monotonic() + patience
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.alive()

    def end(self) -> None:
        """Kill what is left."""
        for number in self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self.process.wait()


def _processes() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())


def _is_marked(number: int, mark: str) -> bool:
    try:
        environment = Path(f"/proc/{number}/environ").read_bytes()
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return f"{MARK}={mark}".encode() in environment and state != "Z"


def _parent(number: int) -> int:
    try:
        return int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def difference(a: object, b: object, where: str = "checkpoint") -> str | None:
    """The first place at which two checkpoints differ in a bit, through nested containers."""
    if type(a) is not type(b):
        return where
    if isinstance(a, torch.Tensor):
        return None if torch.equal(a, b) else where
    if isinstance(a, dict):
        pairs = [(a[key], b[key], f"{where}/{key}") for key in a if key in b]
        if a.keys() != b.keys():
            return where
    elif isinstance(a, list | tuple):
        if len(a) != len(b):
            return where
        pairs = [(x, y, f"{where}/{i}") for i, (x, y) in enumerate(zip(a, b, strict=True))]
    else:
        return None if a == b else f"{where}: {a} and {b}"
    return next(filter(None, itertools.starmap(difference, pairs)), None)


def compare(folder: Path, undisturbed: Path) -> str | None:
    """What differs between the results of two runs: files, weights, all state, the log."""
    names = [sorted(path.name for path in each.iterdir()) for each in (folder, undisturbed)]
    if names[0] != names[1]:
        return f"files {names[0]}, expected {names[1]}"
    for name in names[0]:
        if name.endswith(".pth"):
            states = [torch.load(each / name, weights_only=True) for each in (folder, undisturbed)]
            for state in states:
                state["options"]["run"].pop("output_dir")
            if found := difference(*states, name):
                return found
    logs = [(each / "log.txt").read_text() for each in (folder, undisturbed)]
    return None if logs[0] == logs[1] else "log.txt"


def undisturbed(folder: Path, processes: int, options: Sequence[str] = ()) -> float:
    """Train without a kill; returns the seconds until the first step."""
    started = time.monotonic()
    run = Run(training(folder, processes, options))
    run.wait_for_step(1)
    seconds = time.monotonic() - started
    if run.finish() != 0:
        run.end()
        raise RuntimeError("the undisturbed run failed:\n" + "".join(run.lines[-20:]))
    return seconds


def survive(
    folder: Path,
    victim: Victim,
    number: int,
    *,
    step: int,
    delay: float,
    expected: Path,
    patience: float,
    options: Sequence[str] = (),
) -> str | None:
    """Kill a training after a step, let it go on; returns what went wrong, None if nothing.

    Args:
        number: the signal.
        step, delay: the kill comes so many steps and then seconds after the start.
        expected: folder of the undisturbed run.
        patience: seconds that processes have to end after their main process.
    """
    run = Run(training(folder, victim.processes, options))
    try:
        run.wait_for_step(step)
        time.sleep(delay)
        if problem := _kill(run, victim, number, patience):
            return problem
    finally:
        run.end()
    if victim.is_rank:
        return compare(folder, expected)
    again = Run(training(folder, victim.processes, options))
    try:
        code = again.finish()
        if code is None:
            return "the second run hung"
        if code != 0:
            return f"second run: exit code {code}\n" + "".join(again.lines[-5:])
    finally:
        again.end()
    return compare(folder, expected)


def _kill(run: Run, victim: Victim, number: int, patience: float) -> str | None:
    targets = run.ranks() if victim.is_rank else [run.process.pid]
    if targets and run.process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if victim.is_group else os.kill)(targets[-1], number)
    code = run.finish()
    if code is None:
        return "the restart hung" if victim.is_rank else "hung after the signal"
    if victim.is_rank and code != 0:
        return f"torchrun: exit code {code}\n" + "".join(run.lines[-5:])
    left = run.left_behind(patience)
    return f"{len(left)} processes left behind" if left else None


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="kills")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument(
        "--patience",
        type=float,
        default=PATIENCE,
        help="seconds until a process counts as left behind",
    )
    return parser


def attack(runs: int, seed: int, patience: float) -> list[Row]:
    """Kill `runs` trainings at random moments, victims and signals in turn."""
    moments, tried, failed = random.Random(seed), Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        startup = {count: undisturbed(folder / f"whole{count}", count) for count in (1, 2)}
        cases = itertools.cycle(itertools.product(VICTIMS, SIGNALS))
        for index, (victim, number) in enumerate(itertools.islice(cases, runs)):
            step = moments.randint(0, LINES)
            problem = survive(
                folder / str(index),
                victim,
                number,
                step=step,
                delay=moments.uniform(0, 0.5 if step else startup[victim.processes]),
                expected=folder / f"whole{victim.processes}",
                patience=patience,
            )
            row = f"{number.name} to {victim.name}"
            tried[row] += 1
            failed[row] += problem is not None
            said = f"{index + 1:3} {row:28} after step {step:2}: {problem or 'the same bits'}"
            print(said, file=sys.stderr, flush=True)
            shutil.rmtree(folder / str(index), ignore_errors=True)
    return [Row(name, tried[name], tried[name] - failed[name], failed[name]) for name in tried]


def soak(scale: float) -> list[Row]:
    """Kill 50 trainings, or a share of them; each is told on standard error."""
    return attack(max(1, round(RUNS * scale)), 0, PATIENCE)


def main() -> int:
    """Kill, print the table, return 1 if anything failed."""
    args = build_parser().parse_args()
    rows = attack(args.runs, args.seed, args.patience)
    numbers = ([row.tried, row.survived, row.failed] for row in rows)
    rows.append(Row("all", *map(sum, zip(*numbers, strict=True))))
    print(f"\n{'killed':28} {'tried':>8} {'survived':>8} {'failed':>8}")
    for row in rows:
        print(f"{row.name:28} {row.tried:8} {row.survived:8} {row.failed:8}")
    return int(rows[-1].failed > 0)


if __name__ == "__main__":
    sys.exit(main())
