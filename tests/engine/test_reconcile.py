"""A statement against the book: imported once, matched, its differences kept as work, resolved by two people."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from airback.domain import ids
from airback.domain.effects import Kind
from airback.domain.ports.carrier import StatementLine
from airback.domain.refusals import Refused
from airback.engine import propose
from airback.engine.import_statement import Result, import_statement
from airback.queries.daily_close import Clearing, clearing
from airback.queries.verify import verify
from airback.reconciliation import own_csv
from airback.reconciliation.reading import read_statement
from airback.reconciliation.rows import CHINA, Period, from_lines
from airback.staff.actions import ACTIONS
from airback.store import statements
from airback.store.statements import Break
from tests.engine.conftest import street
from tests.engine.street import BOOK, Street

__all__ = ["street"]

DAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 4, tzinfo=UTC)
NEXT_MORNING = NOON + timedelta(hours=20)
RAIL = "rail:alipay"
FACES = (5_000, 10_000, 20_000)


async def sold(street: Street, count: int = 2, *, at: datetime = NOON) -> list[StatementLine]:
    """So many orders sold and paid at that time; what the rail's statement lists of them, by amount."""
    asks = [street.ask_card(street.card("ctcc", FACES[n]), seller=f"s{n}") for n in range(count)]
    await street.sell(*asks)
    assert await street.settle() == {"closed": count}
    for table, column in (("effects", "at"), ("effect_results", "at"), ("transfers", "event_at")):
        await street.pool.execute(f"UPDATE {table} SET {column} = $1", at)
    lines = [replace(line, at=at) for line in street.rails["alipay"].lines]
    return sorted(lines, key=lambda line: line.amount_fen)


async def bring(
    street: Street,
    lines: Sequence[StatementLine],
    *,
    day: date = DAY,
    far_side: str = RAIL,
    now: datetime = NEXT_MORNING,
) -> Result:
    """Import these lines as a file of that day, and let the writer fold it in."""
    content = own_csv.write(from_lines(lines), period=Period.of_day(day))
    async with street.pool.acquire() as conn:
        result = await import_statement(
            conn,
            book=BOOK,
            far_side=far_side,
            statement=read_statement(content, day=day),
            sha256=hashlib.sha256(content).digest(),
            by="test",
            now=now,
            entropy=secrets.token_bytes,
        )
    for account in await close_all(street):  # before the writer has posted it as well as after
        assert account.unexplained_fen == 0, account
    await street.settle()
    return result


async def breaks(street: Street, **over: Any) -> list[Break]:
    async with street.pool.acquire() as conn:
        return await statements.list_breaks(conn, book=BOOK, **{"open_only": False, **over})


async def close_all(street: Street) -> list[Clearing]:
    async with street.pool.acquire() as conn:
        return await clearing(conn, book=BOOK)


async def close(street: Street) -> Clearing:
    (found,) = await close_all(street)
    return found


async def resolve(street: Street, found: Break, correction: str) -> None:
    """Two people resolve a break, and the writer executes it."""
    document = {"break": ids.public("brk", found.id), "correction": correction}
    before = {"break": document["break"], "left_fen": found.left_fen, "state": found.state}
    now = datetime.now(UTC)
    async with street.pool.acquire() as conn:
        proposal = await propose.propose(
            conn, book=BOOK, action="reconciliation:break:resolve", subject=document["break"], before=before,
            after=document, reason="核对无误", by="wang", roles=["finance"], now=now, entropy=secrets.token_bytes,
        )  # fmt: skip
        await propose.decide(
            conn, book=BOOK, proposal=proposal, decision="approved", reason="同意", by="liu", roles=["compliance"], now=now,
        )  # fmt: skip
    await street.settle()


async def violations(street: Street, *, but: str = "") -> dict[str, Any]:
    found = await verify(
        street.pool,
        book=BOOK,
        now=datetime.now(UTC),
        keys=street.keys,
        carriers=street.carriers,
        rails=street.rails,
    )
    return {name: each.found for name, each in found.items() if each.violations and name != but}


async def balance(street: Street, code: str) -> int:
    return int(
        await street.pool.fetchval(
            "SELECT coalesce(sum(debits_posted - credits_posted), 0)::bigint FROM accounts WHERE code = $1 AND asset = 'CNY'",
            code,
        )
    )


async def test_a_statement_that_agrees_settles_the_clearing_account_to_zero(street: Street) -> None:
    lines = await sold(street)
    paid = sum(line.amount_fen for line in lines)
    assert await close(street) == Clearing("clearing:alipay", paid, 0, 0, paid, 0)
    safe = await balance(street, "cash:safeguarded")
    result = await bring(street, lines)
    assert (result.already, result.statement.matched, result.statement.quarantined) == (False, 2, 0)
    assert await breaks(street) == []
    assert await close(street) == Clearing("clearing:alipay", 0, 0, 0, 0, 0)
    assert await balance(street, "cash:safeguarded") == safe - paid
    assert await violations(street) == {}


async def test_importing_the_same_file_again_changes_nothing(street: Street) -> None:
    lines = await sold(street)
    first = await bring(street, lines[:1])
    before = [
        await street.pool.fetch(f"SELECT * FROM {t} ORDER BY 1, 2, 3")
        for t in ("breaks", "transfers", "events")
    ]
    again = await bring(street, lines[:1], now=NEXT_MORNING + timedelta(hours=1))
    after = [
        await street.pool.fetch(f"SELECT * FROM {t} ORDER BY 1, 2, 3")
        for t in ("breaks", "transfers", "events")
    ]
    assert again.already and again.statement == first.statement
    assert before == after


async def test_another_file_of_a_day_that_is_in_is_refused(street: Street) -> None:
    lines = await sold(street)
    await bring(street, lines)
    with pytest.raises(Refused) as refused:
        await bring(street, lines[:1])
    assert refused.value.code == "statement_day_taken"


async def test_differences_become_work_with_an_owner_a_due_time_and_what_they_leave(street: Street) -> None:
    lines = await sold(street, 3)
    stranger = StatementLine("Z" * 26, Kind.PAY, 777, "far", NOON)
    told = [replace(lines[0], amount_fen=lines[0].amount_fen + 5), replace(lines[1], reversed=True), stranger]
    await bring(street, told)
    found = {each.explanation: each for each in await breaks(street)}
    assert {name: each.left_fen for name, each in found.items()} == {
        "amount": -5,
        "reversed": lines[1].amount_fen,
        "missing_there": lines[2].amount_fen,
        "missing_here": -777,
    }
    assert all(each.state == "open" and each.due_at > NEXT_MORNING and each.owner for each in found.values())
    standing = await close(street)
    assert (standing.open_breaks, standing.unexplained_fen) == (4, 0)
    assert standing.balance_fen == sum(each.left_fen for each in found.values()) != 0
    assert await street.pool.fetchval("SELECT count(*) FROM statement_rows WHERE code IS NULL") == 1


@pytest.mark.parametrize(
    ("correction", "account"), [("suspense", "suspense"), ("loss", "loss"), ("fee", "rail_cost")]
)
async def test_a_resolved_break_posts_its_correction_and_closes(
    street: Street, correction: str, account: str
) -> None:
    lines = await sold(street)
    extra = StatementLine("Z" * 26, Kind.PAY, 777, "far", NOON)
    street.rails["alipay"].lines.append(extra)
    street.rails["alipay"].lines.remove(
        next(x for x in street.rails["alipay"].lines if x.ref == lines[0].ref)
    )
    await bring(street, [lines[1], extra])
    was = await balance(street, account)
    for each in await breaks(street):
        await resolve(street, each, correction)
    assert {(each.state, each.correction) for each in await breaks(street)} == {("corrected", correction)}
    assert await balance(street, account) - was == 777 - lines[0].amount_fen
    assert await close(street) == Clearing("clearing:alipay", 0, 0, 0, 0, 0)
    assert await violations(street) == {}


async def test_a_break_is_corrected_once_however_often_it_is_approved(street: Street) -> None:
    lines = await sold(street)
    await bring(street, lines[:1])
    (found,) = await breaks(street)
    await resolve(street, found, "suspense")
    await resolve(street, found, "loss")
    assert await balance(street, "suspense") == -lines[1].amount_fen
    assert await balance(street, "loss") == 0


async def test_timing_closes_when_the_next_day_lists_it_and_is_renamed_when_not(street: Street) -> None:
    late = Period.of_day(DAY).until - timedelta(seconds=30)
    lines = await sold(street, at=late)
    await bring(street, [])
    assert {each.explanation for each in await breaks(street)} == {"timing"}
    tomorrow = DAY + timedelta(days=1)
    await bring(
        street,
        [replace(lines[0], at=late + timedelta(seconds=60))],
        day=tomorrow,
        now=NEXT_MORNING + timedelta(days=1),
    )
    found = {each.reference: each for each in await breaks(street)}
    assert found[lines[0].ref].state == "matched"
    assert (found[lines[1].ref].state, found[lines[1].ref].explanation) == ("open", "missing_there")
    assert found[lines[1].ref].owner == "operations"
    standing = await close(street)
    assert (standing.balance_fen, standing.open_fen, standing.unexplained_fen) == (
        lines[1].amount_fen,
    ) * 2 + (0,)


async def test_what_yesterday_had_and_today_lists_again_is_duplicate(street: Street) -> None:
    lines = await sold(street)
    await bring(street, lines)
    again = replace(lines[0], at=NOON + timedelta(days=1))
    await bring(street, [again], day=DAY + timedelta(days=1))
    (found,) = await breaks(street)
    assert (found.explanation, found.left_fen) == ("duplicate", -lines[0].amount_fen)
    assert (await close(street)).unexplained_fen == 0


async def test_a_carriers_statement_touches_no_cash_and_is_corrected_in_airtime(street: Street) -> None:
    await sold(street)
    lines = [replace(line, at=NOON) for line in street.carriers["ctcc"].lines]
    safe = await balance(street, "cash:safeguarded")
    await bring(street, lines[1:], far_side="carrier:ctcc")
    (found,) = await breaks(street)
    assert found.explanation == "missing_there"
    await resolve(street, found, "suspense")
    assert await balance(street, "cash:safeguarded") == safe
    airtime = await street.pool.fetchval(
        "SELECT debits_posted FROM accounts WHERE code = 'suspense' AND asset = 'ctcc.card'"
    )
    assert airtime == lines[0].amount_fen


async def test_an_outlets_fills_lie_beside_its_own_account_and_are_corrected_on_its_deposit(
    street: Street,
) -> None:
    day = datetime.now(CHINA).date()
    noon = Period.of_day(day).since + timedelta(hours=12)
    await sold(street, 3, at=noon)
    fills = await street.pool.fetch("SELECT id, pays_fen FROM fills WHERE outlet = 'shop' ORDER BY face_fen")
    lines = [StatementLine(ids.public("fil", f["id"]), Kind.TRANSFER, f["pays_fen"], "", noon) for f in fills]
    assert [line.amount_fen for line in lines] == [4_900, 9_800, 19_600]
    stranger = StatementLine("fil_0AM863TE8WXD7", Kind.TRANSFER, 700, "", noon)
    less = replace(lines[1], amount_fen=9_000)
    result = await bring(
        street, [lines[0], less, stranger], day=day, far_side="outlet:shop", now=noon + timedelta(days=1)
    )
    assert result.statement.matched == 1
    found = {each.explanation: each for each in await breaks(street)}
    assert {name: each.left_fen for name, each in found.items()} == {
        "amount": 800,
        "missing_there": 19_600,
        "missing_here": -700,
    }
    safe, deposit = await balance(street, "cash:safeguarded"), await balance(street, "deposit:shop")
    await resolve(street, found["amount"], "loss")
    assert await balance(street, "deposit:shop") == deposit - 800  # a credit account: it holds 800 more
    assert await balance(street, "cash:safeguarded") == safe + 800  # and is covered
    await resolve(street, found["missing_here"], "suspense")
    assert await balance(street, "deposit:shop") == deposit - 100
    assert (await balance(street, "loss"), await balance(street, "suspense")) == (800, -700)
    assert await balance(street, "cash:safeguarded") == safe + 100
    await resolve(street, found["missing_there"], "nothing")
    assert {each.state for each in await breaks(street)} == {"corrected"}
    assert await violations(street) == {}


async def test_a_fill_that_is_still_on_its_way_is_timing_until_the_next_day_has_it(street: Street) -> None:
    day = datetime.now(CHINA).date()
    noon = Period.of_day(day).since + timedelta(hours=12)
    await sold(street, 1, at=noon)
    (fill,) = await street.pool.fetch("SELECT id, pays_fen FROM fills")
    line = StatementLine(ids.public("fil", fill["id"]), Kind.TRANSFER, fill["pays_fen"], "", noon)
    await street.pool.execute("UPDATE fills SET state = 'delivering'")
    await bring(street, [line], day=day, far_side="outlet:shop", now=noon + timedelta(days=1))
    assert [each.explanation for each in await breaks(street)] == ["timing"]
    await street.pool.execute("UPDATE fills SET state = 'delivered'")
    following = day + timedelta(days=1)
    await bring(street, [], day=following, far_side="outlet:shop", now=noon + timedelta(days=2))
    assert [each.state for each in await breaks(street)] == ["matched"]


async def test_quarantined_rows_are_kept_and_their_other_halves_are_not_called_missing(
    street: Street,
) -> None:
    lines = await sold(street)
    content = own_csv.write(from_lines(lines)).replace(b",pay,", b",=pay,", 1)
    async with street.pool.acquire() as conn:
        result = await import_statement(
            conn, book=BOOK, far_side=RAIL, statement=read_statement(content, day=DAY), sha256=b"x" * 32, by="test",
            now=NEXT_MORNING, entropy=secrets.token_bytes,
        )  # fmt: skip
    assert result.matching is not None and result.matching.held == 1
    assert await breaks(street) == []
    row = await street.pool.fetchrow("SELECT n, code, field FROM statement_rows")
    assert tuple(row) == (1, "formula_cell", "kind")


async def test_one_person_cannot_resolve_a_break() -> None:
    action = ACTIONS["reconciliation:break:resolve"]
    assert action.propose != action.approve
    assert {"state", "left_fen"} == action.compared
