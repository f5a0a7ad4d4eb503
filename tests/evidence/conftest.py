"""A key provider with keys of this test run."""

import pytest

from airback.adapters.keys.files import FileKeys


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> FileKeys:
    return FileKeys(tmp_path_factory.mktemp("evidence") / "keys")
