"""Live quotes: what one process counts, and what several make of it together."""

from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airback.domain.refusals import Refused
from airback.pricing import exposure
from airback.pricing.exposure import SPAN_S, Exposure, Limits

NOW = 1_793_592_000  # a whole number of spans
UNTIL = NOW + 600
LIMITS = Limits(seller_fen=100_000, person_fen=20_000, times=3, carrier_least_fen=150_000, client_ppm=500_000)


def sold(
    seller: str = "acme/user-1", carrier: str = "cmcc", fen: int = 10_000, **more: Any
) -> dict[str, Any]:
    client = seller.partition("/")[0]
    return {
        "client": client,
        "seller": seller,
        "carrier": carrier,
        "face_fen": fen,
        "until_s": UNTIL,
    } | more


def code_of(desk: Exposure, *, now_s: int = NOW, **quote: Any) -> Refused | None:
    try:
        desk.take(**quote, now_s=now_s)
    except Refused as refused:
        assert refused.code == "exposure_full"
        return refused
    return None


def share(processes: list[Exposure], *, now_s: int, rows: dict[tuple[int, str, int], int]) -> None:
    """What `airback.store.exposure.share` does, without a database: all publish, then all learn."""
    for n, process in enumerate(processes):
        changes = process.changes(now_s=now_s)
        rows |= {(n, row.subject, row.until_s): row.fen for row in changes}
        process.published(changes)
    for n, process in enumerate(processes):
        others: dict[str, int] = {}
        for (m, subject, until_s), fen in rows.items():
            if m != n and until_s > now_s:
                others[subject] = others.get(subject, 0) + fen
        process.learn(others=others, rooms={"": 0})


def test_a_seller_is_full_until_a_quote_is_used_or_expires() -> None:
    desk = Exposure(LIMITS)
    for _ in range(10):
        assert code_of(desk, **sold()) is None
    full = code_of(desk, **sold())
    assert full is not None
    assert (full.field, full.retry_after_s) == ("seller_ref", 600)
    assert "1000.00" in full.refusal.remedy_zh
    assert "1000.00" in full.refusal.remedy_en
    assert code_of(desk, **sold("acme/user-2")) is None  # nobody else is held up
    desk.used(**sold())
    assert code_of(desk, **sold()) is None
    assert code_of(desk, **sold(), now_s=UNTIL - 1) is not None
    assert code_of(desk, **sold(until_s=UNTIL + 600), now_s=UNTIL) is None
    assert desk.live_fen("seller:acme/user-1", now_s=UNTIL) == 10_000


def test_a_refused_quote_counts_nothing() -> None:
    desk = Exposure(LIMITS)
    desk.learn(others={}, rooms={"": 0})
    assert code_of(desk, **sold(fen=75_001)) is not None  # above half of the carrier's room
    assert desk.live_fen("seller:acme/user-1", now_s=NOW) == 0
    assert desk.live_fen("carrier:cmcc", now_s=NOW) == 0


def test_people_have_a_limit_of_their_own() -> None:
    desk = Exposure(LIMITS)
    assert code_of(desk, **sold("web/13800138000", fen=20_000)) is None
    assert code_of(desk, **sold("web/13800138000", fen=1)) is not None
    assert code_of(desk, **sold("webshop/1", fen=20_001)) is None


def test_nothing_known_of_outlets_leaves_carriers_uncapped() -> None:
    desk = Exposure(LIMITS)
    for n in range(50):
        assert code_of(desk, **sold(f"acme/user-{n}", fen=100_000)) is None
    desk.learn(others={}, rooms={"": 0, "cmcc": 10})
    assert code_of(desk, **sold("rival/1")) is not None
    assert code_of(desk, **sold("rival/1", carrier="cbn")) is None


def test_a_carrier_takes_some_times_what_is_wanted_and_one_client_half_of_that() -> None:
    desk = Exposure(LIMITS)
    desk.learn(others={}, rooms={"": 0, "cmcc": 100_000})
    assert desk.room_fen("cmcc") == 300_000
    assert desk.room_fen("ctcc") == 150_000  # the least
    assert code_of(desk, **sold("acme/1", fen=100_000)) is None
    assert code_of(desk, **sold("acme/2", fen=50_000)) is None
    greedy = code_of(desk, **sold("acme/3", fen=1))
    assert greedy is not None
    assert greedy.field == "carrier"
    assert code_of(desk, **sold("rival/1", fen=100_000)) is None  # one client cannot shut the others out
    assert code_of(desk, **sold("third/1", fen=50_000)) is None
    last = code_of(desk, **sold("fourth/1", fen=1))
    assert last is not None
    assert not any(figure in last.refusal.remedy_en for figure in ("3000", "300000"))


def test_what_another_process_signed_and_saw_used_counts_here() -> None:
    first, second = processes = [Exposure(LIMITS), Exposure(LIMITS)]
    rows: dict[tuple[int, str, int], int] = {}
    share(processes, now_s=NOW, rows=rows)
    assert code_of(first, **sold(fen=70_000)) is None
    share(processes, now_s=NOW + 3, rows=rows)
    assert code_of(second, **sold(fen=30_001), now_s=NOW + 3) is not None
    second.used(**sold(fen=70_000))  # signed there, sold here
    share(processes, now_s=NOW + 6, rows=rows)
    assert code_of(first, **sold(fen=70_000), now_s=NOW + 6) is None
    share(processes, now_s=UNTIL + SPAN_S, rows=rows)
    assert [one.live_fen("seller:acme/user-1", now_s=UNTIL + SPAN_S) for one in processes] == [0, 0]


def test_small_sellers_are_not_published_and_what_expired_is_forgotten() -> None:
    desk = Exposure(LIMITS)
    desk.take(**sold(fen=1_000), now_s=NOW)
    assert [row.subject for row in desk.changes(now_s=NOW)] == ["carrier:cmcc", "client:cmcc:acme"]
    desk.take(**sold(fen=9_000), now_s=NOW)
    rows = desk.changes(now_s=NOW)
    assert rows[0].subject.startswith(("seller:", "carrier:", "client:"))
    assert {row.subject: row.fen for row in rows} == dict.fromkeys(
        ("seller:acme/user-1", "carrier:cmcc", "client:cmcc:acme"), 10_000
    )
    desk.published(rows)
    assert desk.changes(now_s=NOW) == []
    assert desk.changes(now_s=UNTIL) == []
    assert desk._live == {} == desk._published


@pytest.mark.parametrize("count", [1, 3])
@given(data=st.data())
def test_all_processes_together_know_what_is_live(count: int, data: st.DataObject) -> None:
    """Whichever process signs and whichever sees a quote used: once they have told each other, each knows the model's sum,
    and while they tell each other between any two acts nobody goes above the limit."""
    processes = [Exposure(Limits(seller_fen=50_000)) for _ in range(count)]
    rows: dict[tuple[int, str, int], int] = {}
    live: list[dict[str, Any]] = []
    now_s = NOW
    for _ in range(data.draw(st.integers(1, 25))):
        process = processes[data.draw(st.integers(0, count - 1))]
        act = data.draw(st.sampled_from(["take", "take", "use", "wait"]))
        if act == "take":
            until_s = now_s + data.draw(st.integers(1, 6)) * SPAN_S
            quote = sold(fen=data.draw(st.integers(1, 30_000)), until_s=until_s)
            if code_of(process, **quote, now_s=now_s) is None:
                live.append(quote)
            else:
                assert sum(one["face_fen"] for one in live) + quote["face_fen"] > 50_000
        elif act == "use" and live:
            process.used(**live.pop(data.draw(st.integers(0, len(live) - 1))))
        else:
            now_s += data.draw(st.integers(0, 2)) * SPAN_S
            live = [one for one in live if one["until_s"] > now_s]
        with mock.patch.object(exposure, "_SMALL", 10**9):  # every seller is published
            share(processes, now_s=now_s, rows=rows)
        total_fen = sum(one["face_fen"] for one in live)
        assert total_fen <= 50_000
        assert {one.live_fen("seller:acme/user-1", now_s=now_s) for one in processes} == {total_fen}
