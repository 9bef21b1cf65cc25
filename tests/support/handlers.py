"""Handlers for `support.servers.RawServer`: fixed responses, and failures of a connection."""

from .samples import FILE
from .servers import abort, http_response


def respond_with(*steps):
    """Return a handler that takes one step per request and repeats the last of them.

    A step is the response's bytes, or an async function of the request.
    """

    async def handler(request, number):
        step = steps[min(number, len(steps)) - 1]
        return step if isinstance(step, bytes) else await step(request)

    return handler


def keeper_of(content):
    """Return a handler that sends this content, and says how much of an upload equals it."""

    async def handler(request, _):
        if request.method == "GET":
            return http_response(200, content)
        received = request.body.partition(b"\r\n\r\n")[2][: len(content)]
        return http_response(200, FILE | {"size_bytes": len(content) * (received == content)})

    return handler


async def reset(request):
    """Read the request to its end, and crash."""
    abort(request)


async def silence(request):
    """Send nothing; end when the client gives up."""
    await request.reader.read()


def cut(raw):
    """Return a step that sends a part of a response and closes the connection."""

    async def step(request):
        request.writer.write(raw)
        await request.writer.drain()

    return step


TRUNCATED = cut(
    b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"id":'
)
