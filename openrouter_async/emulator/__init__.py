r"""A local OpenRouter: the Files and Workspaces APIs, for development and tests without an account.

`run_emulator` serves it on a real socket from a background thread, `serve` from the current
thread, and `create_app` returns the bare ASGI application. Needs the extra ``emulator``.

Example:
    ```python
    from openrouter_async.emulator import run_emulator

    with run_emulator() as emulator:
        with OpenRouter(emulator.api_key, server_url=emulator.base_url) as client:
            client.files.upload(b"hello", filename="hello.txt")
    ```

Tests in any language set faults, keys and settings by the admin routes, from the same machine only,
with the token that the command prints or takes as ``--admin-token``:

```sh
ADMIN=http://127.0.0.1:8787/_emulator AUTH="Authorization: Bearer my-token"
curl $ADMIN/health  # needs no token
JSON="Content-Type: application/json"
curl -X PUT $ADMIN/faults -H "$AUTH" -H "$JSON" \
    -d '{"rules": [{"operation": "upload_file", "status": 429, "times": 2}]}'
curl $ADMIN/faults -H "$AUTH"               # the rules, and how many requests each has met
curl -X DELETE $ADMIN/faults -H "$AUTH"
curl $ADMIN/requests -H "$AUTH"             # the latest 1,000 requests, their bodies and statuses
curl -X POST "$ADMIN/files?filename=report.pdf" -H "$AUTH" \
    --data-binary @report.pdf               # a downloadable file
curl -X POST "$ADMIN/files?container_id=sess_abc&filename=plot.png" -H "$AUTH" \
    --data-binary @report.pdf
curl -X PUT $ADMIN/spend -H "$AUTH" -H "$JSON" \
    -d '{"a-workspace-id-or-key-hash": 12.5}'    # US dollars
curl -X POST $ADMIN/keys -H "$AUTH" -H "$JSON" -d '{"key": "sk-mine", "management": true}'
curl -X DELETE $ADMIN/keys -H "$AUTH" -H "$JSON" -d '{"key": "sk-mine"}'
curl -X PUT $ADMIN/providers -H "$AUTH" -H "$JSON" -d '{"openai": true}'
curl -X PUT $ADMIN/settings -H "$AUTH" -H "$JSON" \
    -d '{"max_page": 10, "default_workspace_deletion": true}'
curl -X POST $ADMIN/reset -H "$AUTH"        # deletes everything stored and set
```
"""

try:
    from .app import create_app
    from .control.fault_rules import Fault
    from .serving.handle import Emulator
    from .serving.server import run_emulator, serve
    from .state import EmulatorOptions
except ModuleNotFoundError as error:
    _missing = str(error.name).partition(".")[0]
    if _missing not in {"jinja2", "python_multipart", "starlette", "uvicorn"}:
        raise
    _message = f"the OpenRouter emulator needs {_missing}: pip install 'openrouter_async[emulator]'"
    raise ModuleNotFoundError(_message, name=error.name) from None

__all__ = ["Emulator", "EmulatorOptions", "Fault", "create_app", "run_emulator", "serve"]
