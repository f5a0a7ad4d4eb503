"""persist: everything a batch decided, in one transaction of set-based statements that begins with the fence."""

from typing import Any, Final

import msgspec

from airback.domain.effects import FINAL as FINAL_RESULTS
from airback.engine import outlets
from airback.engine.batch import Batch
from airback.market.matching import Demand
from airback.orders.intake import quote_fingerprint
from airback.orders.states import FINAL
from airback.store import intake, offers, price_caps
from airback.store.named_sql import load

SQL: Final = load("persist.sql", package="airback.engine")


class Fenced(Exception):
    """Another worker has taken the book: this one stops and forgets what it held in memory."""


class RowMissing(Exception):
    """A row that the batch changes is not there: somebody else has changed or removed what one writer owns."""


async def persist(conn: Any, batch: Batch) -> None:
    """Write the batch. Raises Fenced when the book's epoch is no longer the batch's; then nothing was written."""
    async with conn.transaction():
        await fence(conn, batch)
        await write(conn, batch)


async def fence(conn: Any, batch: Batch) -> None:
    """Begin a transaction that writes a batch. Raises Fenced."""
    row = await conn.fetchrow(SQL.fence, batch.book)
    if row is None or row["epoch"] != batch.epoch:
        raise Fenced(f"book {batch.book} was taken over")
    # Sending is off only after a restore, and is on again with buying.
    batch.sending = row["sending"] or batch.switches.get("routing", (False, None))[0]


async def write(conn: Any, batch: Batch) -> None:
    """Write what was decided, behind the fence."""
    if batch.met:
        await _met(conn, batch)
    await _orders(conn, batch)
    await _market(conn, batch)
    await _effects(conn, batch)
    await _payouts(conn, batch)
    await _ledger(conn, batch)
    await _log(conn, batch)
    await _decisions(conn, batch)
    if batch.letters:
        await conn.execute(SQL.delete_letters, batch.book, batch.letters)


async def _met(conn: Any, batch: Batch) -> None:
    """Offers become orders; their quotes are nobody else's to use."""
    claims = [intake.Claim(intake.QUOTE, quote_fingerprint(one.quote_id), one.order.id) for one in batch.met]
    await intake.own_new_quotes(conn, book=batch.book, claims=claims)
    for client in sorted({one.client for one in batch.met}):
        new = [one.order for one in batch.met if one.client == client]
        placed = await intake.place_orders(conn, book=batch.book, client=client, orders=new, at=batch.now)
        if len(placed) != len(new):
            raise RowMissing(f"{len(placed)} of {len(new)} orders placed")
    pairs = [(one.offer_id, one.order.id) for one in batch.met]
    if not await offers.meet(conn, book=batch.book, now=batch.now, orders=pairs):
        raise RowMissing("an offer rested no more")


async def _orders(conn: Any, batch: Batch) -> None:
    changed = [order for order in batch.orders.values() if order.changed]
    if changed:
        columns = zip(
            *(
                (
                    o.id,
                    str(o.state),
                    o.resume,
                    o.code,
                    msgspec.json.encode(o.quote).decode() if o.requoted else None,
                    o.net_fen,
                    o.rail,
                    o.payee,
                    o.product == "card" and (o.card_code is None or o.state in FINAL),
                    o.hold_ref,
                    o.hold_far_ref,
                    o.held_fen,
                    o.delivered_fen,
                    o.credited_fen,
                    o.paid_fen,
                    o.attempts,
                    o.cancel,
                    o.delivered_at,
                    o.final_at,
                    o.closed_at,
                    msgspec.json.encode(o.first_quote).decode() if o.requoted else None,
                )
                for o in changed
            ),
            strict=True,
        )
        await _every(conn, SQL.update_orders, batch.book, batch.now, *map(list, columns))
    due = [(o.id, o.due_at) for o in changed if o.due_at is not None and o.state not in FINAL]
    if due:
        await conn.execute(SQL.update_work, batch.book, [d[0] for d in due], [d[1] for d in due])
    ended = [o.id for o in changed if o.state in FINAL]
    if ended:
        await conn.execute(SQL.delete_work, batch.book, ended)
    if batch.claims_kept:
        await conn.execute(SQL.keep_claims, batch.book, batch.claims_kept)
    if batch.claims_freed:
        await conn.execute(SQL.free_claims, batch.book, batch.claims_freed)
    new = [f for f in batch.all_fills() if f.new]
    if new:
        rows = [
            (
                f.id,
                f.order_id,
                f.demand_id,
                f.outlet,
                f.number,
                f.face_fen,
                f.price_ppm,
                f.pays_fen,
                str(f.state),
                f.delivered_fen,
                msgspec.json.encode(f.routed).decode() if f.routed is not None else None,
            )
            for f in new
        ]
        await conn.execute(SQL.insert_fills, batch.book, batch.now, *_columns(rows))
    touched = [f for f in batch.all_fills() if f.changed and not f.new]
    if touched:
        changes = [(f.id, str(f.state), f.delivered_fen, f.pays_fen) for f in touched]
        await _every(conn, SQL.update_fills, batch.book, *_columns(changes))


async def _market(conn: Any, batch: Batch) -> None:
    changed: list[Demand] = list(batch.demands.changed.values())
    withdrawn = batch.demands.withdrawn
    still = [d for d in changed if d.open_fen > 0 and d.id not in withdrawn]
    gone = [d.id for d in changed if d.open_fen <= 0] + sorted(withdrawn)
    if withdrawn:
        await conn.execute(SQL.withdraw_demands, batch.book, sorted(withdrawn), batch.now)
    if still:
        await conn.execute(SQL.set_demands, batch.book, [d.id for d in still], [d.open_fen for d in still])
    if gone:
        await conn.execute(SQL.close_demands, batch.book, gone)
    kept = [batch.health[outlet] for outlet in sorted(batch.health_changed)]
    if kept:
        rows = [
            (
                h.outlet,
                str(h.state),
                h.since,
                h.until,
                h.rests,
                h.probe,
                h.probes_taken,
                h.window_at,
                h.taken,
                h.refused,
                h.taken_before,
                h.refused_before,
            )
            for h in kept
        ]
        await conn.execute(SQL.set_outlet_health, batch.book, *_columns(rows))


async def _effects(conn: Any, batch: Batch) -> None:
    if batch.effects:
        rows = [
            (
                e.id,
                str(e.kind),
                e.far_side,
                e.order_id,
                e.fill_id,
                e.payout_id,
                e.ref,
                e.amount_fen,
                e.sealed,
                e.send_by,
            )
            for e in batch.effects
        ]
        await conn.execute(SQL.insert_effects, batch.book, batch.epoch, batch.now, *_columns(rows))
        opened = [e for e in batch.effects if e.result not in FINAL_RESULTS]
        open_rows = [(e.id, str(e.result), e.asks, e.ask_at) for e in opened]
        await conn.execute(SQL.insert_open_effects, batch.book, batch.epoch, *_columns(open_rows))
    new = {e.id for e in batch.effects}
    touched = [e for e in batch.touched_effects.values() if e.id not in new]
    if touched:
        touched_rows = [(e.id, str(e.result), e.asks, e.ask_at) for e in touched]
        await conn.execute(SQL.update_open_effects, batch.book, batch.epoch, *_columns(touched_rows))
    if batch.final_effects:
        await conn.execute(SQL.delete_open_effects, batch.book, list(batch.final_effects))
    if batch.results:
        result_rows = [
            (
                r.effect_id,
                r.n,
                str(r.outcome.result),
                r.applied,
                r.outcome.code,
                r.outcome.far_ref,
                r.outcome.amount_fen,
                msgspec.json.encode(r.outcome.detail).decode(),
                msgspec.json.encode(r.outcome.exchanges).decode(),
            )
            for r in batch.results
        ]
        await conn.execute(SQL.insert_results, batch.book, batch.now, *_columns(result_rows))


async def _payouts(conn: Any, batch: Batch) -> None:
    new = [p for p in batch.payouts.values() if p.new]
    if new:
        rows = [(p.id, p.seller, p.rail, p.amount_fen, p.payee, str(p.state), p.code, p.far_ref) for p in new]
        await conn.execute(SQL.insert_payouts, batch.book, batch.now, *_columns(rows))
        shares = [(p.id, order_id, share) for p in new for order_id, share in p.orders.items()]
        await conn.execute(SQL.insert_payout_orders, batch.book, *_columns(shares))
    changed = [p for p in batch.payouts.values() if p.changed and not p.new]
    if changed:
        changed_rows = [(p.id, str(p.state), p.code, p.far_ref) for p in changed]
        await _every(conn, SQL.update_payouts, batch.book, batch.now, *_columns(changed_rows))


async def _ledger(conn: Any, batch: Batch) -> None:
    if not batch.transfers:
        return
    rows = [
        (
            t.subject,
            t.kind,
            t.leg,
            str(t.phase),
            t.debit.asset,
            t.debit.id,
            t.credit.id,
            t.amount_fen,
            t.order_id,
        )
        for t in batch.transfers
    ]
    await conn.execute(SQL.insert_transfers, batch.book, batch.now, *_columns(rows))
    deltas = sorted(batch.balances.deltas.values(), key=lambda delta: delta.account.id)
    fresh = [
        (d.account.id, d.account.code, d.account.asset, d.account.side, d.account.bounded) for d in deltas
    ]
    await conn.execute(SQL.insert_accounts, batch.book, *_columns(fresh))
    sums = [
        (
            d.account.id,
            d.debits_posted,
            d.credits_posted,
            d.debits_pending,
            d.credits_pending,
            d.overdrawn_fen,
        )
        for d in deltas
    ]
    await _every(conn, SQL.update_accounts, batch.book, *_columns(sums))


async def _log(conn: Any, batch: Batch) -> None:
    if batch.events:
        rows = [(e.seq, e.action, e.order_id, e.salt, e.body, e.leaf) for e in batch.events]
        await conn.execute(SQL.insert_events, batch.book, batch.now, *_columns(rows))
    if batch.receipts:
        documents = [msgspec.json.encode(document).decode() for document in batch.receipts.values()]
        await conn.execute(SQL.insert_receipts, batch.book, batch.now, list(batch.receipts), documents)
    if batch.corrections:
        correction_rows = [
            (c.id, c.order_id, c.effect_id, str(c.kind), str(c.bearer), c.amount_fen, c.claim_fen)
            for c in batch.corrections
        ]
        await conn.execute(SQL.insert_corrections, batch.book, batch.now, *_columns(correction_rows))
    if batch.corrections_settled:
        settled_rows = [
            (c.id, c.recovered_fen, c.written_off_fen, c.closed_at)
            for c in batch.corrections_settled.values()
        ]
        await conn.execute(SQL.settle_corrections, batch.book, *_columns(settled_rows))
    if batch.alarms:
        alarm_rows = [
            (batch.new_id(), a.kind, a.subject, msgspec.json.encode(a.detail).decode(), a.due_at)
            for a in batch.alarms
        ]
        await conn.execute(SQL.insert_alarms, batch.book, batch.now, *_columns(alarm_rows))
    if batch.alarms_closed:
        await conn.execute(SQL.close_alarms, batch.book, batch.now, *_columns(batch.alarms_closed))


async def _decisions(conn: Any, batch: Batch) -> None:
    if "routing" in batch.switches:
        await conn.execute(SQL.set_routing, batch.book, *batch.switches["routing"])
    for card in batch.rate_cards:
        await conn.execute(
            SQL.insert_rate_card,
            batch.book,
            card["document"],
            card["effective_at"],
            card["proposed_by"],
            card["approved_by"],
            batch.now,
            card["proposal"],
        )
    await outlets.keep(conn, batch)
    for cap in batch.caps:
        await conn.execute(
            price_caps.SQL.override_cap,
            batch.book,
            cap["promotion"],
            cap["most_ppm"],
            cap["per_seller_fen_per_day"],
            cap["overridden_by"],
            batch.now,
            cap["reason"],
        )
    if batch.resolved:
        await conn.execute(SQL.resolve_breaks, batch.book, batch.now, *_columns(batch.resolved))
    for agreed in batch.agreed:
        await conn.execute(SQL.insert_agreement, batch.book, *agreed.values(), batch.now)
    for booked in batch.booked:
        await conn.execute(SQL.insert_booking, batch.book, *booked.values(), batch.now)
    for licence in batch.licences:
        await conn.execute(
            SQL.insert_licence,
            batch.book,
            licence["number"],
            licence["issuer"],
            licence["capabilities"],
            licence["valid_from"],
            licence["valid_until"],
            licence["recorded_by"],
        )


async def _every(conn: Any, statement: str, *values: Any) -> None:
    """Change as many rows as there are ids: the last values are columns. Raises RowMissing when one is not there."""
    done = await conn.execute(statement, *values)
    if done != f"UPDATE {len(values[-1])}":
        raise RowMissing(f"{done} of {len(values[-1])}")


def _columns(rows: list[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
