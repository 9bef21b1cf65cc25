"""The operations as functions that stand alone: ``await files.upload_file(transport, path)``.

Each takes an `AsyncTransport` first; ``client.files`` and ``client.workspaces`` are the same
functions with the client's own transport bound.

Example:
    ```python
    from openrouter_async.operations import files, workspaces

    stored = await files.upload_file(client.transport, "report.pdf")
    workspace = await workspaces.get_workspace(client.transport, "default")
    ```
"""
