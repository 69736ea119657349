"""Kill a run at every step that leaves a trace on disk, and finish it: a program for the tests.

It needs neither PyTorch nor weights, and forks, so that a run takes milliseconds.
"""

import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from upocr import UPOCR, prediction
from upocr.journal import Journal
from upocr.tasks import UNCALIBRATED

cv2.setNumThreads(1)
LIMIT = ("--join_timeout", "60")
# Environment variables: a file that grows by a byte per picture, and what the processes print.
CALLS, LOG = "CALLS", "LOG"


class Inverter:
    """A back end that calls dark pixels text and paints them white."""

    tasks = ("text_removal", "text_segmentation")
    image_size = 64
    verdict = UNCALIBRATED
    checksum = "inverter"

    def predict(self, images, tasks):
        """See `Backend.predict`."""
        dark = (images.mean(axis=1, keepdims=True) < 0.4).astype(np.float32)
        answers = [np.maximum(images, dark), np.repeat(dark, 3, axis=1)]
        return np.stack([answers[self.tasks.index(task)] for task in tasks], axis=1)


class Counted(UPOCR):
    """Counts pictures, those of other processes included."""

    def run(self, *arguments, **options):
        """See `UPOCR.run`."""
        with Path(os.environ[CALLS]).open("ab", buffering=0) as file:
            file.write(b"x")
        return super().run(*arguments, **options)


def make_pictures(folder: Path) -> None:
    """Three files, one of them with two pages, none larger than a window."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (30, 40 + n, 3), np.uint8) for n in range(4)]
    images = [Image.fromarray(each) for each in pixels]
    images[0].save(folder / "a.png")
    images[1].save(folder / "b.tif", save_all=True, append_images=[images[2]])
    images[3].save(folder / "c.png")


def run(folder: Path, *options: str) -> int:
    """The command, with results beside the inputs."""
    os.chdir(folder)
    return prediction.main([".", "--output_dir", ".", "--task", "all", *LIMIT, *options])


def count_down(steps: int, step: list[int]) -> None:
    """Kill this process at a step."""
    step[0] += 1
    if step[0] == steps:
        os.kill(os.getpid(), signal.SIGKILL)


def instrument(steps: int) -> None:
    """Have this process killed at a step: before or after a line of a journal, or a file."""
    step = [0]

    def around(function: Callable) -> Callable:
        def wrapped(*arguments, **options):
            count_down(steps, step)
            result = function(*arguments, **options)
            count_down(steps, step)
            return result

        return wrapped

    Journal.append = around(Journal.append)
    os.replace = around(os.replace)
    shutil.rmtree = around(shutil.rmtree)


def start(folder: Path, rank: int, size: int, steps: int, *options: str) -> int:
    """Run in a new process and return its number."""
    process = os.fork()
    if process:
        return process
    code = 70
    try:
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size)}
        log = os.open(os.environ[LOG], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        instrument(steps)
        code = run(folder, *options)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def wait(processes: list[int], first: int = 0) -> list[int]:
    """Exit codes of processes, negative for signals; as torchrun, end the others with the first."""
    codes = {first: os.waitstatus_to_exitcode(os.waitpid(processes[first], 0)[1])}
    for number, process in enumerate(processes):
        if number != first:
            if codes[first]:
                os.kill(process, signal.SIGTERM)
            codes[number] = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return [codes[number] for number in range(len(processes))]


def state(folder: Path) -> dict[str, object]:
    """Everything in a folder but times: the content of files, and the records."""
    found: dict[str, object] = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "results.json"
    }
    records = json.loads((folder / "results.json").read_text())
    for record in records:
        record.pop("seconds")
        record["pages"] = [page | {"seconds": 0} for page in record["pages"]]
    return found | {"results.json": records}


def attack(root: Path, size: int, victim: int) -> int:
    """Kill process `victim` of `size` at one step after another; returns the number of kills."""
    make_pictures(root / "in")
    os.environ |= {CALLS: str(root / "calls"), LOG: str(root / "log")}
    expected, steps = None, 10**9
    for kills in range(1000):
        folder = root / f"{victim}-{kills}"
        shutil.copytree(root / "in", folder)
        codes = wait([start(folder, n, size, steps * (n == victim)) for n in range(size)], victim)
        if expected is None:
            assert codes == [0] * size, codes
            expected, steps = state(folder), 1
            calls = Path(os.environ[CALLS]).stat().st_size
            assert calls == 4, f"4 pictures were done {calls} times"
            continue
        was_killed = codes[victim] == -signal.SIGKILL
        codes = wait([start(folder, n, size, 0, "--overwrite", "false") for n in range(size)])
        assert codes == [0] * size, (kills, codes, Path(os.environ[LOG]).read_text()[-2000:])
        found = state(folder)
        assert found == expected, (kills, difference(found, expected))
        shutil.rmtree(folder)
        if not was_killed:
            return kills - 1
        steps += 1
    raise AssertionError("no end of kills")


def difference(found: dict, expected: dict) -> list[str]:
    """Names of files that differ."""
    names = found.keys() | expected.keys()
    return sorted(name for name in names if found.get(name) != expected.get(name))


if __name__ == "__main__":
    prediction.load_model = lambda args, **options: Counted(Inverter())
    print(attack(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
