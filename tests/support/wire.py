"""Ways to response and to fail, for servers of a test's own, and ways to look at what came."""

import traceback

import anyio
from attrs import define
from python_multipart.multipart import MultipartParser, parse_options_header

from openrouter_async import RetryConfig

from .servers import abort

KEY = "sk-or-v1-0123456789-not-to-be-seen"
QUICK = RetryConfig(initial_interval=0.001, max_interval=0.002)
"""Retries as users have them, without their waits."""

WORKSPACE = {
    "id": "550e8400-e29b-41d4-a716-446655440000",
    "name": "Production",
    "slug": "production",
    "description": None,
    "default_text_model": None,
    "default_image_model": None,
    "default_provider_sort": None,
    "default_guardrail_id": None,
    "io_logging_api_key_ids": None,
    "io_logging_sampling_rate": 1,
    "is_data_discount_logging_enabled": True,
    "is_observability_broadcast_enabled": False,
    "is_observability_io_logging_enabled": False,
    "created_at": "2025-01-01T00:00:00Z",
    "created_by": None,
    "updated_at": None,
}
BUDGET = {
    "id": "770e8400-e29b-41d4-a716-446655440000",
    "workspace_id": WORKSPACE["id"],
    "limit_usd": 10,
    "reset_interval": "daily",
    "created_at": "2025-01-01T00:00:00Z",
    "updated_at": "2025-01-01T00:00:00Z",
}
MEMBER = {
    "id": "660e8400-e29b-41d4-a716-446655440000",
    "workspace_id": WORKSPACE["id"],
    "user_id": "user_abc123",
    "role": "member",
    "created_at": "2025-01-01T00:00:00Z",
}


def replies(*steps):
    """A handler that takes one step per request and repeats the last of them.

    A step is the bytes to response, or an async function of the request.
    """

    async def handler(request, number):
        step = steps[min(number, len(steps)) - 1]
        return step if isinstance(step, bytes) else await step(request)

    return handler


async def reset(request):
    """Read the request to its end, and crash."""
    abort(request)


async def silence(request):
    """Never response; end when the client gives up."""
    await request.reader.read()


def cut(raw):
    """Send so much of a response, and close the connection."""

    async def step(request):
        request.writer.write(raw)
        await request.writer.drain()

    return step


TRUNCATED = cut(
    b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"id":'
)


@define
class Form:
    """The one part of a multipart body."""

    headers: dict[str, str]
    content: bytes
    parts: int

    @property
    def filename(self):
        disposition = self.headers["content-disposition"]
        return disposition.partition('filename="')[2].rpartition('"')[0]


def parse_form(content_type, body, cut=None):
    """Read a multipart body as a server does, with a parser that is not ours.

    ``cut`` is how much of it comes at a time; all if omitted.
    """
    kind, options = parse_options_header(content_type)
    assert kind == b"multipart/form-data"
    names, values, content = [], [], bytearray()
    counts = {"parts": 0, "ends": 0}

    def begin():
        counts["parts"] += 1

    def field(data, start, end):
        names[-1:] = [names[-1] + data[start:end]]

    def value(data, start, end):
        values[-1:] = [values[-1] + data[start:end]]

    def header_begin():
        names.append(b"")
        values.append(b"")

    def data(data, start, end):
        content.extend(data[start:end])

    def finish():
        counts["ends"] += 1

    parser = MultipartParser(
        options[b"boundary"],
        {
            "on_part_begin": begin,
            "on_header_begin": header_begin,
            "on_header_field": field,
            "on_header_value": value,
            "on_part_data": data,
            "on_end": finish,
        },
    )
    for start in range(0, len(body), cut or len(body)):
        parser.write(body[start : start + (cut or len(body))])
    parser.finalize()
    assert counts["ends"] == 1
    headers = {
        name.decode().lower(): value.decode() for name, value in zip(names, values, strict=True)
    }
    assert len(headers) == len(names)
    return Form(headers, bytes(content), counts["parts"])


def form_of(request):
    """The form that a request to a raw server carried."""
    (content_type,) = request.headers("content-type")
    return parse_form(content_type, request.body)


def shown(error):
    """All that a report of an error could show: its words, and local variables of every frame.

    The first frame is left out, being the test's own.
    """
    parts, todo, seen = [], [error], set()
    while todo:
        error = todo.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        todo += [error.__cause__, error.__context__, getattr(error, "reason", None)]
        frames = error.__traceback__ and error.__traceback__.tb_next
        summary = traceback.TracebackException(type(error), error, frames, capture_locals=True)
        parts += [*summary.format(), repr(error), repr(error.args), repr(error.__dict__)]
        while frames:  # what TracebackException shows through repr, a debugger shows in full
            parts.append(repr(frames.tb_frame.f_locals))
            frames = frames.tb_next
    return "\n".join(parts)


async def raised(kind, call, *args, **kwargs):
    """The error of a kind that an operation raises, within two seconds."""
    with anyio.fail_after(5):
        try:
            result = await call(*args, **kwargs)
        except kind as error:
            return error
    msg = f"{kind} was not raised, {result!r} came"
    raise AssertionError(msg)
