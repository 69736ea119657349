"""Train UPOCR jointly on its data sets, or evaluate a checkpoint: `python main.py --help`."""

import contextlib
import logging
from pathlib import Path

from models.checkpoint import load_checkpoint
from options import changes, parse_command_line, resolve
from trainer import Trainer, evaluate_checkpoint
from utils import dist
from utils.cli import run
from utils.lock import locked
from utils.logger import setup_logging

logger = logging.getLogger("upocr")


def main() -> None:
    """Parse the command line, join the process group, train or evaluate."""
    given = parse_command_line()
    checkpoint = load_checkpoint(given["resume"]) if given.get("resume") else None
    earlier = checkpoint.options if checkpoint and not given.get("eval") else {}
    options = resolve(given, earlier)
    device = dist.select_device(options.run.device)
    try:
        dist.init_process_group(device)
        setup_logging()
        for line in changes(options, earlier):
            logger.info(line)
        if options.run.tf32:
            dist.allow_tf32()
        folder = Path(options.run.output_dir)
        with locked(folder) if dist.is_main_process() else contextlib.nullcontext():
            if checkpoint is not None and options.run.eval:
                evaluate_checkpoint(options, device, checkpoint)
            else:
                Trainer(options, device, checkpoint).run()
    except RuntimeError as error:
        if dist.is_peer_failure(error):
            raise ValueError("lost another process, see its message") from None
        raise
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    run(main)
