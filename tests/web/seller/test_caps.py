"""A promotion on record, from the console's entry to the money a seller gets."""

import asyncio
import base64
import json
import secrets
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from msgspec import structs

from airback.domain import ids
from airback.engine.watch_arbitrage import record_promotion, report
from airback.pricing.arbitrage import NewPromotion
from airback.pricing.default_card import DEFAULT_CARD
from airback.pricing.quotes import QuoteAsk, make_quote
from airback.queries.price_facts import PriceFacts
from tests.engine.street import BOOK, CARD
from tests.web.seller.stage import Browser, Stage, card_quote


async def test_a_recorded_promotion_caps_the_quote_the_page_and_the_credit_and_is_proved_offline(
    stage: Stage, browser: Browser, tmp_path: Path
) -> None:
    now, pool = stage.platform.now(), stage.street.pool
    async with pool.acquire() as conn:
        promotion = await record_promotion(
            conn,
            book=BOOK,
            promotion=NewPromotion(
                carrier="cmcc",
                product="card",
                buy_ppm=750_000,
                since=now - timedelta(hours=1),
                until=now + timedelta(days=1),
                per_account_fen=None,
                leaves_ppm=12_000,
                per_seller_fen_per_day=20_000,
                source="双十一公告",
            ),
            by="chen",
            roles=["pricing"],
            now=now,
            entropy=secrets.token_bytes,
        )
        (watched,) = await report(conn, book=BOOK, now=now)
    name = ids.public("prm", promotion)
    stage.platform.market = market = await PriceFacts(book=BOOK).read(pool, card=CARD, now=now)
    await browser.open("/rates")
    await card_quote(browser, card := stage.street.card("cmcc", 10_000))
    assert f"促销期间上限（{name}）" in browser.text, browser.text
    await browser.send(browser.path, card_code=card[1], agreement="2026-11")
    assert await stage.street.settle() == {"closed": 1}
    order = await pool.fetchrow("SELECT quote, credited_fen, first_quote FROM orders")
    quote = order["quote"]
    assert quote["v"] == 2 and quote["facts"]["cap"]["promotion"] == name
    assert order["first_quote"] is None and order["credited_fen"] == quote["net_fen"]

    # what the watch says a trader is paid under the cap is what a quote at those terms pays, to the fen
    assert watched.finding is not None and watched.cap is not None
    for trade in watched.finding.trades:
        ask = QuoteAsk(
            product="card",
            carrier="cmcc",
            face_fen=trade.face_fen,
            number=None,
            card_number=card[0],
            expires_on=None,
            province=watched.finding.place,
            rail=trade.rail,
            seller="test/trader",
            facts=structs.replace(market.of("cmcc", "card", "gold"), demand_fen=10**8),
        )
        body = make_quote(book=BOOK, card=CARD, ask=ask, quote_id=quote["id"], issued_at=now)
        assert body["net_fen"] == trade.pays_capped_fen < trade.pays_fen
        assert body["rate_ppm"] == watched.cap.most_ppm

    # offline: the quote, the published card, the public key, and no database
    publics = stage.street.keys.public_keys(purpose="quote")
    files = {
        "quote": quote,
        "card": DEFAULT_CARD,
        "key": {key: base64.b64encode(raw).decode() for key, raw in publics.items()},
        "forged": {**quote, "facts": {**quote["facts"], "cap": {"most_ppm": 800_000, "promotion": name}}},
    }
    for file, content in files.items():
        (tmp_path / f"{file}.json").write_text(json.dumps(content), "utf-8")
    for file, status in (("quote", 0), ("forged", 1)):
        words = ["quote", "verify", f"{file}.json", "--card", "card.json", "--key", "key.json"]
        words = [str(tmp_path / word) if word.endswith(".json") else word for word in words]
        command = [sys.executable, "-m", "airback", *words, "--data", str(tmp_path / "none")]
        ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
        assert ended.returncode == status, (ended.stdout, ended.stderr)
