"""Several hosts on one machine: network namespaces with their own addresses on one bridge.

`python -m tests.soak.hosts` trains on two and three of them, lets one die and come back, and lets
one stay away. It needs `unshare`, `nsenter` and `ip` (util-linux, iproute2), and a kernel that
permits user namespaces; nothing on the machine itself is changed.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parents[2]
sys.path += [str(ROOT), str(ROOT / "tests")]

from soak.kills import OPTIONS, Run, compare, undisturbed  # noqa: E402

ENTER = ("nsenter", "--preserve-credentials", "--user", "--net")
NETWORK = "10.77.0"
PORT = 29400  # of the rendezvous, on the first host


def unavailable() -> str | None:
    """Why this machine does not permit hosts, None if it does."""
    for program in ("unshare", "nsenter", "ip"):
        if shutil.which(program) is None:
            return f"needs the program {program}"
    try:
        with Hosts(1):
            return None
    except (subprocess.CalledProcessError, OSError) as error:
        return f"needs network namespaces, which are not permitted here ({error})"


class Hosts:
    """Network namespaces, each with a loopback and an address: `NETWORK.1`, `.2` ...

    The namespaces end with the processes that hold them, and these with the block.

    Args:
        number: hosts.
        join_timeout: seconds that they wait for each other.
    """

    def __init__(self, number: int, join_timeout: int = 60) -> None:
        self.number, self.join_timeout = number, join_timeout
        self._holders: list[subprocess.Popen] = []  # of the bridge, then of every host

    def __enter__(self) -> "Hosts":
        try:
            self._hold("unshare", "--map-root-user", "--net")
            self._in(0, "ip", "link", "add", "bridge", "type", "bridge")
            self._in(0, "ip", "link", "set", "bridge", "up")
            for host in range(1, self.number + 1):
                self._connect(host)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for holder in self._holders:
            holder.kill()
            holder.wait()

    def _connect(self, host: int) -> None:
        self._hold(*self._into(0), "unshare", "--net")
        process, address = self._holders[host].pid, f"{NETWORK}.{host}/24"
        peer = ("peer", "name", "eth0", "netns", str(process))
        self._in(0, "ip", "link", "add", f"port{host}", "type", "veth", *peer)
        self._in(0, "ip", "link", "set", f"port{host}", "master", "bridge", "up")
        self._in(host, "ip", "link", "set", "lo", "up")
        self._in(host, "ip", "address", "add", address, "dev", "eth0")
        self._in(host, "ip", "link", "set", "eth0", "up")

    def _hold(self, *command: str) -> None:
        """Keep namespaces alive in a process that says when they are there."""
        holder = subprocess.Popen(
            [*command, "sh", "-c", "echo ready; exec sleep 86400"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._holders.append(holder)
        assert holder.stdout is not None
        if holder.stdout.readline() != "ready\n":
            assert holder.stderr is not None
            raise OSError(holder.stderr.read().strip())

    def _into(self, host: int) -> list[str]:
        return [*ENTER, "--target", str(self._holders[host].pid)]

    def _in(self, host: int, *command: str) -> None:
        subprocess.run([*self._into(host), *command], check=True, capture_output=True)

    def disconnect(self, host: int) -> None:
        """Pull the cable: what is sent to the host is lost, and nobody is told."""
        self._in(0, "ip", "link", "set", f"port{host}", "down")

    def training(self, host: int, folder: Path, options: Sequence[str] = ()) -> list[str]:
        """Command that starts the one rank of a host, numbered from 1, as on a cluster."""
        # The hosts share the name of the machine, by which torchrun would find its place.
        settings = f"is_host={int(host == 1)},join_timeout={self.join_timeout}"
        return [
            *(*self._into(host), "env", "GLOO_SOCKET_IFNAME=eth0"),
            *(sys.executable, "-m", "tools.launch", f"--nnodes={self.number}"),
            *("--nproc_per_node=1", "--max_restarts=3", "--rdzv_backend=c10d", "--rdzv_id=1"),
            *(f"--rdzv_endpoint={NETWORK}.1:{PORT}", f"--local_addr={NETWORK}.{host}"),
            *(f"--rdzv_conf={settings}", "main.py", *OPTIONS, *options),
            *("--output_dir", str(folder)),
        ]


def train_on_hosts(number: int, folder: Path, options: Sequence[str] = ()) -> str | None:
    """Train on several hosts; returns what differs from one host with as many processes."""
    undisturbed(folder / "one", number, options)
    with Hosts(number) as hosts:
        runs = [
            Run(hosts.training(host + 1, folder / "several", options)) for host in range(number)
        ]
        problem = _finish(runs)
    return problem or compare(folder / "several", folder / "one")


def _finish(runs: Sequence[Run]) -> str | None:
    codes = [run.finish() for run in runs]
    for run in runs:
        run.end()
    if any(codes):
        return f"exit codes {codes}\n" + "".join(line for run in runs for line in run.lines[-5:])
    return None


def come_back(folder: Path, step: int = 4, options: Sequence[str] = ()) -> str | None:
    """Let the second of two hosts die after a step and start again; returns what went wrong."""
    undisturbed(folder / "one", 2, options)
    with Hosts(2) as hosts:
        commands = [hosts.training(host, folder / "several", options) for host in (1, 2)]
        first, second = map(Run, commands)
        first.wait_for_step(step)
        second.end()
        problem = _finish([first, Run(commands[1])])
    return problem or compare(folder / "several", folder / "one")


def stay_away(folder: Path, is_unplugged: bool, options: Sequence[str] = ()) -> str | None:
    """Let the second of two hosts die, or lose its cable, for good; returns what went wrong."""
    with Hosts(2, join_timeout=5) as hosts:
        options = [*options, "--timeout", "5", "--epochs", "1000"]
        first, second = (Run(hosts.training(host, folder, options)) for host in (1, 2))
        first.wait_for_step(2)
        if is_unplugged:
            hosts.disconnect(2)
        else:
            second.end()
        code = first.finish()
        first.end()
        second.end()
    said = "".join(first.lines)
    if code != 2 or "Traceback" in said or not first.lines[-1].startswith("error: "):
        return f"exit code {code}\n{said[-2000:]}"
    return None


def build_parser() -> argparse.ArgumentParser:
    """Options of the command: none."""
    return argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def main() -> int:
    """Try everything; print a table, return 1 if anything failed."""
    build_parser().parse_args()
    if reason := unavailable():
        print(reason)
        return 2
    scenes: dict[str, Callable[[Path], str | None]] = {
        "two hosts: the bits of one": lambda folder: train_on_hosts(2, folder),
        "three hosts: the bits of one": lambda folder: train_on_hosts(3, folder),
        "a host dies and comes back": come_back,
        "a host dies for good": lambda folder: stay_away(folder, is_unplugged=False),
        "a host loses its cable": lambda folder: stay_away(folder, is_unplugged=True),
    }
    failures = 0
    for name, scene in scenes.items():
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            problem = scene(Path(folder))
            failures += problem is not None
            seconds = time.monotonic() - started
            print(f"{name:30} {seconds:6.0f} s  {problem or 'as it should be'}", flush=True)
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
