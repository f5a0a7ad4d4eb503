"""The market's pages: recording, retracting, the matrix, promotions, and the way from a suggestion to a proposal."""

from datetime import UTC, datetime, timedelta

import pytest

from airback.domain import ids
from airback.pricing.default_card import DEFAULT_CARD
from airback.store import books, price_caps
from tests.pricing.test_rivals import GOOD, HEADER, csv_of
from tests.web.console.world import BOOK, START, Person, World

RATE = {
    "competitor": "淘话费",
    "carrier": "cmcc",
    "product": "balance",
    "face_yuan": "100",
    "place": "",
    "rate": "86.5%",
    "seen_at": "2026-11-20 10:00",
    "source": "App 报价页",
}
PROMOTION = {
    "carrier": "cmcc",
    "product": "balance",
    "buy": "75%",
    "since": "2026-11-20T00:00",
    "until": "2026-11-21T00:00",
    "per_account": "",
    "leaves": "1.2%",
    "per_seller": "200",
    "source": "公告",
}


@pytest.fixture
async def chen(world: World) -> Person:
    async with world.pool.acquire() as conn:
        await books.publish_first(conn, book=BOOK, document=DEFAULT_CARD, now=START)
    return await world.person("chen", "pricing")


async def upload(person: Person, content: bytes) -> str:
    data = {"csrf": await person.token()}
    answer = await person.client.post(
        "/console/market/upload", data=data, files={"file": ("rates.csv", content, "text/csv")}
    )
    assert answer.status_code == 200, answer.text[:1000]
    return answer.text


async def test_a_rate_recorded_by_hand_stands_beside_ours_and_is_recorded_once(
    world: World, chen: Person
) -> None:
    answer = await chen.post("/console/market/record", **RATE)
    assert answer.headers["location"] == "/console/market/record?told=recorded"
    answer = await chen.post("/console/market/record", **RATE)
    assert answer.headers["location"].endswith("told=known")
    page = (await chen.get("/console/market?lang=en")).text
    assert "淘话费" in page and "86.5 %" in page and "+1.5" in page
    assert await world.pool.fetchval("SELECT recorded_by FROM competitor_rates") == "chen"


async def test_a_wrong_rate_is_named_and_what_was_typed_stays(world: World, chen: Person) -> None:
    answer = await chen.post("/console/market/record", **{**RATE, "rate": "186%"})
    assert answer.status_code == 422
    assert 'value="186%"' in answer.text and 'value="App 报价页"' in answer.text
    assert "(rate)" in answer.text
    assert await world.pool.fetchval("SELECT count(*) FROM competitor_rates") == 0


async def test_a_file_keeps_its_good_rows_and_names_the_others_and_changes_nothing_again(
    world: World, chen: Person
) -> None:
    bad = [*GOOD[:4], "<b>120%</b>", *GOOD[5:]]
    content = csv_of(HEADER, GOOD, bad).encode("gb18030")
    text = await upload(chen, content)
    assert "&lt;b&gt;120%&lt;/b&gt;" in text and "<b>120%" not in text
    assert "新记录 1 条" in text and "未收 1 行" in text
    assert "新记录 0 条,此前已有 1 条".replace(",", "，") in await upload(chen, content)
    assert await world.pool.fetchval("SELECT count(*) FROM competitor_rates") == 1


async def test_a_file_that_is_none_is_refused_with_a_remedy(chen: Person) -> None:
    data = {"csrf": await chen.token()}
    answer = await chen.client.post(
        "/console/market/upload", data=data, files={"file": ("x.csv", b"\x00\x01", "text/csv")}
    )
    assert answer.status_code == 422 and 'role="alert"' in answer.text
    answer = await chen.post("/console/market/upload")
    assert answer.status_code == 422 and "(file)" in answer.text


async def test_a_record_is_retracted_with_a_reason_and_counts_no_more(world: World, chen: Person) -> None:
    await chen.post("/console/market/record", **RATE)
    public = ids.public("riv", await world.pool.fetchval("SELECT id FROM competitor_rates"))
    where = f"/console/market/rates/{public}/retract"
    assert (await chen.post(where, reason="")).status_code == 422
    assert (await chen.post(where, reason="看错了")).headers["location"].endswith("told=retracted")
    assert (await chen.post(where, reason="看错了")).status_code == 409
    assert (await chen.post("/console/market/rates/riv_1/retract", reason="x")).status_code == 404
    assert "淘话费" not in (await chen.get("/console/market")).text
    assert await world.pool.fetchval("SELECT count(*) FROM competitor_rates") == 1


async def test_an_odd_address_is_refused_and_still_shows_a_page(chen: Person) -> None:
    for query in ("carrier=mars", "product=data", "face=ten", "place=x"):
        answer = await chen.get(f"/console/market?{query}")
        assert answer.status_code == 422 and 'role="alert"' in answer.text, query


async def test_a_suggestion_becomes_a_draft_with_its_figure_filled_in(world: World, chen: Person) -> None:
    for n in range(8):
        await chen.post("/console/market/record", **{**RATE, "competitor": f"n{n}"})
    assert 'action="/console/market/suggestion"' in (await chen.get("/console/market")).text
    made = await chen.post("/console/market/suggestion")
    assert (await chen.get(made.headers["location"])).status_code == 200
    document = await world.pool.fetchval("SELECT document FROM rate_card_drafts")
    competition = document["factors"]["competition"]
    assert (competition["on"], competition["rate_ppm"]) == (True, 20_000)


async def test_the_matrix_keeps_empty_cells_empty_and_takes_what_staff_record(
    world: World, chen: Person
) -> None:
    page = (await chen.get("/console/market/matrix?lang=en")).text
    assert page.count("Not stated") >= 8 * 2  # each in its title and for who listens
    cell = {"cell": "platforms.complaints", "platform": "xianyu", "low": "0.07", "high": "", "words": ""}
    answer = await chen.post("/console/market/matrix", **cell, source="平台公告")
    assert answer.headers["location"].endswith("told=recorded")
    page = (await chen.get("/console/market/matrix")).text
    assert "0.07 %+" in page and "平台公告" in page
    own = await chen.post("/console/market/matrix", **{**cell, "platform": "own"}, source="x")
    assert own.status_code == 409
    for change in ({"low": "much"}, {"cell": "platforms.colour"}, {"low": "120"}):
        answer = await chen.post("/console/market/matrix", **{**cell, **change}, source="x")
        assert answer.status_code in (404, 422), change
    taken_back = {**cell, "low": ""}
    world.pass_by(seconds=1)  # what is written last counts
    await chen.post("/console/market/matrix", **taken_back, source="x")
    assert "0.07 %+" not in (await chen.get("/console/market/matrix")).text
    assert await world.pool.fetchval("SELECT count(*) FROM matrix_cells") == 2


async def test_a_promotion_is_capped_as_it_is_recorded_and_freed_as_it_is_withdrawn(
    world: World, chen: Person
) -> None:
    answer = await chen.post("/console/market/arbitrage", **PROMOTION)
    assert answer.headers["location"].endswith("told=recorded"), answer.text[:500]
    page = (await chen.get("/console/market/arbitrage?lang=en")).text
    assert "+¥15.98" in page and "+¥1.20" in page
    async with world.pool.acquire() as conn:
        (cap,) = await price_caps.live(conn, BOOK, START)
    assert cap.until == datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
    public = ids.public("prm", cap.promotion)
    made = await chen.post(f"/console/market/arbitrage/{public}/draft")
    assert (await chen.get(made.headers["location"])).status_code == 200
    document = await world.pool.fetchval("SELECT document FROM rate_card_drafts")
    assert document["factors"]["promotion"]["until"] == "2026-11-20T16:00:00Z"
    gone = await chen.post("/console/market/arbitrage/prm_0000000000005/draft")
    assert gone.status_code == 404
    where = f"/console/market/arbitrage/{public}/withdraw"
    assert (await chen.post(where, reason="")).status_code == 422
    assert (await chen.post(where, reason="误登记")).headers["location"].endswith("told=withdrawn")
    assert (await chen.post(where, reason="误登记")).status_code == 409
    async with world.pool.acquire() as conn:
        assert await price_caps.live(conn, BOOK, START + timedelta(seconds=1)) == []


async def test_a_wrong_promotion_is_named_and_what_was_typed_stays(world: World, chen: Person) -> None:
    for change, status in (
        ({"buy": "0"}, 422),
        ({"buy": ""}, 422),
        ({"until": "2026-11-19T00:00"}, 422),
        ({"since": "2026-11-18T00:00", "until": "2026-11-19T00:00"}, 409),
        ({"per_seller": "-5"}, 422),
        ({"leaves": "x"}, 422),
    ):
        answer = await chen.post("/console/market/arbitrage", **{**PROMOTION, **change})
        assert answer.status_code == status, change
        assert 'value="公告"' in answer.text
    assert await world.pool.fetchval("SELECT count(*) FROM carrier_promotions") == 0
    assert (await chen.post("/console/market/arbitrage", **{**PROMOTION, "leaves": "0"})).status_code == 303


async def test_other_figures_for_a_cap_are_proposed_and_wait_for_somebody_else(
    world: World, chen: Person
) -> None:
    await chen.post("/console/market/arbitrage", **PROMOTION)
    async with world.pool.acquire() as conn:
        (cap,) = await price_caps.live(conn, BOOK, START)
    public = ids.public("prm", cap.promotion)
    form = {"about": public, "most": "85%", "limit": "", "reason": "存量用户"}
    answer = await chen.post("/console/approvals/propose/cap", **form)
    assert answer.status_code == 303, answer.text[:500]
    own = await chen.post(answer.headers["location"].partition("?")[0], decision="approved", reason="x")
    assert own.status_code == 409  # the same person
    other = await world.person("liu", "finance")
    decided = await other.post(
        answer.headers["location"].partition("?")[0], decision="approved", reason="同意"
    )
    assert decided.status_code == 303
    body = (await world.inbox())[-1]
    assert body["before"] == {
        "promotion": public,
        "most_ppm": cap.most_ppm,
        "per_seller_fen_per_day": 20_000,
    }
    assert body["after"] == {"promotion": public, "most_ppm": 850_000}
    gone = await chen.post("/console/approvals/propose/cap", **{**form, "about": "prm_0000000000005"})
    assert gone.status_code == 404


async def test_who_only_reads_sees_no_forms_and_may_not_send_them(world: World) -> None:
    reader = await world.person("wu", "support")
    for page in ("/console/market/record", "/console/market/matrix", "/console/market/arbitrage"):
        answer = await reader.get(page)
        assert answer.status_code == 200
        assert f'action="{page}"' not in answer.text
    assert (await reader.post("/console/market/record", **RATE)).status_code == 403
    assert (await reader.post("/console/market/arbitrage", **PROMOTION)).status_code == 403
