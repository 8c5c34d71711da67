"""Runs a command and ends with it: `guard.py PARENT SECONDS COMMAND ARG...`, the leader of its own process group.

PARENT is the process id of the guard's parent. When it is gone (killed, without cleaning up), the guard asks the
command to end, and kills the whole group after that many seconds. So a local cloud that dies leaves no emulator behind,
and the emulator can still save the data that it keeps.
"""

import contextlib
import os
import signal
import subprocess
import sys

LOOK_EVERY_SECONDS = 1.0


def main(starter: int, grace_seconds: float, command: "list[str]") -> int:
    """Returns the command's exit code. If a signal ended the command, the guard ends by the same signal."""
    if os.getppid() != starter:
        return 1
    child = subprocess.Popen(command)  # noqa: S603 - the command is the project's own
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = child.wait(LOOK_EVERY_SECONDS)
            break
        if os.getppid() != starter:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(grace_seconds)
            os.killpg(0, signal.SIGKILL)
    if code < 0:
        # SIGKILL has no handler to reset.
        with contextlib.suppress(OSError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
