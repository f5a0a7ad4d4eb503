"""The bench sells for real: what it counts is closed in the database, and the books agree with the far sides'."""

from pathlib import Path

import pytest

from airback.app.bench.lifecycle import bare_calls, lifecycles


@pytest.mark.parametrize("over_http", [False, True], ids=["in-process", "over-http"])
async def test_whole_buy_backs_are_counted_and_their_books_agree(
    database_url: str, tmp_path: Path, over_http: bool
) -> None:
    done = await lifecycles(database_url, tmp_path, orders=40, on_books=2, over_http=over_http)
    assert (done.closed, done.violations) == (40, 0)
    assert done.per_s > 0


async def test_the_bare_client_is_answered(tmp_path: Path) -> None:
    assert await bare_calls(tmp_path, seconds=0.3, processes=1) > 0
