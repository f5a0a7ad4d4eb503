"""Running sandboxes, with and without authentication; and the word at the end when specifications were missing."""

from collections.abc import Iterator

import pytest

from tests.sandbox import specifications
from tests.sandbox.running import RunningSandbox


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """A sandbox that wants its token."""
    with RunningSandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture(scope="session")
def open_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """A sandbox that lets everybody in (`--no-auth`)."""
    with RunningSandbox(tmp_path_factory.mktemp("open-sandbox"), auth=False) as running:
        yield running


@pytest.fixture(autouse=True)
def well_behaved(request: pytest.FixtureRequest) -> Iterator[None]:
    """No fault outlives its test."""
    yield
    for name in ("sandbox", "open_sandbox"):
        if name in request.fixturenames:
            request.getfixturevalue(name).call("DELETE", "/sandbox/faults")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if specifications.missed:
        terminalreporter.section("NOT CHECKED AGAINST THE CARRIERS' SPECIFICATIONS", red=True, bold=True)
        terminalreporter.line(
            f"{len(specifications.missed)} tests did not run: the specification files are not here."
        )
        terminalreporter.line("Set AIRBACK_SPECS to a folder that holds them; they are public:")
        terminalreporter.line(specifications.SOURCES)
