"""Shared by all benchmarks: the machine and its rate, interleaved timing, peak memory, tables."""

import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from tasks import OFFICIAL_TASKS
from utils import files
from utils.memory import peak_memory

K = TypeVar("K", bound=Hashable)

GEMM_SIDE = 2048
# Task -> name of its synthetic data set.
SYNTHETIC = {task: f"synthetic-{task.replace('_', '-')}" for task in OFFICIAL_TASKS}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def synthetic_configs(split: str, tasks: Iterable[str] = OFFICIAL_TASKS) -> list[Path]:
    """Configurations of the synthetic data sets of some tasks; `split`: `train` or `eval`."""
    return [Path("data_configs", split, f"{SYNTHETIC[task]}.yaml") for task in tasks]


def machine() -> dict[str, Any]:
    """Processor, threads and versions, for the head of a report."""
    return {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def gemm(dtype: torch.dtype) -> Callable[[], object]:
    """A multiplication of two square matrices, the yardstick of every share."""
    a, b = (torch.randn(GEMM_SIDE, GEMM_SIDE).to(dtype) for _ in range(2))
    return lambda: a @ b


def gemm_rates(repeats: int = 5) -> dict[str, float]:
    """GFLOP/s of the machine's matrix multiplication by type, multiply and add counted apart."""
    seconds = interleave({name: gemm(dtype) for name, dtype in DTYPES.items()}, repeats)
    return {name: 2 * GEMM_SIDE**3 / median(times) / 1e9 for name, times in seconds.items()}


def interleave(
    variants: Mapping[K, Callable[[], object]], repeats: int, warmup: int = 1
) -> dict[K, list[float]]:
    """Seconds of every call; the variants take turns, so that changes of load affect all of them.

    Args:
        variants: name -> timed function.
        repeats: timed calls per variant.
        warmup: untimed calls per variant before them, for compilers and caches.
    """
    seconds: dict[K, list[float]] = {name: [] for name in variants}
    for turn in range(warmup + repeats):
        for name, call in variants.items():
            start = time.perf_counter()
            call()
            if turn >= warmup:
                seconds[name].append(time.perf_counter() - start)
            _progress(f"{name}: {time.perf_counter() - start:.3f} s")
    _progress("")
    return seconds


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


median = statistics.median


def peak_gib() -> float:
    """Peak memory of this process in GiB."""
    return peak_memory() / 2**30


def in_fresh_process(function: Callable[..., Any], *args: Any) -> Any:
    """Result of `function(*args)` in a new process, with a peak memory of its own.

    Re-raises ValueError and OSError of the function; raises ValueError if the process dies.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(
        target=_answer, args=(theirs, torch.get_num_threads(), function, args)
    )
    process.start()
    theirs.close()
    try:
        result, error = ours.recv()
    except EOFError:
        process.join()
        raise ValueError(
            f"the process of {function.__name__} ended with exit code {process.exitcode}"
            + (", killed: too little memory?" if (process.exitcode or 0) < 0 else "")
        ) from None
    finally:
        process.join()
    if error is not None:
        raise error
    return result


def _answer(pipe: Any, threads: int, function: Callable[..., Any], args: tuple) -> None:
    torch.set_num_threads(threads)
    try:
        pipe.send((function(*args), None))
    except (ValueError, OSError) as error:
        pipe.send((None, error))


def table(rows: list[dict[str, Any]]) -> str:
    """Rows of equal keys as aligned text; floats with three significant digits."""
    texts = [{key: _cell(value) for key, value in row.items()} for row in rows]
    widths = {key: max(len(key), *(len(row[key]) for row in texts)) for key in texts[0]}
    first, *others = widths
    lines = [{key: key for key in widths}, *texts]
    return "\n".join(
        "  ".join((line[first].ljust(widths[first]), *(line[k].rjust(widths[k]) for k in others)))
        for line in lines
    )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def report(title: str, rows: list[dict[str, Any]], facts: dict[str, Any]) -> dict[str, Any]:
    """Print a table under its title and return it for `write_json`."""
    print(f"\n{title}\n{table(rows)}", flush=True)
    return {"title": title, "rows": rows, **facts}


def print_machine() -> dict[str, float]:
    """Measure `gemm_rates`, print them as the head of a report and return them."""
    facts, rates = machine(), gemm_rates()
    print(
        f"{facts['processor']}, {facts['threads']} threads of {os.cpu_count()}, "
        f"{facts['instructions']}, torch {facts['torch']}; GEMM "
        + ", ".join(f"{name} {rate:.0f} GFLOP/s" for name, rate in rates.items()),
        flush=True,
    )
    return rates


def write_json(path: Path | None, rates: dict[str, float], reports: list[dict]) -> None:
    """The machine and all tables in one file; nothing without a path."""
    if path is not None:
        content = {"machine": machine(), "gemm_gflops": rates, "reports": reports}
        files.write_json(path, content)
