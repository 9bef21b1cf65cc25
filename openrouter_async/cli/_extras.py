"""What to say when an optional dependency is missing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["needs_extra"]

# Neither a gap in this package nor one in Python itself is filled by installing an extra.
_NOT_EXTRA = frozenset({"openrouter_async", *sys.stdlib_module_names})


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Import what an extra brings inside this.

    Raises:
        SystemExit: With status 2, after a line that says what is missing and how to get it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in _NOT_EXTRA:
            raise
        sys.stderr.write(
            f"openrouter-async: this needs {missing}, which is not installed:"
            f" pip install 'openrouter_async[{extra}]'\n"
        )
        raise SystemExit(2) from None
