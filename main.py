"""Train UPOCR jointly on its data sets, or evaluate a checkpoint: `python main.py --help`."""

import os

from utils.processes import end_with_launcher

if __name__ == "__main__" and "TORCHELASTIC_RUN_ID" in os.environ:
    end_with_launcher()  # before the imports, which take seconds

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from options import AUTO, Options, changes, parse_command_line, resolve
from resuming import check_agreement, find_checkpoint, tidy
from trainer import Trainer, evaluate_checkpoint
from utils import dist, termination
from utils.cli import memory_failure, run
from utils.lock import locked
from utils.logger import setup_logging

logger = logging.getLogger("upocr")


PATIENCE = 20  # seconds that a restarted run waits for the end of the one before
NEEDS_LESS = (
    "a smaller --batch_size or --eval_batch_size, --amp true or --swin_use_checkpoint true needs "
    "less; python -m benchmarks.plan estimates how much"
)


def main() -> None:
    """Parse the command line, join the process group, train or evaluate."""
    given = parse_command_line()
    with termination.handled():
        may_wait = given.get("resume") == AUTO or dist.restarts() > 0
        given, checkpoint = find_checkpoint(given)
        earlier = checkpoint.options if checkpoint and not given.get("eval") else {}
        options = resolve(given, earlier)
        device = dist.select_device(options.run.device)
        try:
            dist.init_process_group(device, options.run.timeout)
            check_agreement(options, checkpoint)
            setup_logging()
            for line in changes(options, earlier):
                logger.info(line)
            if options.run.tf32:
                dist.allow_tf32()
            with output_folder(options, PATIENCE if may_wait else 0):
                if checkpoint is not None and options.run.eval:
                    evaluate_checkpoint(options, device, checkpoint)
                else:
                    Trainer(options, device, checkpoint).run()
        except (RuntimeError, MemoryError) as error:
            if failure := dist.peer_failure(error):
                raise ValueError(failure) from None
            if failure := memory_failure(error):
                raise ValueError(f"{failure}: {NEEDS_LESS}") from None
            raise
        finally:
            dist.destroy_process_group()


@contextlib.contextmanager
def output_folder(options: Options, patience: float) -> Iterator[None]:
    """Hold the output folder, which the main process alone writes to, and tidy it up."""
    if not dist.is_main_process():
        yield
        return
    with locked(Path(options.run.output_dir), patience):
        tidy(options)
        yield


if __name__ == "__main__":
    run(main)
