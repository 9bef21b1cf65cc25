"""Multipart bodies, read by a parser that is not the SDK's."""

from attrs import define
from python_multipart.multipart import MultipartParser, parse_options_header


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
