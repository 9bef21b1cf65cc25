"""The namespaces such as ``client.files`` and ``client.workspaces``, for both clients."""

from typing import Any, Final, Generic, cast, get_origin

from . import transfers
from ._sync.facade import Mode, Namespace, method
from .operations import budgets, containers, files, keys, organization, plans, workspaces

__all__ = ["NAMESPACES", "Containers", "Files", "Keys", "Namespaces", "Organization", "Workspaces"]


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
    sync = method(transfers.sync)
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
    list_budgets = method(budgets.list_budgets)
    get_budget = method(budgets.get_budget)
    set_budget = method(budgets.set_budget)
    set_budgets = method(budgets.set_budgets)
    delete_budget = method(budgets.delete_budget)
    list_members = method(workspaces.list_members)
    bulk_add_members = method(workspaces.bulk_add_members)
    bulk_remove_members = method(workspaces.bulk_remove_members)
    remove_members = method(plans.remove_members)
    teardown = method(plans.teardown_workspace)
    plan = method(plans.plan_workspaces)
    apply = method(plans.apply_plan)
    export = method(plans.export_workspaces)


class Containers(Namespace[Mode]):
    """``client.containers``: the files that models' tools made in a container.

    Example:
        ```python
        async for file in client.containers.list_files("sess_abc"):
            await client.containers.promote_file("sess_abc", file.id)
        ```
    """

    list_files = method(containers.list_container_files)
    retrieve_file = method(containers.retrieve_container_file)
    download_file = method(containers.download_container_file)
    download_file_to = method(containers.download_container_file_to)
    promote_file = method(containers.promote_container_file)


class Keys(Namespace[Mode]):
    """``client.keys``: manage API keys with a management key; ask for the client's own.

    Example:
        ```python
        created = await client.keys.create(name="ci", limit=20)
        secret = created.key.reveal()
        await client.keys.delete(created.data.hash)
        print((await client.keys.current()).budgets)
        ```
    """

    list = method(keys.list_keys)
    create = method(keys.create_key)
    get = method(keys.get_key)
    update = method(keys.update_key)
    delete = method(keys.delete_key)
    current = method(keys.get_current_key)


class Organization(Namespace[Mode]):
    """``client.organization``: the organisation's members.

    Example:
        ```python
        async for member in client.organization.list_members():
            print(member.id, member.email)
        ```
    """

    list_members = method(organization.list_organization_members)


class Namespaces(Generic[Mode]):
    """A client's namespaces: both clients have every attribute that is declared here."""

    containers: Containers[Mode]
    files: Files[Mode]
    keys: Keys[Mode]
    organization: Organization[Mode]
    workspaces: Workspaces[Mode]


NAMESPACES: Final[dict[str, type[Namespace[Any]]]] = {
    name: cast("type[Namespace[Any]]", get_origin(kind))
    for name, kind in Namespaces.__annotations__.items()
}
"""The namespaces by attribute name."""
