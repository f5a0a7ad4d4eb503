"""More requests than a process serves: those beyond are refused at once with a time to come again, and none is lost."""

import asyncio
import json
from typing import Any

from airback.api.crowd import Crowd


class Slow:
    """An application whose answers wait for a bell."""

    def __init__(self) -> None:
        self.bell = asyncio.Event()
        self.answered = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.bell.wait()
        self.answered += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


async def asked(app: Any, path: str, *, language: bytes = b"zh-CN") -> list[dict[str, Any]]:
    """What an application sent for one request."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": [(b"accept-language", language)]}
    await app(scope, None, send)
    return sent


async def test_those_beyond_are_refused_and_there_is_room_again_afterwards() -> None:
    slow = Slow()
    app = Crowd(slow, most=2)
    inside = [asyncio.create_task(asked(app, "/v1/orders")) for _ in range(2)]
    await asyncio.sleep(0)
    for language, word in ((b"zh-CN", "请求太多"), (b"en-GB", "more requests")):
        start, body = await asked(app, "/v1/quotes", language=language)
        headers = dict(start["headers"])
        assert (start["status"], headers[b"retry-after"]) == (503, b"1")
        assert headers[b"content-type"] == b"application/problem+json"
        document = json.loads(body["body"])
        assert (document["code"], document["status"]) == ("busy", 503)
        assert word in document["title"]
    live = asyncio.create_task(asked(app, "/orders/live"))  # pages that stay open take no place
    await asyncio.sleep(0)
    assert not live.done()
    slow.bell.set()
    assert [answer[0]["status"] for answer in await asyncio.gather(*inside, live)] == [200, 200, 200]
    assert (await asked(app, "/v1/orders"))[0]["status"] == 200
    assert slow.answered == 4


async def test_a_request_that_fails_gives_its_place_back() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError

    app = Crowd(broken, most=1)
    for _ in range(3):
        try:
            await asked(app, "/v1/orders")
        except RuntimeError:
            continue
        raise AssertionError("was refused, though nobody is inside")
