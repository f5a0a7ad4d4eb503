"""Splitting an order's proceeds: what of the operator's part goes to others, by an agreement that is data.

The seller's net is fixed by the signed quote and is never touched. What an agreement shares out is the operator's own
part of the order: fee (with every charge on the quote) and spread together, never below zero. The shares are taken in
the waterfall's order; each takes what it asks for, or what is left when that is less; the operator keeps the rest. So
the parts always sum to the whole, exactly, and none is negative.

A tax that is the seller's to bear is a charge on the quote (`charges` of the rate card); its share then names that line
as its base (`line:vat`, 100 %), so the money goes where the quote said it goes.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeVar

from airback.domain.money import MAX_FEN, PPM
from airback.domain.refusals import Refused

MOST_SHARES: Final = 20
_MOST_TEXT: Final = 200
_PARTY: Final = re.compile(r"[a-z0-9_-]{1,40}", re.ASCII)
_LINE: Final = re.compile(r"line:[a-z0-9_]{1,40}", re.ASCII)
_Code = TypeVar("_Code", bound=StrEnum)
_SCOPE: Final = re.compile(r"client:[a-z0-9_-]{1,40}|channel:(?:people|files)", re.ASCII)


class Kind(StrEnum):
    """What a share is, in the order of the waterfall: what the law takes comes before what was agreed."""

    TAX = "tax"
    RESERVE = "reserve"
    REFERRER = "referrer"
    AGENT = "agent"


#: Kinds whose money is owed to a named party; the others have one account each.
NAMED: Final = frozenset({Kind.REFERRER, Kind.AGENT})
_ACCOUNTS: Final = MappingProxyType({Kind.TAX: "tax_withheld", Kind.RESERVE: "reserve"})

#: Kinds as people read them: (zh-CN, English).
KIND_NAMES: Final = MappingProxyType(
    {
        Kind.TAX: ("代扣税款", "Tax withheld"),
        Kind.RESERVE: ("坏账准备", "Bad-debt reserve"),
        Kind.REFERRER: ("推荐人", "Referrer"),
        Kind.AGENT: ("代理", "Agent"),
    }
)


class Rounding(StrEnum):
    """What becomes of a part of a fen: `down` in the operator's favour, `up` in the party's, `half_up` to the nearest."""

    DOWN = "down"
    UP = "up"
    HALF_UP = "half_up"


#: What a share may be a share of; beside these `line:<name>`, what the quote deducts under that name.
BASES: Final = ("platform", "fee", "spread", "face", "net")


@dataclass(frozen=True, slots=True)
class Share:
    """One line of an agreement: `share_ppm` of a base, or `fixed_fen` an order. The other one is None."""

    kind: Kind
    party: str
    base: str
    share_ppm: int | None
    fixed_fen: int | None
    rounding: Rounding

    @property
    def account(self) -> str:
        """The code of the account it goes to."""
        return f"party:{self.party}" if self.kind in NAMED else _ACCOUNTS[self.kind]

    def wants_fen(self, bases: Mapping[str, int]) -> int:
        """What it asks for, in fen. A base that an order does not have counts as zero."""
        if self.share_ppm is None:
            return self.fixed_fen or 0
        product = bases.get(self.base, 0) * self.share_ppm
        if self.rounding is Rounding.UP:
            return -(-product // PPM)
        return (product + (PPM // 2 if self.rounding is Rounding.HALF_UP else 0)) // PPM


@dataclass(frozen=True, slots=True)
class Agreement:
    """An approved agreement. `version` counts per book; `scope` is `client:<name>` or `channel:people|files`."""

    version: int
    scope: str
    effective_at: datetime
    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """What one share came to. `short_fen`: how much less it was than it asked for."""

    share: Share
    amount_fen: int
    short_fen: int


@dataclass(frozen=True, slots=True)
class Split:
    """An order's split: `platform_fen` is what stays with the operator after all parts."""

    parts: tuple[Part, ...]
    platform_fen: int


def split(
    shares: Sequence[Share],
    *,
    fee_fen: int,
    spread_fen: int,
    face_fen: int,
    net_fen: int,
    lines: Mapping[str, int],
) -> Split:
    """Share out fee + spread. `lines`: what the quote deducts, name → fen, positive. Σ parts + platform = max(0, fee + spread)."""
    left_fen = max(0, fee_fen + spread_fen)
    bases = {
        "platform": left_fen,
        "fee": max(0, fee_fen),
        "spread": max(0, spread_fen),
        "face": face_fen,
        "net": net_fen,
        **{f"line:{name}": max(0, amount_fen) for name, amount_fen in lines.items()},
    }
    parts: list[Part] = []
    for share in shares:
        wanted_fen = share.wants_fen(bases)
        amount_fen = min(wanted_fen, left_fen)
        left_fen -= amount_fen
        parts.append(Part(share, amount_fen, wanted_fen - amount_fen))
    return Split(tuple(parts), left_fen)


def deductions(quote: Mapping[str, Any]) -> dict[str, int]:
    """What a signed quote takes off the price, line by line: name → fen, positive."""
    return {line["name"]: -line["amount_fen"] for line in quote["components"] if line["amount_fen"] < 0}


def in_force(
    agreements: Mapping[str, Sequence[Agreement]], *, client: str, files: bool, at: datetime
) -> Agreement | None:
    """The agreement that stood when an order was submitted: the client's own, else that of the channel it came by.

    `agreements`: by scope. A scope whose agreement of that time has no shares has ended, and says so for its client.
    """
    for scope in (f"client:{client}", "channel:files" if files else "channel:people"):
        standing = [one for one in agreements.get(scope, ()) if one.effective_at <= at]
        if standing:
            latest = max(standing, key=lambda one: (one.effective_at, one.version))
            return latest if latest.shares else None
    return None


def payable_account(code: str) -> bool:
    """Whether a code is of an account that proceeds are split to."""
    head, colon, party = code.partition(":")
    return code in _ACCOUNTS.values() or (
        head == "party" and colon == ":" and _PARTY.fullmatch(party) is not None
    )


def check_scope(scope: Any) -> str:
    """A scope's name. Raises `Refused("field_invalid")`."""
    if not isinstance(scope, str) or _SCOPE.fullmatch(scope) is None:
        raise Refused("field_invalid", field="scope")
    return scope


def parse_shares(document: Any) -> tuple[Share, ...]:
    """The shares of an agreement's document: `{"title", "source", "shares": [{"kind", "party", "base", "share_ppm" |
    "fixed_fen", "rounding"}]}`. No shares: what stood before ends.

    Raises `Refused`: `field_missing`, `field_invalid`, `split_order`, `split_repeated`, `split_above_whole`, each with
    the field (`shares[2].base`).
    """
    if not isinstance(document, dict):
        raise Refused("field_invalid", field="document")
    _known(document, {"title", "source", "shares"}, where="")
    for key in ("title", "source"):
        text = document.get(key)
        if text is None:
            raise Refused("field_missing", field=key)
        if not isinstance(text, str) or not 0 < len(text.strip()) <= _MOST_TEXT or not text.isprintable():
            raise Refused("field_invalid", field=key)
    rows = document.get("shares")
    if rows is None:
        raise Refused("field_missing", field="shares")
    if not isinstance(rows, list) or len(rows) > MOST_SHARES:
        raise Refused("field_invalid", field="shares")
    shares = tuple(_share(row, where=f"shares[{place}].") for place, row in enumerate(rows, start=1))
    _check_together(shares)
    return shares


def _share(row: Any, *, where: str) -> Share:
    if not isinstance(row, dict):
        raise Refused("field_invalid", field=where.rstrip("."))
    _known(row, {"kind", "party", "base", "share_ppm", "fixed_fen", "rounding"}, where=where)
    kind = _one_of(Kind, row.get("kind"), field=f"{where}kind")
    party = row.get("party", "")
    if not isinstance(party, str) or (_PARTY.fullmatch(party) is None if kind in NAMED else party != ""):
        raise Refused("field_invalid", field=f"{where}party")
    share_ppm, fixed_fen = row.get("share_ppm"), row.get("fixed_fen")
    if share_ppm is None and fixed_fen is None:
        raise Refused("field_missing", field=f"{where}share_ppm")
    if share_ppm is not None and fixed_fen is not None:
        raise Refused("field_invalid", field=f"{where}fixed_fen")
    base = row.get("base", "")
    if share_ppm is not None:
        _whole(share_ppm, most=PPM, field=f"{where}share_ppm")
        if not isinstance(base, str) or (base not in BASES and _LINE.fullmatch(base) is None):
            raise Refused("field_invalid", field=f"{where}base")
    else:
        _whole(fixed_fen, most=MAX_FEN, field=f"{where}fixed_fen")
        if base != "":
            raise Refused("field_invalid", field=f"{where}base")
    rounding = _one_of(Rounding, row.get("rounding", "down"), field=f"{where}rounding")
    return Share(kind, party, base, share_ppm, fixed_fen, rounding)


def _check_together(shares: Sequence[Share]) -> None:
    order = list(Kind)
    seen: set[tuple[Kind, str]] = set()
    sums: dict[str, int] = {}
    last = 0
    for place, share in enumerate(shares, start=1):
        rank = order.index(share.kind)
        if rank < last:
            raise Refused("split_order", field=f"shares[{place}].kind")
        last = rank
        if (share.kind, share.party) in seen:
            raise Refused("split_repeated", field=f"shares[{place}].party")
        seen.add((share.kind, share.party))
        if share.share_ppm is not None:
            sums[share.base] = sums.get(share.base, 0) + share.share_ppm
            if sums[share.base] > PPM:
                raise Refused("split_above_whole", field=f"shares[{place}].share_ppm")


def _known(row: Mapping[str, Any], keys: Iterable[str], *, where: str) -> None:
    for key in row:
        if key not in keys:
            raise Refused("field_invalid", field=f"{where}{key}"[:100])


def _whole(value: Any, *, most: int, field: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= most:
        raise Refused("field_invalid", field=field)


def _one_of(codes: type[_Code], value: Any, *, field: str) -> _Code:
    if value is None:
        raise Refused("field_missing", field=field)
    try:
        return codes(value)
    except ValueError:
        raise Refused("field_invalid", field=field) from None
