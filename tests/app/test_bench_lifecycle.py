"""The bench sells for real: what it counts is closed in the database, and the books agree with the far sides'."""

from pathlib import Path

import pytest

from airback.app.bench import latency
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


async def test_persons_are_served_beside_a_file(database_url: str, tmp_path: Path) -> None:
    report = await latency.bench(
        database_url, tmp_path, persons=10, per_s=20, file_orders=300, progress=lambda *_: None
    )
    assert report["violations"] == 0
    assert report["idle"]["persons"] == 10
    assert 0 < report["beside_file"]["persons"] <= 10
    for kind in ("idle", "beside_file"):
        assert 0 < report[kind]["paid_ms"]["p50"] <= report[kind]["paid_ms"]["p99"]
