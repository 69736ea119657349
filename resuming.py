"""The state that a run goes on from: the one that is named, the newest, or the last of a launch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.checkpoint import Checkpoint, load_checkpoint, newest_checkpoint
from options import AUTO, Options
from utils import dist
from utils.files import remove_temporaries

# File in the output folder: a launch of torchrun that has saved nothing yet, whatever else lies
# there. If it is restarted, it starts as its command says; later it goes on from what it has saved.
LAUNCHED = ".launched"
WRITTEN = ("*.pth", "*.png", "*.json", "config.yaml", "log.txt")  # in the output folder


def find_checkpoint(given: Mapping[str, Any]) -> tuple[dict[str, Any], Checkpoint | None]:
    """The checkpoint to go on from, and the options with its path as `resume`.

    Args:
        given: options of the command line by name, see `options.parse_command_line`.

    Raises CheckpointError.
    """
    folder = Path(given.get("output_dir") or Path(given.get("resume", "")).parent)
    changed: dict[str, Any] = {}
    if dist.restarts() and not given.get("eval") and not (folder / LAUNCHED).exists():
        changed = {"resume": AUTO, "overwrite": False}
    named = {**given, **changed}.get("resume")
    checkpoint = None
    if named:
        checkpoint = newest_checkpoint(folder) if named == AUTO else load_checkpoint(named)
    changed["resume"] = str(checkpoint.path) if checkpoint else ""
    return {**given, **changed}, checkpoint


def check_agreement(options: Options, checkpoint: Checkpoint | None) -> None:
    """Raise ValueError if the processes do not go on from one state, such as on a new host."""
    mine: tuple[Any, ...] = (options.run.overwrite,)
    if checkpoint is not None:
        state = checkpoint.training
        mine += checkpoint.path.name, state.get("epoch"), state.get("progress", {}).get("step")
    if len(set(dist.all_gather_objects(mine))) > 1:
        raise ValueError(
            "the processes go on from different states: all hosts need the same --output_dir, on "
            "a file system that they share, and --resume auto"
        )


def tidy(options: Options) -> None:
    """Remove what killed processes have left in the output folder, and note a launch."""
    folder = Path(options.run.output_dir)
    remove_temporaries(folder, WRITTEN)
    if dist.has_launcher() and not dist.restarts() and not options.run.eval:
        (folder / LAUNCHED).touch()


def note_saved(folder: Path) -> None:
    """Note that the launch has saved a state."""
    (folder / LAUNCHED).unlink(missing_ok=True)
