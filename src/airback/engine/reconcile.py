"""reconcile: a statement settles its clearing account, and a break that two people resolved is corrected.

A rail's payment stands on `clearing:<rail>` from our side; the statement takes from it what really moved, its charges
too. What is left there is exactly the breaks that stand open and what no statement has covered yet. A carrier has no
clearing account: what it delivered stands on `delivered` of the asset, and a correction is made there. What an outlet
took was paid from its deposit, and is corrected there.
"""

from typing import Any, Final

from airback.domain import ids
from airback.domain.assets import airtime
from airback.engine.batch import Batch
from airback.engine.records import Letter, OpenBreak
from airback.ledger.accounts import Account, account, deposit, safeguarded
from airback.reconciliation.breaks import Correction

#: Where a correction goes; `nothing` posts nothing.
_AGAINST: Final = {Correction.FEE: "rail_cost", Correction.LOSS: "loss", Correction.SUSPENSE: "suspense"}


def settle_statement(batch: Batch, letter: Letter) -> None:
    """Post what a rail's statement says has moved; any statement is logged. Its own id names the posting, so folding it
    in again posts nothing new."""
    body = letter.body
    facts = {
        key: body[key]
        for key in ("far_side", "day", "sha256", "rows", "matched", "out_fen", "in_fen", "fee_fen")
        if key in body
    }
    batch.record("reconciliation:statement:imported", **facts)
    port, _, name = str(body["far_side"]).partition(":")
    if port != "rail":
        return
    clearing, statement = account(f"clearing:{name}"), int(body["statement"])
    for leg, (debit, credit, amount_fen) in enumerate(
        (
            (clearing, safeguarded(), int(body["out_fen"])),
            (safeguarded(), clearing, int(body["in_fen"])),
            (clearing, account("cash:own"), int(body["fee_fen"])),
        )
    ):
        batch.post("settle", subject=statement, debit=debit, credit=credit, amount_fen=amount_fen, leg=leg)


def resolve_break(batch: Batch, after: dict[str, Any], *, proposal: str) -> None:
    """Correct a break and close it. One that was closed meanwhile is left as it is: nothing is corrected twice."""
    found = ids.parse_public("brk", str(after["break"]))
    broken = None if found is None else batch.breaks.pop(found, None)
    if broken is None:
        return
    correction = Correction(after["correction"])
    if correction is not Correction.NOTHING and broken.left_fen != 0:
        debit, credit = _sides(broken, correction)
        batch.post("correct", subject=broken.id, debit=debit, credit=credit, amount_fen=abs(broken.left_fen))
        if broken.far_side.startswith("outlet:"):  # a deposit is somebody else's money, and stays covered
            backing = (safeguarded(), account("cash:own"))
            debit, credit = backing if broken.left_fen > 0 else backing[::-1]
            batch.post(
                "correct_backing",
                subject=broken.id,
                debit=debit,
                credit=credit,
                amount_fen=abs(broken.left_fen),
            )
    batch.resolved.append((broken.id, str(correction), proposal))


def _sides(broken: OpenBreak, correction: Correction) -> tuple[Account, Account]:
    """(debit, credit). Where we booked more than moved, a clearing account (credit) or `delivered` (debit) is reduced."""
    port, _, name = broken.far_side.partition(":")
    more_than_moved = broken.left_fen > 0
    if port == "rail":
        stands, against = account(f"clearing:{name}"), account(_AGAINST[correction])
        return (stands, against) if more_than_moved else (against, stands)
    if port == "outlet":
        # An outlet states no charges of ours: what it does not owe goes back to its deposit.
        code = "loss" if correction is Correction.FEE else _AGAINST[correction]
        stands, against = deposit(name), account(code)
        return (against, stands) if more_than_moved else (stands, against)
    asset = airtime(name, "card" if broken.kind == "redeem" else "balance")
    # A carrier charges no fee in airtime: what it kept is lost.
    code = "loss" if correction is Correction.FEE else _AGAINST[correction]
    stands, against = account("delivered", asset), account(code, asset)
    return (against, stands) if more_than_moved else (stands, against)
