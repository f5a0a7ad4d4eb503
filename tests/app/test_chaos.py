"""Every process killed under load: what was acknowledged is kept, nothing happens twice."""

from pathlib import Path

import pytest

from tests.app.test_demo import airback, left_over

pytestmark = pytest.mark.timeout(1800)


def test_nothing_is_lost_or_done_twice_when_every_process_is_killed_again_and_again(tmp_path: Path) -> None:
    report = airback("chaos", "--minutes", "1", data=tmp_path, timeout_s=900)
    assert (report["lost"], report["double"], report["violations"]) == (0, 0, 0), report
    assert set(report["kills"]) == {"worker", "api", "sandbox", "postgres"}
    assert all(report["kills"].values()), report["kills"]
    assert report["orders"] > 0
    assert "internal" not in report["refused"]
    assert left_over(tmp_path) == []
    report = airback("verify", data=tmp_path)
    assert report["violations"] == 0
