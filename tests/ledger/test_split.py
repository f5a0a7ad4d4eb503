"""Splitting proceeds: the parts always sum to the whole, the seller is never touched, and what an agreement may say."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airback.domain.money import PPM
from airback.domain.refusals import Refused
from airback.ledger.accounts import account
from airback.ledger.margin import BOOKED, REBATE, account_of, line_of
from airback.ledger.split import (
    BASES,
    NAMED,
    Agreement,
    Kind,
    Rounding,
    Share,
    check_scope,
    deductions,
    in_force,
    parse_shares,
    payable_account,
    split,
)
from airback.staff.actions import BOOKED as NAMES

SHARES = st.lists(
    st.builds(
        lambda kind, n, base, ppm, fixed, rounding: Share(
            kind, f"p{n}" if kind in NAMED else "", base if ppm else "", ppm, None if ppm else fixed, rounding
        ),
        st.sampled_from(Kind),
        st.integers(0, 99),
        st.sampled_from([*BASES, "line:vat", "line:unknown"]),
        st.one_of(st.none(), st.integers(1, PPM)),
        st.integers(1, 5_000),
        st.sampled_from(Rounding),
    ),
    max_size=8,
)


@given(
    SHARES, st.integers(0, 10**6), st.integers(-(10**6), 10**6), st.integers(1, 10**9), st.integers(0, 10**6)
)
def test_the_parts_and_the_operators_rest_sum_to_fee_and_spread(
    shares: list[Share], fee_fen: int, spread_fen: int, face_fen: int, vat_fen: int
) -> None:
    found = split(
        shares,
        fee_fen=fee_fen,
        spread_fen=spread_fen,
        face_fen=face_fen,
        net_fen=face_fen * 9 // 10,
        lines={"vat": vat_fen},
    )
    whole = max(0, fee_fen + spread_fen)
    assert sum(part.amount_fen for part in found.parts) + found.platform_fen == whole
    assert found.platform_fen >= 0 and all(
        part.amount_fen >= 0 and part.short_fen >= 0 for part in found.parts
    )
    # whoever comes later is short only when nothing is left
    for part in found.parts:
        if part.short_fen:
            assert found.platform_fen == 0


@given(st.integers(0, 10**6), st.integers(1, PPM))
def test_roundings_lie_within_one_fen_of_each_other(fee_fen: int, share_ppm: int) -> None:
    down, half, up = (
        Share(Kind.AGENT, "a", "fee", share_ppm, None, rounding).wants_fen({"fee": fee_fen})
        for rounding in (Rounding.DOWN, Rounding.HALF_UP, Rounding.UP)
    )
    assert down <= half <= up <= down + 1


def test_a_tax_on_the_quote_goes_where_the_quote_said() -> None:
    quote = {
        "components": [
            {"name": "base", "amount_fen": 9_000},
            {"name": "fee", "amount_fen": -300},
            {"name": "vat", "amount_fen": -90},
        ]
    }
    assert deductions(quote) == {"fee": 300, "vat": 90}
    (tax,) = parse_shares(document({"kind": "tax", "base": "line:vat", "share_ppm": PPM}))
    found = split([tax], fee_fen=390, spread_fen=20, face_fen=10_000, net_fen=8_610, lines=deductions(quote))
    assert found.parts[0].amount_fen == 90 and found.platform_fen == 320
    assert tax.account == "tax_withheld"


def document(*shares: dict[str, Any], **over: Any) -> dict[str, Any]:
    return {"title": "分成", "source": "合同 1", "shares": list(shares), **over}


GOOD = {"kind": "referrer", "party": "li-si", "base": "platform", "share_ppm": 100_000}


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in GOOD.items() if name != key}


@pytest.mark.parametrize(
    ("given_document", "code", "field"),
    [
        ("no document", "field_invalid", "document"),
        ({"title": "x", "shares": []}, "field_missing", "source"),
        (document(source="  "), "field_invalid", "source"),
        (document(colour="red"), "field_invalid", "colour"),
        ({"title": "x", "source": "y"}, "field_missing", "shares"),
        (document(*[GOOD] * 21), "field_invalid", "shares"),
        (document(without("kind")), "field_missing", "shares[1].kind"),
        (document(GOOD | {"kind": "friend"}), "field_invalid", "shares[1].kind"),
        (document(without("party")), "field_invalid", "shares[1].party"),
        (document(GOOD | {"party": "Li Si"}), "field_invalid", "shares[1].party"),
        (document(GOOD | {"kind": "reserve"}), "field_invalid", "shares[1].party"),
        (document(without("share_ppm")), "field_missing", "shares[1].share_ppm"),
        (document(GOOD | {"share_ppm": 0}), "field_invalid", "shares[1].share_ppm"),
        (document(GOOD | {"share_ppm": 0.1}), "field_invalid", "shares[1].share_ppm"),
        (document(GOOD | {"fixed_fen": 5}), "field_invalid", "shares[1].fixed_fen"),
        (document(GOOD | {"base": "moon"}), "field_invalid", "shares[1].base"),
        (document(GOOD | {"rounding": "sideways"}), "field_invalid", "shares[1].rounding"),
        (document(GOOD | {"odd": 1}), "field_invalid", "shares[1].odd"),
        (document(GOOD, {"kind": "tax", "fixed_fen": 5}), "split_order", "shares[2].kind"),
        (document(GOOD, GOOD), "split_repeated", "shares[2].party"),
        (
            document(GOOD | {"share_ppm": 600_000}, GOOD | {"kind": "agent", "share_ppm": 400_001}),
            "split_above_whole",
            "shares[2].share_ppm",
        ),
    ],
)
def test_what_no_agreement_may_say_is_refused_by_name(given_document: Any, code: str, field: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_shares(given_document)
    assert (refused.value.code, refused.value.field) == (code, field)


def test_every_kind_has_an_account_of_the_chart() -> None:
    for kind in Kind:
        share = Share(kind, "a" if kind in NAMED else "", "fee", 1, None, Rounding.DOWN)
        assert account(share.account).side == "credit" and payable_account(share.account)
        assert account(f"shared:{kind}").side == "debit"
    for code in ("party:", "party:A", "fee", "reserve:x", "payable:7"):
        assert not payable_account(code)


def test_what_may_be_booked_by_hand_has_an_account_a_line_and_a_name() -> None:
    assert set(BOOKED) == set(NAMES)
    for line in BOOKED:
        code = account_of(line, "cmcc" if line == REBATE else None)
        head, _, part = code.partition(":")
        assert account(code) and line_of(account=head, part=part, at_credit=False) == line


def at(hour: int) -> datetime:
    return datetime(2026, 11, 2, hour, tzinfo=UTC)


def test_the_clients_own_agreement_comes_before_the_channels_and_an_empty_one_ends_it() -> None:
    shares = parse_shares(document(GOOD))
    agreements = {
        "client:acme": [Agreement(1, "client:acme", at(3), shares), Agreement(3, "client:acme", at(9), ())],
        "channel:files": [Agreement(2, "channel:files", at(1), shares)],
    }

    def standing(client: str, hour: int, *, files: bool = True) -> int | None:
        found = in_force(agreements, client=client, files=files, at=at(hour))
        return None if found is None else found.version

    assert standing("acme", 2) == 2  # its own had not begun
    assert standing("acme", 3) == 1
    assert standing("acme", 9) is None  # ended: the channel's does not come back for it
    assert standing("web", 0) is None and standing("web", 1) == 2
    assert standing("web", 5, files=False) is None


@pytest.mark.parametrize("scope", ["acme", "client:", "client:A", "channel:street", None, "client:a\n"])
def test_a_scope_that_names_nobody_is_refused(scope: Any) -> None:
    with pytest.raises(Refused) as refused:
        check_scope(scope)
    assert (refused.value.code, refused.value.field) == ("field_invalid", "scope")
