"""Programs as users write them."""

import subprocess
import sys
import textwrap


def run_program(script, *args, **options):
    """Run a program with our package, warnings being errors."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *args],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        **options,
    )
