"""The error that a call raises, and all the text that a report of it could contain."""

import pickle
import traceback

import anyio

from openrouter_async.errors import OpenRouterError


def texts(error):
    """Yield all that a logger, a debugger or a crash reporter could print of an error."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield repr(error)
        yield str(error)
        yield repr(vars(error))
        if isinstance(error, OpenRouterError):
            yield repr(pickle.dumps(error))
        full = traceback.TracebackException.from_exception(error, capture_locals=True)
        yield "".join(full.format())
        yield from texts(error.__cause__)
        error = error.__context__


def shown(error):
    """Return all that a report of an error could show: its text, and every frame's local variables.

    The first frame, which is the test's own, is left out.
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
    """Return the error of this class that an operation raises within five seconds."""
    with anyio.fail_after(5):
        try:
            result = await call(*args, **kwargs)
        except kind as error:
            return error
    msg = f"{kind} was not raised, {result!r} came"
    raise AssertionError(msg)
