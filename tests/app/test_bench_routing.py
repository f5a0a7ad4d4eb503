"""The routing bench in small: what it measures is what it says."""

import pytest

from airback.app.bench import routing


def test_the_bench_says_what_it_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "ORDERS", 600)
    monkeypatch.setattr(routing, "OUTLETS", 12)
    seen: list[str] = []
    report = routing.bench(seed=2, progress=lambda name, done, of: seen.append(name))
    assert set(seen) == {"online", "allocation", "bound"}
    assert report["allocation"]["worth_fen"] >= report["allocation"]["online_fen"] > 0
    assert report["allocation"]["worth_fen"] <= report["allocation"]["bound_fen"]
    assert 0 <= report["allocation_gap_ppm"] <= report["online_gap_ppm"]
    assert report["online_per_s"] > 0
    assert 0 < report["online"]["routed"] <= 600


def test_a_seed_draws_the_same_orders_and_no_two_are_alike() -> None:
    one = routing.bulk(2_000, routing.Random(7))
    assert one == routing.bulk(2_000, routing.Random(7))
    assert len({order.face_fen for order in one}) == 2_000
