"""A local OpenRouter: the Files and Workspaces APIs, for development and tests without an account.

`run_emulator` serves it on a real socket from a background thread, `serve` from the current
thread, and `create_app` returns the bare ASGI application. Needs the extra ``emulator``.

Example:
    ```python
    from openrouter_async.emulator import run_emulator

    with run_emulator() as emulator:
        with OpenRouter(emulator.api_key, server_url=emulator.base_url) as client:
            client.files.upload(b"hello", filename="hello.txt")
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
    if _missing not in {"python_multipart", "starlette", "uvicorn"}:
        raise
    _message = f"the OpenRouter emulator needs {_missing}: pip install 'openrouter_async[emulator]'"
    raise ModuleNotFoundError(_message, name=error.name) from None

__all__ = ["Emulator", "EmulatorOptions", "Fault", "create_app", "run_emulator", "serve"]
