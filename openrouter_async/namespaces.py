"""The namespaces ``client.files`` and ``client.workspaces``, for both clients."""

from typing import Any, Final, Generic, cast, get_origin

from . import transfers
from ._sync.facade import Mode, Namespace, method
from .operations import files, workspaces

__all__ = ["NAMESPACES", "Files", "Namespaces", "Workspaces"]


class Files(Namespace[Mode]):
    """``client.files``: upload, list, download and delete the files of a workspace.

    Example:
        ```python
        file = await client.files.upload("report.pdf")
        async for file in client.files.list():
            print(file.id, file.filename)
        await client.files.delete(file.id)
        ```
    """

    list = method(files.list_files)
    upload = method(files.upload_file)
    delete = method(files.delete_file)
    retrieve = method(files.retrieve_file)
    download = method(files.download_file)
    download_to = method(files.download_file_to)
    upload_many = method(transfers.upload_many)
    upload_tree = method(transfers.upload_tree)
    download_many = method(transfers.download_many)
    delete_many = method(transfers.delete_many)


class Workspaces(Namespace[Mode]):
    """``client.workspaces``: manage workspaces, their budgets and members with a management key.

    Example:
        ```python
        workspace = await client.workspaces.create(name="Trials", slug="trials")
        await client.workspaces.set_budget("trials", "monthly", 500)
        await client.workspaces.delete(workspace.id)
        ```
    """

    list = method(workspaces.list_workspaces)
    create = method(workspaces.create_workspace)
    get = method(workspaces.get_workspace)
    update = method(workspaces.update_workspace)
    delete = method(workspaces.delete_workspace)
    list_budgets = method(workspaces.list_budgets)
    get_budget = method(workspaces.get_budget)
    set_budget = method(workspaces.set_budget)
    set_budgets = method(workspaces.set_budgets)
    delete_budget = method(workspaces.delete_budget)
    list_members = method(workspaces.list_members)
    bulk_add_members = method(workspaces.bulk_add_members)
    bulk_remove_members = method(workspaces.bulk_remove_members)


class Namespaces(Generic[Mode]):
    """A client's namespaces: both clients have every attribute that is declared here."""

    files: Files[Mode]
    workspaces: Workspaces[Mode]


NAMESPACES: Final[dict[str, type[Namespace[Any]]]] = {
    name: cast("type[Namespace[Any]]", get_origin(kind))
    for name, kind in Namespaces.__annotations__.items()
}
"""The namespaces by attribute name."""
