"""Which operations there are, taken from the SDK's own endpoint tables."""

from types import ModuleType
from typing import Any, Final

from .._core.operation import Operation
from ..operations import files, workspaces

__all__ = ["OPERATIONS"]


def _table(module: ModuleType) -> dict[str, Operation[Any]]:
    return {
        name.lower(): value
        for name, value in vars(module).items()
        if isinstance(value, Operation) and name.isupper()
    }


OPERATIONS: Final = {**_table(files), **_table(workspaces)}
"""Each endpoint by its constant's name in lower case: ``upload_file``, ``set_budget``, …"""
