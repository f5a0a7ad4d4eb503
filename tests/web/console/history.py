"""Orders with real quotes behind them, so that there is something to price again."""

import secrets
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg

from airback.adapters.keys.files import FileKeys
from airback.domain import ids
from airback.domain.money import PPM
from airback.pricing.cards import RateCard
from airback.pricing.quotes import QuoteAsk, make_quote, sign_quote
from tests.web.console.world import BOOK, CARD, START, insert_order


@dataclass(frozen=True)
class Sale:
    """One past order. `outlet` None: it was not sold; `price_ppm` is what the outlet paid of face."""

    face_fen: int = 10_000
    carrier: str = "cmcc"
    product: str = "balance"
    province: str | None = None
    expires_on: date | None = None
    outlet: str | None = "shop"
    price_ppm: int = 950_000
    state: str = "closed"
    code: str | None = None


def quoted(sale: Sale, *, keys: FileKeys, card: RateCard = CARD, at: datetime = START) -> dict[str, Any]:
    """The signed quote that the sale was accepted by."""
    body = make_quote(
        book=BOOK,
        card=card,
        ask=QuoteAsk(
            product=sale.product,
            carrier=sale.carrier,
            face_fen=sale.face_fen,
            number="13800138000" if sale.product == "balance" else None,
            card_number="1234567890123456" if sale.product == "card" else None,
            expires_on=sale.expires_on,
            province=sale.province,
            rail="alipay",
            seller="street/a",
        ),
        quote_id=ids.new_reference(entropy=secrets.token_bytes),
        issued_at=at,
    )
    return sign_quote(body, keys=keys)


async def put(
    conn: asyncpg.Connection, *sales: Sale, keys: FileKeys, now: datetime = START, minutes_ago: int = 600
) -> None:
    """Write the sales as orders with their fills, one a minute from then on."""
    for n, sale in enumerate(sales):
        at = now - timedelta(minutes=minutes_ago - n)
        quote = quoted(sale, keys=keys, at=at)
        order = ids.new_ids(now=at, entropy=secrets.token_bytes)[0]
        sold = sale.outlet is not None
        await insert_order(
            conn,
            id=order,
            state=sale.state,
            now=now,
            product=sale.product,
            carrier=sale.carrier,
            face_fen=sale.face_fen,
            net_fen=quote["net_fen"],
            quote=quote,
            code=sale.code,
            hold_kind="none",
            delivered_fen=sale.face_fen if sold else 0,
            credited_fen=quote["net_fen"] if sold else 0,
            paid_fen=quote["net_fen"] if sold else 0,
            submitted_at=at,
        )
        if sold:
            pays_fen = quote["gross_fen"] if sale.outlet == "house" else sale.face_fen * sale.price_ppm // PPM
            await conn.execute(
                "INSERT INTO fills (book,id,order_id,demand_id,outlet,number,face_fen,price_ppm,pays_fen,state,delivered_fen,created_at)"
                " VALUES ($1,$2,$3,NULL,$4,'19900000000',$5,$6,$7,'delivered',$5,$8)",
                BOOK,
                order + 1,
                order,
                sale.outlet,
                sale.face_fen,
                sale.price_ppm,
                pays_fen,
                at,
            )


def a_week() -> list[Sale]:
    """Sales of every carrier and product, of several face values and places, some of them not sold."""
    sales = []
    for n, carrier in enumerate(("cmcc", "ctcc", "cucc", "cbn")):
        for product in ("balance", "card"):
            for place, face_fen in (("11", 3_000), ("4401", 5_000), ("13", 10_000), (None, 30_000)):
                sales.append(
                    Sale(
                        face_fen=face_fen,
                        carrier=carrier,
                        product=product,
                        province=place,
                        expires_on=date(2027, 6, 1 + n),
                        price_ppm=930_000 + 10_000 * n,
                    )
                )
    sales.append(Sale(outlet=None, state="declined", code="no_outlet"))
    sales.append(Sale(outlet=None, state="expired", code="order_expired"))
    sales.append(Sale(outlet=None, state="held"))
    sales.append(Sale(outlet="house"))
    return sales
