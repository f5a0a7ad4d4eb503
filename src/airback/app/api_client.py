"""A client of our own API over real HTTP, for the commands that use it as anybody else would."""

import asyncio
import json
from types import TracebackType
from typing import Any, Self

from airback.adapters.http.client import AnswerLost, HttpFarSide, NotSent


class ApiUnreachable(Exception):
    """The API did not answer, also not after some patience."""


class ApiClient:
    """Calls `/v1`; a lost answer or a busy server is asked again, which an idempotency key makes safe."""

    def __init__(self, *, url: str, key: str | None, timeout_s: float = 60, concurrency: int = 16) -> None:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        self._http = HttpFarSide(
            name="api",
            base_url=url,
            timeout_s=timeout_s,
            concurrency=concurrency,
            headers=headers,
            most_answer_bytes=64 << 20,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        query: dict[str, str] | None = None,
        patience: int = 20,
    ) -> tuple[int, Any]:
        """(status, JSON) of one call; `key` is its idempotency key. Raises ApiUnreachable."""
        headers = {} if key is None else {"idempotency-key": key}
        for attempt in range(patience):
            try:
                answer = await self._http.call(
                    method, path, json=body, query=list((query or {}).items()), headers=headers
                )
            except (NotSent, AnswerLost):
                await asyncio.sleep(0.2 * min(attempt + 1, 10))
                continue
            if answer.status in (429, 502, 503) and attempt < patience - 1:
                await asyncio.sleep(min(float(answer.headers.get("retry-after", "1")), 5))
                continue
            return answer.status, json.loads(answer.body) if answer.body else None
        raise ApiUnreachable(path)
