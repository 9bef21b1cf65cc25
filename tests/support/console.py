"""A session of the emulator's console, without a browser."""

import re
from html import unescape
from types import TracebackType

import httpx


def forms_of(page):
    """Return the hidden fields of each form of a page."""
    forms = re.findall(r"<form.*?</form>", page, re.DOTALL)
    field = r'<input type="hidden" name="([^"]*)" value="([^"]*)">'
    return [{n: unescape(v) for n, v in re.findall(field, form)} for form in forms]


class Console:
    """Signs in by the link; keeps the cookie."""

    def __init__(self, link):
        self.root = link.partition("console/login")[0]
        self.client = httpx.Client(timeout=10)
        assert self.client.get(link).status_code == 200

    def __enter__(self):
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ):
        self.client.close()

    def get(self, page, **options):
        return self.client.get(self.root + page, **options)

    def page(self, page):
        """Return a page's HTML."""
        response = self.get(page)
        assert response.status_code == 200, response.text
        return response.text

    def post(self, path, values, files=None, **options):
        return self.client.post(self.root + path, data=values, files=files, **options)

    def submit(self, path, values, files=None):
        """Submit a form with its token."""
        forms = forms_of(self.page("console/faults"))
        return self.post(path, {"token": forms[-1]["token"], **values}, files)
