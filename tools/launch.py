"""torchrun that ends with one line and an exit code: `python -m tools.launch --help`."""

import argparse
import os
import signal

from torch.distributed import DistError
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous import RendezvousError, RendezvousTimeoutError
from torch.distributed.run import get_args_parser, run

from utils import termination
from utils.cli import run as run_command
from utils.quote import quote

# By default, torchrun keeps one store for all rounds of a rendezvous. A host that comes back then
# waits in vain for the address of the first host, which had announced it to the round before.
STORE_PER_ROUND = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"


def build_parser() -> argparse.ArgumentParser:
    """The options of torchrun."""
    return get_args_parser()


def main(arguments: list[str] | None = None) -> int:
    """Start ranks as torchrun does, with its options; returns the exit code.

    Raises ValueError if the hosts do not find each other, or if a rank has failed for good.
    """
    os.environ.setdefault(STORE_PER_ROUND, "1")
    try:
        run(build_parser().parse_args(arguments))
    except RendezvousTimeoutError:
        raise ValueError(
            "the hosts of --nnodes have not all come in time: start the same command on each, and "
            "see join_timeout of --rdzv_conf"
        ) from None
    except (RendezvousError, DistError, OSError) as error:
        raise ValueError(
            "no connection to the other hosts: are all of them up, is --rdzv_endpoint the address "
            f"of one of them, and does the firewall let them through? ({quote(error)})"
        ) from None
    except ChildFailedError as error:
        return _failed(error)
    except SignalException as error:
        return termination.EXIT_CODE if error.sigval == signal.SIGTERM else 128 + error.sigval
    return 0


def _failed(error: ChildFailedError) -> int:
    rank, failure = error.get_first_failure()  # torchrun has stopped the others
    if failure.exitcode == termination.EXIT_CODE:
        return termination.EXIT_CODE
    raise ValueError(f"rank {rank} has failed with exit code {failure.exitcode}, see its message")


if __name__ == "__main__":
    run_command(main)
