"""`/v1/notifications/alipay`: a rail's signed word that reaches us unasked. A hint: the engine asks the rail itself."""

from typing import Any, Final

from litestar import Request, Response, post

from airback.api.gate import platform_of
from airback.domain.refusals import Refused
from airback.engine.inbox import append_callback

MOST_BYTES: Final = 64 * 1024


@post("/notifications/alipay", status_code=200, opt={"open": 6000}, request_max_body_size=MOST_BYTES)
async def alipay(request: Request[Any, Any, Any]) -> Response[str]:
    """Alipay repeats a notification until it reads `success`."""
    platform = platform_of(request)
    rail = platform.rails.get("alipay")
    if rail is None:
        raise Refused("not_found")
    body = await request.body()
    notification = rail.read_notification(headers=dict(request.headers), body=body, now=platform.now())
    if notification is None:
        return Response(content="failure", status_code=400, media_type="text/plain")
    outcome = notification.outcome
    hint = {
        "result": outcome.result.value,
        "code": outcome.code,
        "far_ref": outcome.far_ref,
        "amount_fen": outcome.amount_fen,
    }
    async with platform.pool.acquire() as conn:
        await append_callback(conn, book=platform.book, ref=notification.ref, body=hint, at=platform.now())
    return Response(content="success", media_type="text/plain")


HANDLERS: Final = [alipay]
