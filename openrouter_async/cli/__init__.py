"""The command line: Typer and rich on top of the public client.

This module imports nothing, so that a missing extra ``cli`` can be reported.

With ``--json`` each line of stdout is one object. Files, workspaces, budgets, members, keys and
container files are the models' ``to_dict()``, with fields beside the documented ones if the service
sends any. The others are:

- ``files upload``, ``sync``, ``download``, ``rm``: ``status`` (``uploaded``, ``downloaded``,
  ``deleted``, ``skipped``, ``failed``, ``unknown``; with ``--dry-run`` ``planned``), ``source``
  (path, id, or ``-``), ``id``, ``filename``, ``size_bytes``, ``path``, ``reason`` (for skipping),
  ``error``, ``elapsed`` (seconds); null where not applicable.
- ``workspaces rm`` and ``budgets rm``: ``workspace``, ``status`` (``deleted``, ``failed``), and
  ``interval``; ``members rm``: ``removed_count``.
- ``workspaces plan``, ``apply``, ``teardown``: ``action``, ``kind``, ``workspace``, ``name``,
  ``id``, ``before``, ``after``; of ``apply`` also ``secret``, as of ``keys create`` ``key``.
- ``api``: the response as it came.
- ``doctor``: ``check``, ``status`` (``ok``, ``failed``, ``not checked``), ``detail``.
- ``emulator``: ``base_url``, ``api_key``, ``management_key``, ``admin_token``.
- ``emulator requests`` and ``faults``: as the admin routes show them.
- ``demo``: ``step``, ``status`` (``ok``, ``failed``, ``not run``), ``detail``, ``seconds``.
"""

__all__: list[str] = []
