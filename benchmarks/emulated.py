"""The emulator as a benchmark server, with real storage."""

import os
import sys

from openrouter_async.emulator import run_emulator

from .peers import KEY

__all__ = ["main"]


def main(cores: str = "") -> None:
    """Serve until standard input ends; print the port."""
    if cores:
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    with run_emulator(api_key=KEY) as emulator:
        port = emulator.base_url.rpartition(":")[2].partition("/")[0]
        print(port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
