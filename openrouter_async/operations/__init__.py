"""The operations as standalone functions: ``await files.upload_file(transport, path)``.

Each takes an `AsyncTransport` as its first argument; the methods of ``client.files`` and
``client.workspaces`` are the same functions, bound to the client's transport.

Example:
    ```python
    from openrouter_async.operations import files, workspaces

    stored = await files.upload_file(client.transport, "report.pdf")
    workspace = await workspaces.get_workspace(client.transport, "default")
    ```
"""

import functools
import pkgutil
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from .._core.operation import Operation

__all__ = ["find_operations"]


@functools.cache
def find_operations() -> Mapping[str, Operation[Any]]:
    """Return every operation in this package, by the name of its constant in lower case.

    Operations are found in the modules rather than listed, so that the emulator, its fault rules
    and the tests cannot miss a new one.

    Example:
        ```python
        from openrouter_async.operations import find_operations

        print(find_operations()["upload_file"].path)  # /files
        ```
    """
    modules = [import_module(f".{info.name}", __name__) for info in pkgutil.iter_modules(__path__)]
    return {
        name.lower(): value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, Operation) and name.isupper()
    }
