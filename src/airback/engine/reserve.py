"""reserve: demands and their outlets' money are set aside for an order, and given back when it comes to nothing."""

from typing import Any

from airback.domain import ids
from airback.domain.money import PPM
from airback.engine.batch import Batch
from airback.engine.records import Fill, Order
from airback.engine.watch import ended, probed
from airback.ledger.accounts import Account, account, deposit
from airback.ledger.postings import Phase
from airback.market.matching import Choice, Demand, Match
from airback.orders.intake import FILES
from airback.orders.states import FillState

HOUSE = "house"


def gross_fen(order: Order) -> int:
    """What the order costs before fee and rail cost are taken out of it, by the quote in force."""
    return int(order.quote["gross_fen"])


def floor_ppm(batch: Batch, order: Order) -> int:
    """The least an outlet must pay of face value for the order not to lose money, in ppm."""
    return -(-gross_fen(order) * PPM // order.face_fen) + batch.policy.margin_ppm


def reserve(batch: Batch, order: Order, *, face_fen: int) -> bool:
    """Earmark outlets' money for `face_fen` of the order. False, and nothing changed, when no set of demands takes it all."""
    already: dict[str, int] = {}
    for fill in order.live_fills:
        already[fill.outlet] = already.get(fill.outlet, 0) + fill.face_fen
    choice = batch.demands.match(
        carrier=order.carrier,
        face_fen=face_fen,
        whole=order.product == "card",
        least_ppm=floor_ppm(batch, order),
        seller_number=order.number,
        not_before=batch.now + batch.policy.demand_margin,
        refused=frozenset(f.demand_id for f in order.fills if f.state is FillState.FAILED and f.demand_id),
        room_fen=lambda outlet: batch.balances.room_fen(deposit(outlet)),
        watched=order.lane != FILES,
        already_fen=already,
    )
    for match in choice.matches:
        probe = batch.demands.reserve(match)
        fill = _add_fill(batch, order, match, routed=_reason(match, choice))
        if probe:
            probed(batch, fill)
    return bool(choice.matches)


def reserve_house(batch: Batch, order: Order, *, face_fen: int) -> bool:
    """The operator honours the price itself: earmark its float for what no outlet takes any more."""
    number = batch.policy.house_numbers.get(order.carrier)
    pays = -(-gross_fen(order) * face_fen // order.face_fen)
    if number is None or pays > batch.balances.room_fen(account("float")):
        return False
    house = Demand(0, HOUSE, order.carrier, number, min(PPM, -(-pays * PPM // face_fen)), 0, batch.now)
    _add_fill(batch, order, Match(house, face_fen, pays, house.price_ppm), routed=None)
    return True


def release_fills(batch: Batch, order: Order) -> None:
    """Give back every reserved part of the order: the outlets' money and the demands' room."""
    for fill in order.fills:
        if fill.state is FillState.RESERVED:
            batch.move_fill(fill, FillState.RELEASED)
            if fill.outlet != HOUSE:
                ended(batch, fill, None)
            settle_earmark(batch, order, fill, pays_fen=0)
            reopen(batch, order, fill, fill.face_fen)


def reopen(batch: Batch, order: Order, fill: Fill, face_fen: int) -> None:
    """So much of the fill's part is wanted again."""
    if fill.demand_id is None or face_fen <= 0:
        return
    demand = Demand(fill.demand_id, fill.outlet, order.carrier, fill.number, fill.price_ppm, 0, batch.now)
    batch.demands.reopen(demand, face_fen)


def payer(fill: Fill) -> Account:
    """The account a fill is paid from."""
    return account("float") if fill.outlet == HOUSE else deposit(fill.outlet)


def settle_earmark(batch: Batch, order: Order, fill: Fill, *, pays_fen: int) -> None:
    """Take `pays_fen` of the earmarked money into proceeds; zero gives it all back."""
    batch.post(
        "earmark",
        subject=fill.id,
        debit=payer(fill),
        credit=account("proceeds"),
        amount_fen=pays_fen or fill.pays_fen,
        phase=Phase.POST if pays_fen else Phase.VOID,
        order=order,
        settles_fen=fill.pays_fen,
    )
    if pays_fen and fill.outlet == HOUSE:
        # What is now owed to the seller is client money, so the operator's own cash moves beside it.
        batch.post(
            "backing",
            subject=fill.id,
            debit=account("cash:safeguarded"),
            credit=account("cash:own"),
            amount_fen=pays_fen,
            order=order,
        )


def _reason(match: Match, choice: Choice) -> dict[str, Any]:
    """Why a fill goes there, as it is stored: its net value, and who was passed over with theirs, ppm of face."""
    passed = [[outlet, worth, reason] for outlet, (worth, reason) in choice.passed.items()]
    return {"worth": match.worth_ppm, "passed": passed}


def _add_fill(batch: Batch, order: Order, match: Match, *, routed: dict[str, Any] | None) -> Fill:
    demand = match.demand
    fill = Fill(
        id=batch.new_id(),
        order_id=order.id,
        demand_id=demand.id or None,
        outlet=demand.outlet,
        number=demand.number,
        face_fen=match.face_fen,
        price_ppm=demand.price_ppm,
        pays_fen=match.pays_fen,
        state=FillState.RESERVED,
        routed=routed,
        new=True,
    )
    order.fills.append(fill)
    batch.post(
        "earmark",
        subject=fill.id,
        debit=payer(fill),
        credit=account("proceeds"),
        amount_fen=match.pays_fen,
        phase=Phase.PENDING,
        order=order,
    )
    batch.record(
        "engine:fill:reserved",
        order=order,
        fill=ids.public("fil", fill.id),
        face_fen=fill.face_fen,
        outlet=fill.outlet,
        pays_fen=fill.pays_fen,
    )
    return fill
