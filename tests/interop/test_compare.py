"""The comparison itself: what it must not overlook."""

import pytest
from attrs import evolve

from .compare import differences, meant
from .steps import Step
from .tap import Recorded

FORM = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.md"\r\n'
    b"Content-Type: text/markdown\r\n\r\nhello\r\n--b--\r\n"
)
UPLOAD = Recorded(
    method="POST",
    target="/api/v1/files?workspace_id=w",
    headers={
        "accept": ["application/json"],
        "authorization": ["Bearer key"],
        "content-type": ["multipart/form-data; boundary=b"],
        "content-length": ["126"],
    },
    body=FORM,
)
UPDATE = Recorded(
    method="PATCH",
    target="/api/v1/workspaces/w",
    headers={"content-type": ["application/json"]},
    body=b'{"name": "n", "description": null, "on": true, "rate": 1}',
)

STEP = Step("files.upload")


def _with(request, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return evolve(request, headers={**request.headers, **named})


@pytest.mark.parametrize(
    ("request_", "other"),
    [
        (UPLOAD, evolve(UPLOAD, method="PUT")),
        (UPLOAD, evolve(UPLOAD, target="/api/v1/file?workspace_id=w")),
        (UPLOAD, evolve(UPLOAD, target="/api/v1/files")),
        (UPLOAD, evolve(UPLOAD, target="/api/v1/files?workspace_id=w&workspace_id=w")),
        (UPLOAD, _with(UPLOAD, accept=["*/*"])),
        (UPLOAD, _with(UPLOAD, accept=["application/json"] * 2)),
        (UPLOAD, _with(UPLOAD, authorization=["bearer key"])),
        (UPLOAD, _with(UPLOAD, http_referer=["https://app.example"])),
        (UPLOAD, _with(UPLOAD, transfer_encoding=["chunked"])),
        (UPLOAD, _with(UPLOAD, content_type=["multipart/mixed; boundary=b"])),
        (UPLOAD, evolve(UPLOAD, body=FORM.replace(b"a.md", b"A.md"))),
        (UPLOAD, evolve(UPLOAD, body=FORM.replace(b"text/markdown", b"text/plain"))),
        (UPLOAD, evolve(UPLOAD, body=FORM.replace(b"hello", b"hellO"))),
        (UPDATE, evolve(UPDATE, body=UPDATE.body.replace(b'"description": null, ', b""))),
        (UPDATE, evolve(UPDATE, body=UPDATE.body.replace(b"true", b"1"))),
        (UPDATE, evolve(UPDATE, body=UPDATE.body.replace(b"1}", b"1.5}"))),
        (UPDATE, evolve(UPDATE, body=UPDATE.body.replace(b"1}", b'"1"}'))),
        (UPDATE, evolve(UPDATE, body=b"")),
    ],
)
def test_no_difference_is_overlooked_or_excused(request_, other):
    """Neither way round."""
    for ours, theirs in [(request_, other), (other, request_)]:
        found = differences([ours], [theirs])
        assert [each for each in found if meant("TypeScript", STEP, each) is None]


def test_a_request_too_many_is_no_equal():
    """Nor one too few."""
    for ours, theirs in [([UPLOAD], []), ([UPLOAD], [UPLOAD, UPLOAD])]:
        (found,) = differences(ours, theirs)
        assert meant("TypeScript", STEP, found) is None


def test_the_boundary_and_the_spelling_of_json_are_no_difference():
    """They are each client's own."""
    headers = {**UPLOAD.headers, "content-type": ["multipart/form-data; boundary=x"]}
    other = evolve(UPLOAD, headers=headers, body=FORM.replace(b"--b", b"--x"))
    assert not differences([UPLOAD], [other])
    spelled = evolve(UPDATE, body=b'{"rate":1.0,"on":true,"description":null,"name":"\\u006e"}')
    (found,) = differences([UPDATE], [spelled])
    assert meant("Python", STEP, found).name == "spelling of JSON"
