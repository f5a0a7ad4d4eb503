"""Licences: what they allow, and when."""

from datetime import UTC, datetime, timedelta

import pytest

from airback.compliance.licences import (
    CAPABILITY_NAMES,
    LEGAL_FORMS,
    Capability,
    LegalForm,
    Licence,
    Standing,
    allowed,
    allows,
    check_record,
    require,
    standing,
)
from airback.domain.refusals import Refused

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def licence(*capabilities: str, begins: int = -10, ends: int = 400) -> Licence:
    return Licence(
        number="Z1",
        issuer="PBoC",
        capabilities=frozenset(capabilities),
        valid_from=NOW + timedelta(days=begins),
        valid_until=NOW + timedelta(days=ends),
        recorded_by="liu",
    )


def test_without_a_licence_nothing_is_allowed() -> None:
    assert allowed(licences=[], now=NOW) == frozenset()
    for capability in Capability:
        assert not allows(capability=capability, licences=[], now=NOW)


def test_a_licence_allows_what_it_names_and_nothing_else() -> None:
    held = [licence("stored_balance")]
    assert allows(capability="stored_balance", licences=held, now=NOW)
    assert not allows(capability="advance", licences=held, now=NOW)
    assert allowed(licences=held, now=NOW) == {"stored_balance"}


def test_a_licence_counts_from_its_first_instant_to_before_its_last() -> None:
    held = [licence("stored_balance", begins=0, ends=1)]
    assert allows(capability="stored_balance", licences=held, now=NOW)
    assert not allows(capability="stored_balance", licences=held, now=NOW - timedelta(microseconds=1))
    assert allows(capability="stored_balance", licences=held, now=NOW + timedelta(days=1, microseconds=-1))
    assert not allows(capability="stored_balance", licences=held, now=NOW + timedelta(days=1))


def test_what_is_no_capability_is_never_allowed() -> None:
    assert not allows(capability="everything", licences=[licence("everything")], now=NOW)


def test_a_missing_licence_is_refused_by_name() -> None:
    require(capability="stored_balance", licences=[licence("stored_balance")], now=NOW)
    with pytest.raises(Refused) as refused:
        require(capability="stored_balance", licences=[licence("stored_balance", ends=0)], now=NOW)
    assert refused.value.code == "licence_missing"


@pytest.mark.parametrize(
    ("begins", "ends", "expected"),
    [
        (1, 400, Standing.NOT_YET),
        (-1, 400, Standing.VALID),
        (-1, 90, Standing.ENDING),
        (-1, 91, Standing.VALID),
        (-9, 0, Standing.ENDED),
    ],
)
def test_a_licence_stands(begins: int, ends: int, expected: Standing) -> None:
    assert standing(licence=licence("advance", begins=begins, ends=ends), now=NOW) is expected


def test_every_legal_form_says_how_client_money_is_kept() -> None:
    assert set(LEGAL_FORMS) == set(LegalForm)
    for form in LEGAL_FORMS.values():
        assert form.safeguarding_zh and form.safeguarding_en
    assert not LEGAL_FORMS[LegalForm.OWN_ACCOUNT_MERCHANT].licensable
    assert set(CAPABILITY_NAMES) == set(Capability)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"number": " "}, "number"),
        ({"number": "x" * 81}, "number"),
        ({"issuer": ""}, "issuer"),
        ({"capabilities": []}, "capabilities"),
        ({"capabilities": ["everything"]}, "capabilities"),
        ({"valid_until": NOW}, "valid_until"),
    ],
)
def test_a_record_that_cannot_be_is_refused(change: dict[str, object], field: str) -> None:
    good = {
        "number": "Z1",
        "issuer": "PBoC",
        "capabilities": ["advance"],
        "valid_from": NOW,
        "valid_until": NOW + timedelta(days=1),
    }
    check_record(**good)  # type: ignore[arg-type]
    with pytest.raises(Refused) as refused:
        check_record(**{**good, **change})  # type: ignore[arg-type]
    assert refused.value.field == field
