"""What differs between our request and the vendor's for the same call, and which of it is meant."""

import json
from collections.abc import Callable
from urllib.parse import unquote

from attrs import frozen

from .steps import CHECKED, Step
from .tap import Recorded


@frozen
class Difference:
    """One thing that is not the same."""

    what: str
    ours: object
    theirs: object

    def __str__(self):
        return f"{self.what}: ours {self.ours!r}, the vendor's {self.theirs!r}"


@frozen
class Meant:
    """A difference that is right as it is."""

    name: str
    reason: str
    applies: Callable[[Step, Difference], bool]
    vendor: str = ""
    """Which of the vendor's clients it is of, if not of all."""
    everywhere: bool = False
    """Whether it is in the way that a client does HTTP, whatever the call."""


def meant(vendor: str, step: Step, difference: Difference) -> Meant | None:
    """The exception that a difference from one of the vendor's clients falls under."""
    of_vendor = (each for each in MEANT if vendor.startswith(each.vendor))
    return next((each for each in of_vendor if each.applies(step, difference)), None)


def differences(ours: list[Recorded], theirs: list[Recorded]) -> list[Difference]:
    """All that differs between the requests of one call."""
    found = [
        difference
        for mine, other in zip(ours, theirs, strict=False)
        for difference in _compared(mine, other)
    ]
    if len(ours) != len(theirs):
        both = min(len(ours), len(theirs))
        found.append(Difference("requests", _lines(ours[both:]), _lines(theirs[both:])))
    return found


def _lines(requests: list[Recorded]) -> list[str]:
    return [f"{request.method} {request.target}" for request in requests]


def _compared(ours: Recorded, theirs: Recorded):
    mine, others = _aspects(ours), _aspects(theirs)
    for what in sorted(mine.keys() | others.keys()):
        if mine.get(what) != others.get(what):
            yield Difference(what, mine.get(what), others.get(what))


def _aspects(request: Recorded) -> dict[str, object]:
    part = request.part
    aspects = {"method": request.method, "path": request.path, "query": request.query}
    aspects |= {f"header {name}": value for name, value in request.headers.items()}
    if part is not None:
        aspects["header content-type"] = request.content_type
        aspects |= {f"part's {name}": value for name, value in part.headers.items()}
        aspects["part's content"] = part.content
    elif request.body and request.content_type == ["application/json"]:
        aspects["body"] = json.dumps(json.loads(request.body, parse_int=float), sort_keys=True)
        aspects["body's bytes"] = request.body
    else:
        aspects["body"] = request.body
    return aspects


def _is(what: str, **values: object) -> Callable[[Step, Difference], bool]:
    """Whether it is that aspect that differs, with these values of ``ours`` or ``theirs``."""
    return lambda _, difference: (
        difference.what == what
        and all(getattr(difference, side) == value for side, value in values.items())
    )


def _same_id(_: Step, difference: Difference) -> bool:
    return difference.what == "path" and unquote(difference.ours) == unquote(difference.theirs)


def _default_page(step: Step, difference: Difference) -> bool:
    if difference.what != "query" or ".list" not in step.call:
        return False
    limit = ("limit", "100" if "container" in step.call else "50")
    return set(difference.theirs) - set(difference.ours) <= {("offset", "0"), limit}


def _empty_last_page(step: Step, difference: Difference) -> bool:
    more = difference.theirs if difference.what == "requests" and not difference.ours else ()
    return step.about == "last page full" and len(more) == 1 and "offset=" in more[0]


def _overlapping_page(step: Step, difference: Difference) -> bool:
    if difference.what != "query" or step.about != "two pages":
        return False
    ours, theirs = dict(difference.ours), dict(difference.theirs)
    more = [int(theirs.get("offset", 0)) - int(ours.get("offset", 0))]
    more.append(int(ours.get("limit", 0)) - int(theirs.get("limit", 0)))
    return more == [1, 1]


def _checked(step: Step, difference: Difference) -> bool:
    return (step.refused, difference.what, difference.ours) == (CHECKED, "requests", [])


def _provider_pages(step: Step, difference: Difference) -> bool:
    more = difference.ours if difference.what == "requests" and not difference.theirs else ()
    return "provider" in step.arguments and len(more) == 1 and "&after" in more[0]


MEANT = [
    Meant(
        "overlapping page",
        "a page begins with the last row before it, so that no row is missed if some are deleted",
        _overlapping_page,
    ),
    Meant("user agent", "each client names itself", _is("header user-agent"), everywhere=True),
    Meant(
        "keep-alive",
        "connections of HTTP/1.1 stay open without being asked to",
        _is("header connection", ours=None, theirs=["keep-alive"]),
        everywhere=True,
    ),
    Meant(
        "fetch's headers",
        "what fetch adds by itself; an API has no use for it",
        lambda _, difference: (
            difference.ours is None
            and (difference.what, difference.theirs)
            in [("header accept-language", ["*"]), ("header sec-fetch-mode", ["cors"])]
        ),
        vendor="TypeScript",
        everywhere=True,
    ),
    Meant(
        "empty cookie",
        "the TypeScript client sends an empty Cookie header; we keep no cookies",
        _is("header cookie", ours=None, theirs=[""]),
        vendor="TypeScript",
        everywhere=True,
    ),
    Meant(
        "compression",
        "how a response may be compressed is what each client can undo; gzip is what all can",
        lambda _, difference: (
            (difference.what, difference.ours) == ("header accept-encoding", ["gzip"])
            and "gzip" in difference.theirs[0]
        ),
        everywhere=True,
    ),
    Meant(
        "spelling of JSON",
        "order of fields, white space, escapes, 500 or 500.0: the same document",
        _is("body's bytes"),
        everywhere=True,
    ),
    Meant(
        "length",
        "follows from the spelling of the JSON or of the boundary",
        lambda _, difference: (
            difference.what == "header content-length"
            and None not in (difference.ours, difference.theirs)
        ),
        everywhere=True,
    ),
    Meant(
        "raw content",
        "we ask for downloads uncompressed: only so does their length tell whether they are whole",
        _is("header accept-encoding", ours=["identity"]),
    ),
    Meant(
        "chunked stream",
        "the TypeScript client reads a stream into memory to measure it; we send it as it comes",
        lambda step, difference: (
            step.about == "a stream"
            and (
                (difference.what, difference.ours, difference.theirs)
                == ("header transfer-encoding", ["chunked"], None)
                or (difference.what, difference.ours) == ("header content-length", None)
            )
        ),
        vendor="TypeScript",
    ),
    Meant(
        "guessed type",
        "the TypeScript client knows fewer file types; the service goes by the content",
        _is("part's content-type", theirs=["application/octet-stream"]),
        vendor="TypeScript",
    ),
    Meant(
        "encoded id",
        "an id is one segment of the path, as in TypeScript; the Python client lets it lead elsewhere",
        _same_id,
        vendor="Python",
    ),
    Meant(
        "default page",
        "the vendor's clients spell out the service's own defaults, offset 0 and limit 50 or 100",
        _default_page,
    ),
    Meant(
        "empty last page",
        "total_count tells us that a full page was the last; the vendor's clients ask once more",
        _empty_last_page,
    ),
    Meant(
        "checked first",
        "what breaks a documented rule is refused before anything is sent",
        _checked,
    ),
    Meant(
        "pages at providers",
        "we follow after and after_id too; the vendor's clients stop at the first page",
        _provider_pages,
    ),
]
