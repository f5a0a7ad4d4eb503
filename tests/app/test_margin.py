"""`airback margin`, and the settings that margin and index have."""

import json
from pathlib import Path

import pytest

from airback.app.settings import read
from airback.cli.main import main
from airback.domain.refusals import Refused
from airback.ledger.margin import LINE_KEYS
from airback.pricing.exposure import Limits


def test_the_command_tells_a_period_that_had_nothing(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRBACK_DATABASE_URL", database_url)
    monkeypatch.setenv("AIRBACK_BAD_DEBT_PPM", "31000")
    with pytest.raises(SystemExit) as ended:
        main(["margin", "--days", "7", "--by", "outlet", "--json", "--data", str(tmp_path / "data")])
    assert ended.value.code == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["by"] == "outlet" and found["bad_debt_ppm"] == 31_000 and found["segments"] == []
    assert [line["line"] for line in found["whole"]["lines"]] == list(LINE_KEYS)
    assert {line["amount_fen"] for line in found["whole"]["lines"]} == {None}
    assert found["whole"]["margin_fen"] == 0 and found["whole"]["margin_of_face_ppm"] is None


def test_more_than_a_year_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["margin", "--days", "367", "--data", str(tmp_path / "data")])
    assert ended.value.code == 1
    assert "period_invalid" in capsys.readouterr().err.replace("\n", "")


def test_the_operators_own_figures_are_read_from_the_environment() -> None:
    settings = read(environment={"AIRBACK_BAD_DEBT_PPM": "0", "AIRBACK_INDEX_SELLERS": "25"})
    assert settings.bad_debt_ppm == 0 and settings.index_privacy.least_sellers == 25
    settings = read(environment={})
    assert settings.bad_debt_ppm == 25_000 and settings.index_privacy.least_sellers == 10


def test_the_limits_of_live_quotes_are_read_from_the_environment() -> None:
    told = {
        "AIRBACK_SELLER_EXPOSURE_YUAN": "1000",
        "AIRBACK_PERSON_EXPOSURE_YUAN": "200",
        "AIRBACK_CARRIER_EXPOSURE_YUAN": "5000",
        "AIRBACK_EXPOSURE_TIMES": "2",
        "AIRBACK_CLIENT_EXPOSURE_PPM": "250000",
    }
    assert read(environment=told).exposure == Limits(100_000, 20_000, 2, 500_000, 250_000)
    assert read(environment={}).exposure == Limits()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AIRBACK_BAD_DEBT_PPM", "2.5%"),
        ("AIRBACK_BAD_DEBT_PPM", "1000001"),
        ("AIRBACK_BAD_DEBT_PPM", "٢"),
        ("AIRBACK_INDEX_SELLERS", "2"),
        ("AIRBACK_INDEX_SELLERS", "many"),
        ("AIRBACK_SELLER_EXPOSURE_YUAN", "0"),
        ("AIRBACK_PERSON_EXPOSURE_YUAN", "-1"),
        ("AIRBACK_CARRIER_EXPOSURE_YUAN", "1e6"),
        ("AIRBACK_EXPOSURE_TIMES", "1001"),
        ("AIRBACK_CLIENT_EXPOSURE_PPM", "1000001"),
    ],
)
def test_a_figure_out_of_its_range_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(Refused) as refused:
        read(environment={name: value})
    assert (refused.value.code, refused.value.field) == ("field_invalid", name)
