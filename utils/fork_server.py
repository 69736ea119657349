"""Imported first by a fork server: it and its workers end with their parent, even while importing.

`utils.processes.end_with_parent` watches later, and on systems other than Linux.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)


def _end_with_parent() -> None:
    """Ask the kernel to kill this process when the thread that started it has ended."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


# How `multiprocessing` starts a fork server; an import elsewhere changes nothing. Before Python
# 3.13, the server finds this module only if the repository is the current folder, and does without
# it otherwise.
if sys.platform == "linux" and any("multiprocessing.forkserver" in each for each in sys.orig_argv):
    _end_with_parent()
    os.register_at_fork(after_in_child=_end_with_parent)
