"""Who may ask, how often, and in what form: everything that is refused before an order is looked at."""

import json
from collections import Counter
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from structlog.testing import capture_logs

from airback.api import reading
from airback.api.credentials import SCOPES, create_client, revoke
from airback.api.gate import gate
from airback.api.limits import Buckets
from airback.api.problems import Limited
from airback.api.reading import DEEPEST, MOST_BODY_BYTES, parse_json
from airback.api.routes import V1
from airback.domain.refusals import Refused
from airback.engine.inbox import append_callback
from airback.queries import orders as reads
from tests.api.desk import BOOK, Api, Desk, code_of

NEEDS: list[tuple[str, str, str]] = [
    ("POST", "/v1/verifications", "orders:write"),
    ("POST", "/v1/verifications/ver_x/check", "orders:write"),
    ("POST", "/v1/quotes", "quotes:write"),
    ("POST", "/v1/orders", "orders:write"),
    ("GET", "/v1/orders", "orders:read"),
    ("GET", "/v1/orders/ord_x", "orders:read"),
    ("POST", "/v1/orders/ord_x/cancel", "orders:write"),
    ("POST", "/v1/orders/ord_x/payee", "orders:write"),
    ("GET", "/v1/orders/ord_x/events", "orders:read"),
    ("GET", "/v1/orders/ord_x/receipt", "orders:read"),
    ("GET", "/v1/orders/ord_x/receipt.pdf", "orders:read"),
    ("GET", "/v1/events", "orders:read"),
    ("POST", "/v1/offers", "orders:write"),
    ("GET", "/v1/offers", "orders:read"),
    ("GET", "/v1/offers/off_x", "orders:read"),
    ("PATCH", "/v1/offers/off_x", "orders:write"),
    ("DELETE", "/v1/offers/off_x", "orders:write"),
    ("POST", "/v1/demands", "demands:write"),
    ("GET", "/v1/demands", "demands:read"),
    ("GET", "/v1/demands/dem_x", "demands:read"),
    ("DELETE", "/v1/demands/dem_x", "demands:write"),
    ("GET", "/v1/balances", "balances:read"),
    ("GET", "/v1/margin", "margin:read"),
    ("POST", "/v1/standing-bids", "demands:write"),
    ("GET", "/v1/standing-bids", "demands:read"),
    ("DELETE", "/v1/standing-bids/bid_x", "demands:write"),
    ("GET", "/v1/market/depth", "demands:read"),
    ("POST", "/v1/webhook", "demands:write"),
    ("GET", "/v1/webhook", "demands:read"),
    ("DELETE", "/v1/webhook", "demands:write"),
    ("POST", "/v1/competitor-rates", "market:write"),
    ("POST", "/v1/competitor-rates/riv_x/retract", "market:write"),
    ("GET", "/v1/competitor-rates", "market:read"),
    ("GET", "/v1/market/arbitrage", "market:read"),
]


#: Addresses that need no key: prices, the rate index, the comparison of platforms, the description, a rail's signed word, and what does not exist.
OPEN = {
    *("/v1/rates", "/v1/rate-cards", "/v1/rate-cards/{version:str}", "/v1/market/index", "/v1/market/matrix"),
    *("/v1/openapi.json", "/v1/notifications/alipay", "/v1/{rest:path}"),
}


def test_no_address_is_reached_but_through_the_gate() -> None:
    handlers = [
        (method, route.path, handler)
        for route in Litestar(route_handlers=[V1], openapi_config=None).routes
        for handler in getattr(route, "route_handlers", ())
        for method in handler.http_methods
        if method != "OPTIONS"
    ]
    assert all(handler.resolve_before_request() is gate for _, _, handler in handlers)
    scoped = {(method, path): h.opt["scope"] for method, path, h in handlers if "scope" in h.opt}
    assert {path for method, path, _ in handlers if (method, path) not in scoped} == OPEN
    # each of the others stands in the list that the next test walks
    named = Counter((method, path.count("/"), scope) for method, path, scope in NEEDS)
    assert named == Counter((method, path.count("/"), scope) for (method, path), scope in scoped.items())


async def test_every_address_needs_its_scope(desk: Desk, api: Api) -> None:
    assert {scope for _, _, scope in NEEDS} == set(SCOPES)
    lacking = {scope: await desk.client("acme", scopes=[s for s in SCOPES if s != scope]) for scope in SCOPES}
    for method, path, scope in NEEDS:
        assert code_of(await api.call(method, path, {}, key=lacking[scope])) == "scope_missing", path
    for method, path, _ in NEEDS:
        fresh = Api(desk, key=None)  # strangers are limited, and this one is known to nobody yet
        missing = await fresh.call(method, path, {})
        assert code_of(missing) == "credentials_missing"
        assert missing.headers["www-authenticate"].startswith("Bearer")
        assert code_of(await fresh.call(method, path, {}, key="abc.def")) == "credentials_wrong"
        await fresh.http.aclose()


async def test_a_key_is_refused_unless_it_is_whole_and_stands(desk: Desk, api: Api) -> None:
    key = await desk.client("acme")
    assert (await api.get("/v1/balances", key=key)).status_code == 200
    prefix, _, secret = key.partition(".")
    for wrong in (
        prefix,
        f"{prefix}.",
        f"{prefix}.{secret[:-1]}",
        f"{prefix}.{secret}0",
        f"{prefix[:-1]}0.{secret}",
        f"{prefix}.{secret.lower()}",
        "x" * 5000,
        "." * 20,
    ):
        assert code_of(await api.get("/v1/balances", key=wrong)) == "credentials_wrong"
    wrong_scheme = await api.get("/v1/balances", key="", headers={"authorization": f"Basic {key}"})
    assert code_of(wrong_scheme) == "credentials_missing"
    stored = await desk.pool.fetch("SELECT * FROM client_keys")
    assert secret not in str(stored)
    async with desk.pool.acquire() as conn:
        assert await revoke(conn, book=BOOK, prefix=prefix, now=desk.now())
        assert not await revoke(conn, book=BOOK, prefix=prefix, now=desk.now())
        with pytest.raises(ValueError, match="no such scope"):
            await create_client(
                conn, book=BOOK, client="x", kind="staff", scopes=["all"], keys=desk.keys, now=desk.now(),
                entropy=desk.entropy,
            )  # fmt: skip
    desk.pass_time(seconds=6)
    assert code_of(await api.get("/v1/balances", key=key)) == "credentials_wrong"
    desk.keys.rotate(purpose="client_key")  # keys made before go on working
    assert (await api.get("/v1/balances")).status_code == 200


async def test_too_many_requests_are_told_when_to_come_back(desk: Desk, api: Api) -> None:
    key = await desk.client("slow", requests_per_minute=30)
    answers = [await api.get("/v1/balances", key=key) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert (code_of(answers[5]), answers[5].headers["retry-after"]) == ("rate_limited", "2")
    desk.pass_time(seconds=2)
    assert (await api.get("/v1/balances", key=key)).status_code == 200
    assert (await api.get("/v1/balances")).status_code == 200  # others are not concerned
    strangers = [await api.get("/v1/balances", key="abc.def") for _ in range(11)]
    assert [answer.status_code for answer in strangers] == [401] * 10 + [429]
    assert (await api.get("/v1/balances")).status_code == 200  # a good key from the same address goes on


def test_a_bucket_fills_with_time_and_never_beyond_its_room() -> None:
    buckets = Buckets()
    for _ in range(10):
        buckets.take("a", per_minute=60, now_s=0.0)
    with pytest.raises(Limited) as limited:
        buckets.take("a", per_minute=60, now_s=0.0)
    assert limited.value.retry_after_s == 1
    buckets.take("b", per_minute=60, now_s=0.0)
    for _ in range(10):
        buckets.take("a", per_minute=60, now_s=1000.0)
    with pytest.raises(Limited):
        buckets.take("a", per_minute=60, now_s=1000.5)
    with pytest.raises(Limited):
        buckets.take("a", per_minute=60, now_s=999.0)  # a clock that goes back gives nothing


JSON_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
BAD_TEXTS: list[tuple[str, bytes]] = [
    ("empty", b""),
    ("not json", b"{"),
    ("invalid utf-8", b'{"code": "\xff"}'),
    ("utf-16", '{"a": 1}'.encode("utf-16")),
    ("repeated key", b'{"number": "1", "number": "2"}'),
    ("nan", b'{"face_fen": NaN}'),
    ("infinity", b'{"face_fen": -Infinity}'),
    ("huge integer", b'{"face_fen": ' + b"9" * 5000 + b"}"),
    ("huge fraction", b'{"face_fen": 1.' + b"9" * 5000 + b"}"),
    ("huge exponent", b'{"face_fen": 1e999999999}'),
    ("deep list", b"[" * 100_000),
    ("deep object", b'{"a":' * (DEEPEST + 1) + b"1" + b"}" * (DEEPEST + 1)),
    ("nul", b'{"seller_ref": "a\\u0000b"}'),
    ("lone high", b'{"seller_ref": "\\ud800"}'),
    ("lone low", b'{"seller_ref": "\\udc00x"}'),
    ("split pair", b'{"seller_ref": "\\ud800x\\udc00"}'),
    ("raw nul", b'{"seller_ref": "\x00"}'),
    ("trailing", b"{} {}"),
]


@pytest.mark.parametrize(("body",), [(body,) for _, body in BAD_TEXTS], ids=[name for name, _ in BAD_TEXTS])
def test_what_is_not_plain_json_is_refused(body: bytes) -> None:
    with pytest.raises(Refused, match="body_malformed"):
        parse_json(body)


def test_what_looks_dangerous_inside_a_text_is_only_text() -> None:
    assert parse_json(b'{"a": "[[[[{{{{\\\\u0000 \\"", "b": "\\ud83d\\ude00"}') == {
        "a": '[[[[{{{{\\u0000 "',
        "b": "\U0001f600",
    }
    assert parse_json(json.dumps({"a": "[" * 200}).encode()) == {"a": "[" * 200}
    assert parse_json(b'"' + b"\\n" * 1_000_000 + b'"') == "\n" * 1_000_000
    with pytest.raises(Refused, match="body_malformed"):
        parse_json(b'"' + b'\\"' * 1_000_000)  # never ends, and is looked at once only


@pytest.mark.parametrize(
    ("body", "plain"),
    [
        (b'{"a": [1, -0, true, null, {}], "\\u4e2d": "\\"\\/\xe4\xb8\xad"}', True),
        (b'{"a": 9223372036854775807, "b": -9223372036854775808}', True),
        (b'{"a": "\\u0022"}', False),
        (b'{"a": 1.0}', False),
        (b'{"a": 1e2}', False),
        (b'{"a": 100000000000000000000}', False),
        (b'{"a": ' + b"[" * 31 + b"]" * 31 + b"}", True),
        (b'{"a": "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}', False),
        *((body, False) for _, body in BAD_TEXTS),
        (b'{"a": {"b": 1, "b": 1}}', False),
        (b'{"a": "\\u0022", "a": "\\u0022"}', False),
    ],
)
def test_the_quick_reading_agrees_with_the_one_by_the_letter_or_leaves_it_to_it(
    body: bytes, plain: bool
) -> None:
    assert (reading._plain_json(body) is not None) == plain
    if plain:
        assert reading._plain_json(body) == parse_json(body)


@given(st.recursive(JSON_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_whatever_is_read_quickly_is_the_same_read_by_the_letter(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        body = text.encode("utf-8", "surrogatepass")
        quick = reading._plain_json(body)
        if quick is not None:
            assert quick == parse_json(body)
            assert repr(quick) == repr(parse_json(body))


async def test_bodies_are_refused_by_form_and_size(desk: Desk, api: Api) -> None:
    for content_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=gbk",
        "",
    ):
        answer = await api.post("/v1/quotes", content=b"{}", headers={"content-type": content_type})
        assert (answer.status_code, code_of(answer)) == (415, "content_type_unsupported")
    zipped = await api.post("/v1/quotes", content=b"{}", headers={"content-encoding": "gzip"})
    assert code_of(zipped) == "content_type_unsupported"
    for body in (b"\xff", b"[]", b'"text"', b"null"):
        assert code_of(await api.post("/v1/quotes", content=body)) == "body_malformed"
    large = await api.post("/v1/quotes", content=b" " * (MOST_BODY_BYTES + 1))
    assert (large.status_code, code_of(large)) == (413, "body_too_large")
    for path in ("/v1/quotes", "/v1/orders", "/v1/demands"):
        assert code_of(await api.post(path, content=b"{")) in ("body_malformed", "scope_missing")
    envelope = await api.post("/v1/quotes", {"asks": [], "more": 1})
    assert (code_of(envelope), envelope.json()["field"]) == ("field_invalid", "more")
    hostile = await api.post("/v1/quotes", {"asks": [1], "<script>": 1})
    assert (code_of(hostile), "script" in hostile.text) == ("field_invalid", False)


async def test_unknown_addresses_and_methods_are_problems_too(desk: Desk, api: Api) -> None:
    assert code_of(await api.get("/v1/nothing/here")) == "not_found"
    assert code_of(await api.get("/elsewhere")) == "not_found"
    assert code_of(await api.call("DELETE", "/v1/orders")) in ("method_not_allowed", "not_found")


async def test_problems_speak_the_readers_language(desk: Desk, api: Api) -> None:
    for header, title, language in (
        ("zh-CN,zh;q=0.9,en;q=0.8", "接口密钥无效。", "zh-CN"),
        ("en-GB,en;q=0.9", "The API key is not valid.", "en"),
        ("fr, en;q=0.3, zh;q=0.2", "The API key is not valid.", "en"),
        ("", "接口密钥无效。", "zh-CN"),
        ("*;q=nonsense,,;;q=", "接口密钥无效。", "zh-CN"),
    ):
        answer = await api.get("/v1/balances", key="abc.def", headers={"accept-language": header})
        assert (answer.json()["title"], answer.headers["content-language"]) == (title, language)


async def test_a_bug_answers_with_an_incident_and_logs_nothing_of_what_was_sent(
    desk: Desk, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("canary-8842 in the exception's text")

    monkeypatch.setattr(reads, "get_order", broken)
    with capture_logs() as logs:
        answer = await api.get("/v1/orders/ord_0000000000001?language=zh")
        assert code_of(answer) == "field_invalid"
        answer = await api.get("/v1/orders/ord_0000000000001")
    assert (answer.status_code, code_of(answer)) == (500, "internal")
    (line,) = logs
    assert line["incident"] == answer.json()["incident"]
    assert line["error"] == "RuntimeError"
    assert any("test_entrance" in place for place in line["where"])
    assert "canary-8842" not in str(logs) + answer.text


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InternalClientError("in the midst"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.CrashShutdownError("crash of another server process"),
        asyncpg.DiskFullError("No space left on device"),
        asyncpg.TooManyConnectionsError("sorry, too many clients already"),
        ConnectionRefusedError(111, "refused"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_database_that_cannot_serve_now_is_unavailable_with_a_time_to_try_again(
    api: Api, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def away(*args: Any, **kwargs: Any) -> Any:
        raise error

    monkeypatch.setattr(reads, "get_order", away)
    answer = await api.get("/v1/orders/ord_0000000000001")
    assert (answer.status_code, code_of(answer)) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0


async def test_no_code_key_or_account_is_logged_stored_or_answered(
    desk: Desk, api: Api, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A canary in every place that holds a secret, through acceptance, every refusal and a bug."""
    code, account, one_time = "998877665544332211", "canary-payee@example.com", "771133"
    caplog.set_level(0)
    texts: list[str] = []
    with capture_logs() as logs:
        order = desk.order(card_code=code, payee_account=account)
        for body in (
            order,
            order,
            {**order, "agreement": ""},
            {**order, "quote": {"v": code}},
            {**order, code: 1},
            {**order, "payee_name": 7, "card_code": code},
            {"orders": [order, code, {"card_code": code}]},
        ):
            texts.append((await api.post("/v1/orders", body)).text)
        texts.append((await api.post("/v1/orders", content=f'{{"card_code": "{code}"'.encode())).text)
        verification = (await api.post("/v1/verifications", {"number": "13800138000"})).json()["id"]
        texts.append((await api.post(f"/v1/verifications/{verification}/check", {"code": one_time})).text)
        monkeypatch.setattr("airback.engine.submit.submit", None)
        bug = await api.post("/v1/orders", order)
        assert code_of(bug) == "internal"
        texts.append(bug.text)
    dump = [
        str([dict(row) for row in await desk.pool.fetch(f"SELECT * FROM {table['tablename']}")])
        for table in await desk.pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    ]
    assert await desk.pool.fetchval("SELECT count(*) FROM orders") == 1
    everything = "\n".join([*texts, *dump, str(logs), caplog.text])
    assert api.key is not None
    for canary in (code, account, one_time, api.key, api.key.partition(".")[2]):
        assert canary not in everything


async def test_alipays_word_becomes_a_letter_and_anybody_elses_does_not(desk: Desk, api: Api) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    good = await api.post("/v1/notifications/alipay", content=b"genuine=REF-1", headers=form, key="")
    assert (good.status_code, good.text) == (200, "success")
    bad = await api.post("/v1/notifications/alipay", content=b"forged=REF-1", headers=form, key="")
    assert (bad.status_code, bad.text) == (400, "failure")
    letter = await desk.pool.fetchrow("SELECT * FROM inbox")
    assert (letter["kind"], letter["ref"], letter["body"]["result"]) == ("callback", "REF-1", "succeeded")
    large = await api.post("/v1/notifications/alipay", content=b"x" * 70_000, headers=form, key="")
    assert code_of(large) == "body_too_large"
    desk.rails.clear()
    gone = await api.post("/v1/notifications/alipay", content=b"genuine=REF-1", headers=form, key="")
    assert code_of(gone) == "not_found"
    async with desk.pool.acquire() as conn:
        await append_callback(conn, book=BOOK, ref="r", body={}, at=desk.now())
    assert await desk.pool.fetchval("SELECT count(*) FROM inbox") == 2


async def test_health_says_whether_it_can_work(desk: Desk, api: Api) -> None:
    assert (await api.get("/healthz", key="")).text == "ok"
    ready = await api.get("/readyz", key="")
    assert (ready.status_code, ready.json()) == (
        200, {"status": "ok", "database": True, "writer": False},
    )  # fmt: skip
    await desk.pool.execute("INSERT INTO writers VALUES ($1, 'w', $2)", BOOK, desk.now())
    assert (await api.get("/readyz", key="")).json()["writer"] is True
    await desk.pool.execute("ALTER TABLE writers RENAME TO gone")
    away = await api.get("/readyz", key="")
    assert (away.status_code, away.json()["database"]) == (503, False)
    await desk.pool.execute("ALTER TABLE gone RENAME TO writers")
