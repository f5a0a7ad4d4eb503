"""Bearer tokens of the sandbox: one static token for the platform, and signed ones that play a person's device.

A signed token is `base64(json).base64(hmac)`; its JSON may hold `number` (a three-legged token: the device's own
number), `by_network` (authenticated by the mobile network), `scopes` and `expires_at`.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airback.domain.numbers import parse_mobile
from airback.sandbox.wire import Caller, Plug, Reply, Request, Route, Unreadable


def sandbox_folder(data_dir: Path) -> Path:
    """Where the sandbox keeps its books."""
    return data_dir / "sandbox"


class Tokens:
    """The tokens accepted below one data directory."""

    def __init__(self, folder: Path) -> None:
        self.static = _kept(folder / "token")
        self._key = _kept(folder / "token_key").encode()

    def issue(self, claims: dict[str, Any]) -> str:
        """A signed token with these claims."""
        body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        return f"{body}.{self._mark(body)}"

    def caller(self, header: str | None, *, now: datetime) -> Caller | None:
        """Who an Authorization header stands for, or None when it is missing, wrong or expired."""
        scheme, _, token = (header or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token.isascii():
            return None
        if hmac.compare_digest(token, self.static):
            return Caller()
        body, _, mark = token.partition(".")
        if not hmac.compare_digest(mark, self._mark(body)):
            return None
        try:
            claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        except (ValueError, binascii.Error):
            return None
        if claims.get("expires_at") is not None and datetime.fromisoformat(claims["expires_at"]) <= now:
            return None
        scopes = claims.get("scopes")
        return Caller(
            scopes=None if scopes is None else frozenset(scopes),
            number=claims.get("number"),
            by_network=claims.get("by_network") is True,
        )

    def _mark(self, body: str) -> str:
        mark = hmac.new(self._key, body.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(mark).decode().rstrip("=")


def access_token(data_dir: Path) -> str:
    """The bearer token that carriers of this sandbox accept; made at first use, readable by its owner only."""
    return Tokens(sandbox_folder(data_dir)).static


def plug(tokens: Tokens, *, now: Callable[[], datetime]) -> Plug:
    """`POST /sandbox/tokens`: a token as a network, an authorisation server or a fault would bring it about."""

    async def issue(request: Request) -> Reply:
        document = request.json()
        if not isinstance(document, dict):
            raise Unreadable("the body must be an object")
        claims: dict[str, Any] = {}
        if "number" in document:
            number = parse_mobile(str(document["number"]))
            if number is None:
                raise Unreadable("number must be a mainland mobile number")
            claims |= {"number": number, "by_network": document.get("by_network", True) is True}
        if "scopes" in document:
            scopes = document["scopes"]
            if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
                raise Unreadable("scopes must be a list of texts")
            claims["scopes"] = scopes
        if "expires_in_s" in document:
            if type(document["expires_in_s"]) is not int or abs(document["expires_in_s"]) > 1 << 31:
                raise Unreadable("expires_in_s must be a whole number")
            claims["expires_at"] = (now() + timedelta(seconds=document["expires_in_s"])).isoformat()
        return Reply.json(201, {"access_token": tokens.issue(claims), "token_type": "Bearer"})

    return Plug(name="tokens", routes=[Route("POST", "/sandbox/tokens", issue, counted=False)])


def _kept(path: Path) -> str:
    """The text in a file, made of randomness when there is none; safe when two processes do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        return path.read_text()
    except FileNotFoundError:
        beside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        beside.touch(mode=0o600)
        beside.write_text(secrets.token_urlsafe(32))
        try:
            os.link(beside, path)  # fails when another process was first, whose token then stands
        except FileExistsError:
            pass
        finally:
            beside.unlink()
        return path.read_text()
