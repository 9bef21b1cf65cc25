"""Every client makes every call; what each sent and received is kept."""

import re
from urllib.parse import urlsplit

from attrs import evolve, frozen

from openrouter_async.emulator import Emulator

from .callers import Caller, Refused
from .steps import STEPS, Step
from .tap import Recorded, Tap

_TOKEN = re.compile(
    r"or_file_\w+|[0-9a-f]{8}-[0-9a-f-]{27}|(?!0{64})[0-9a-f]{64}|(?<=cursor=)[^&]+"
)


@frozen
class Outcome:
    """What became of a step."""

    requests: list[Recorded]
    problem: str | None


async def record(emulator: Emulator, caller: Caller) -> dict[str, Outcome]:
    """Let one client make all calls of an empty service, by the steps' names."""
    emulator.reset()
    emulator.providers(openai=True, anthropic=True)
    known = {"key": emulator.api_key, "made": emulator.create_file("a.bin", bytes(70_000))["id"]}
    known["cfile"] = emulator.create_container_file("sess_x", "out/a.csv", b"a,b\n")["id"]
    emulator.create_container_file("sess_x", "out/b.csv", b"a,b\n")
    server = urlsplit(emulator.base_url)
    outcomes = {}
    async with Tap(server.hostname, server.port) as tap:
        url = f"http://127.0.0.1:{tap.port}{server.path}"
        async with caller(url, emulator.management_key) as call:
            for step in STEPS:
                problem = await _attempt(call, step, known)
                outcomes[str(step)] = Outcome(list(tap.requests), problem)
                tap.requests.clear()
    names = {value: f"${name}" for name, value in known.items()}
    return {
        step: evolve(outcome, requests=[_named(request, names) for request in outcome.requests])
        for step, outcome in outcomes.items()
    }


async def _attempt(call, step: Step, known: dict[str, str]) -> str | None:
    """Make the call; what was wrong with it, if anything."""
    try:
        result = await call(step, _filled(step.arguments, known))
    except Refused as error:
        expected = str(error) in (step.refused or "").split(" or ")
        return None if expected else f"refused with {error}: {error.__cause__}"
    except Exception as error:  # noqa: BLE001 - whatever a client raises is a finding
        return f"{type(error).__name__}: {error}"
    if step.refused:
        return f"not refused with {step.refused}, but answered {result}"
    facts = _facts(result)
    if step.save:
        known[step.save] = facts.get("id") or facts["hash"]
    wrong = {
        name: facts.get(name)
        for name, expected in step.tells.items()
        if facts.get(name) != expected
    }
    return f"read {wrong} from the response" if wrong else None


def _facts(result: object) -> dict[str, object]:
    """The response's fields, those below ``data`` among them, by their documented names."""
    if not isinstance(result, dict):
        return {}
    inner = result["data"] if isinstance(result.get("data"), dict) else {}
    return {name.removeprefix("_"): value for name, value in {**result, **inner}.items()}


def _filled(value: object, known: dict[str, str]) -> object:
    """``value`` with ids where the table has their names."""
    if isinstance(value, dict):
        return {name: _filled(inner, known) for name, inner in value.items()}
    if isinstance(value, str):
        return re.sub(r"\$(\w+)", lambda match: known[match[1]], value)
    return value


def _named(request: Recorded, names: dict[str, str]) -> Recorded:
    """``request`` with names where each run has ids and cursors of its own."""

    def name(match: re.Match[str]) -> str:
        return names.setdefault(match[0], f"$unnamed-{len(names)}")

    body = request.body
    if request.content_type == ["application/json"]:
        body = _TOKEN.sub(name, body.decode()).encode()
    return evolve(request, target=_TOKEN.sub(name, request.target), body=body)
