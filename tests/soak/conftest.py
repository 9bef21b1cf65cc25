"""The soak's tables, printed at its end."""

import pytest
from support.cancellation import busy_server
from support.tls import trusted

TABLES = pytest.StashKey()


def pytest_configure(config):
    config.stash[TABLES] = {}


def pytest_terminal_summary(terminalreporter, config):
    for title, rows in config.stash[TABLES].items():
        terminalreporter.section(title)
        columns = list(zip(*([str(cell) for cell in row] for row in rows), strict=True))
        widths = [max(map(len, column)) for column in columns]
        for row in rows:
            cells = (str(cell).rjust(width) for cell, width in zip(row, widths, strict=True))
            terminalreporter.write_line("  ".join(cells))


@pytest.fixture(scope="session")
def table(pytestconfig):
    """Adds a row to a table: ``table(title, heads, row)``."""

    def add(title, heads, row):
        pytestconfig.stash[TABLES].setdefault(title, [heads]).append(row)

    return add


@pytest.fixture(scope="session")
def busy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("busy")
    with trusted(folder), busy_server(folder) as server:
        yield server
