"""The operations as functions that stand alone: ``await files.upload_file(transport, path)``.

Each takes an `AsyncTransport` first; ``client.files`` and ``client.workspaces`` are the same
functions with the client's own transport bound.
"""
