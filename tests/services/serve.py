"""Serve one of the services on a socket that was handed down: ``serve.py fastapi_service 5``."""

import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from socket import socket

import uvicorn
from aiohttp import web


def main(name, descriptor):
    sys.path.append(str(Path(__file__).parent.parent / "examples"))
    service = import_module(name)
    listener = socket(fileno=int(descriptor))
    if hasattr(service, "make_app"):
        web.run_app(service.make_app(), sock=listener, print=None, access_log=None)
        return
    config = uvicorn.Config(
        service.app, log_level="warning", access_log=False, timeout_graceful_shutdown=5
    )
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main(*sys.argv[1:])
