"""SMS through a gateway that takes one JSON message at a time: `POST {base}/sms/v1/messages` with a bearer token.

Request `{"ref", "number", "text"}`. The gateway answers HTTP 200 whatever it decided, as the Chinese ones do:
`{"outcome": "sent", "message_id"}` or `{"outcome": "refused", "reason"}`. The status line therefore says nothing;
only the body does.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from airback.adapters.http.client import AnswerLost, HttpFarSide, NotSent
from airback.adapters.http.redaction import Redaction
from airback.domain.effects import Outcome, Result
from airback.domain.ports.messenger import Message

_REDACTION: Final = Redaction(masked_keys=frozenset({"number"}))


class SmsMessenger:
    """Sends text messages. `token` proves who we are to the gateway; `now` dates exchanges. Close it when done."""

    def __init__(
        self,
        *,
        base_url: str,
        token: str,
        now: Callable[[], datetime],
        timeout_s: float = 5,
        concurrency: int = 16,
    ) -> None:
        self._http = HttpFarSide(
            name="messenger:sms",
            base_url=base_url,
            timeout_s=timeout_s,
            concurrency=concurrency,
            headers={"authorization": f"Bearer {token}"},
            redaction=_REDACTION,
            now=now,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def send(self, message: Message) -> Outcome:
        """Send. Taken by the gateway counts as `succeeded`: whether the phone was on is nobody's business here.

        The gateway's own error, or an answer that cannot be read, is `unknown`: it may have sent.
        """
        document = {"ref": message.ref, "number": message.number, "text": message.text}
        try:
            answer = await self._http.call("POST", "/sms/v1/messages", json=document)
        except NotSent as error:
            return Outcome(result=Result.FAILED, code="not_sent", exchanges=(error.exchange,))
        except AnswerLost as error:
            return Outcome(result=Result.UNKNOWN, code="answer_lost", exchanges=(error.exchange,))
        kept = (answer.exchange,)
        try:
            said = answer.json()
        except ValueError:
            said = None
        outcome = said.get("outcome") if isinstance(said, dict) else None
        if answer.status == 200 and isinstance(said, dict) and outcome == "sent":
            far_ref = said.get("message_id")
            return Outcome(
                result=Result.SUCCEEDED, far_ref=far_ref if isinstance(far_ref, str) else None, exchanges=kept
            )
        if 400 <= answer.status < 500 or (answer.status == 200 and outcome == "refused"):
            reason = said.get("reason") if isinstance(said, dict) else None
            detail = {"reason": reason[:64]} if isinstance(reason, str) else {}
            return Outcome(result=Result.FAILED, code="message_refused", detail=detail, exchanges=kept)
        return Outcome(result=Result.UNKNOWN, code="far_side_error", exchanges=kept)
