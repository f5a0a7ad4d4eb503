"""The pricing desk: the rate card in force and those before and after it, drafts, and their way to a second person.

A draft prices nothing. What is proposed of it goes through `engine.propose` like every other decision of two people, and
so does going back to an earlier version.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
from litestar import Response, get, post
from litestar.params import FromPath

from airback.domain import ids
from airback.domain.refusals import Refused
from airback.engine import draft as drafting
from airback.engine.act import MOST_REASON
from airback.pricing.cards import in_force_from, outside_sources, parse_card
from airback.pricing.default_card import DEFAULT_CARD, completed, lacking
from airback.pricing.schedule import check_schedule
from airback.queries import console
from airback.queries.console import CardRow
from airback.staff.roles import Permission
from airback.store import rate_card_drafts as drafts
from airback.store.rate_card_drafts import PREFIX, Draft, State
from airback.web.console.approvals import APPROVALS
from airback.web.console.card_changes import by_factor
from airback.web.console.card_form import Fault, Group, filled, groups, in_order, unplaced
from airback.web.console.desk import (
    MOST_BODY,
    AnyRequest,
    Form,
    Visitor,
    asked,
    go,
    platform,
    posted,
    show,
    visitor,
)
from airback.web.console.typed import moment_of, read_document
from airback.web.layout import language_of

PRICES: Final = "/console/prices"
SECTION: Final = "prices"
_MOST_REVISION: Final = 12


def standing(cards: Sequence[CardRow], *, now: datetime) -> dict[str, Any]:
    """What stands now, as a proposal's `before`: the version in force and its document; {} when none is."""
    card = console.in_force(cards, now=now)
    return {} if card is None else {"version": str(card.version), "document": card.document}


def factors(document: Mapping[str, Any], *, language: str) -> list[Group]:
    """Every part of the card that makes or changes a price."""
    return [group for group in groups(document, language=language) if group.source]


@get("/prices", name="console-prices")
async def prices_page(request: AnyRequest) -> Response[Any]:
    """The rate card in force as a table, scheduled ones, drafts, and every version with who, when and why."""
    who = await visitor(request, needs=Permission.READ_PRICES)
    return await _prices_page(request, who)


async def _prices_page(
    request: AnyRequest,
    who: Visitor,
    *,
    status: int = 200,
    refused: Refused | None = None,
    values: Mapping[str, str] | None = None,
) -> Response[Any]:
    here = platform(request)
    now = here.now()
    async with here.pool.acquire() as conn:
        versions = await console.rate_cards(conn, book=here.book)
        row = console.in_force(versions, now=now)
        return await show(
            request,
            who,
            "prices.html",
            section=SECTION,
            status=status,
            conn=conn,
            row=row,
            card=None if row is None else parse_card(row.document),
            factors=[] if row is None else factors(row.document, language=language_of(request)),
            outside=[] if row is None else outside_sources(parse_card(row.document)),
            scheduled=scheduled(versions, now=now),
            versions=versions,
            drafts=[
                (draft, draft.state(now=now)) for draft in await drafts.list_drafts(conn, book=here.book)
            ],
            refused=refused,
            values=values or {},
            told=asked(request, "told", most=20),
        )


@post("/prices/drafts", status_code=200)
async def start_form(request: AnyRequest) -> Response[Any]:
    """Start a draft from a published version or from another draft."""
    who = await visitor(request, needs=Permission.PROPOSE_RATE_CARD)
    here = platform(request)
    form = await posted(request, who)
    values = {"name": form.text("name", most=200), "source": form.text("source", most=60)}
    try:
        async with here.pool.acquire() as conn:
            based_on, document = await _source(conn, here.book, values["source"])
            draft = await drafting.start(
                conn,
                book=here.book,
                name=values["name"],
                based_on=based_on,
                document=document,
                by=who.name,
                roles=who.roles,
                now=here.now(),
                entropy=here.entropy,
            )
    except Refused as refused:
        return await _prices_page(request, who, status=refused.refusal.status, refused=refused, values=values)
    return go(f"{PRICES}/drafts/{ids.public(PREFIX, draft)}/edit")


async def _source(conn: asyncpg.Connection, book: int, source: str) -> tuple[int | None, dict[str, Any]]:
    """(version, document) of what a draft is to be started from. Raises Refused `not_found`."""
    if source.isascii() and source.isdecimal() and len(source) <= 9:
        row = await console.rate_card(conn, book=book, version=int(source))
        if row is not None:
            return row.version, row.document
    draft = ids.parse_public(PREFIX, source)
    found = None if draft is None else await drafts.get(conn, book=book, draft=draft)
    if found is None:
        raise Refused("not_found", field="source")
    return found.based_on, found.document


async def find_draft(request: AnyRequest, conn: asyncpg.Connection, public: str) -> Draft:
    """The draft at an address. Raises Refused `not_found`."""
    draft = ids.parse_public(PREFIX, public)
    found = None if draft is None else await drafts.get(conn, book=platform(request).book, draft=draft)
    if found is None:
        raise Refused("not_found")
    return found


@get("/prices/drafts/{public:str}", name="console-draft")
async def draft_page(request: AnyRequest, public: FromPath[str]) -> Response[Any]:
    """One draft: how it differs from the card in force, what is odd about it, and its way to a second person."""
    who = await visitor(request, needs=Permission.READ_PRICES)
    return await _draft_page(request, who, public)


async def _draft_page(
    request: AnyRequest,
    who: Visitor,
    public: str,
    *,
    status: int = 200,
    refused: Refused | None = None,
    values: Mapping[str, str] | None = None,
) -> Response[Any]:
    here = platform(request)
    now = here.now()
    async with here.pool.acquire() as conn:
        draft = await find_draft(request, conn, public)
        versions = await console.rate_cards(conn, book=here.book)
        stands = standing(versions, now=now)
        card = parse_card(draft.document)
        return await show(
            request,
            who,
            "draft.html",
            section=SECTION,
            status=status,
            conn=conn,
            draft=draft,
            state=draft.state(now=now),
            in_force=stands.get("version"),
            changes=by_factor(stands.get("document", {}), draft.document, language=language_of(request)),
            outside=outside_sources(card),
            lacks=_lacks(draft.document, language_of(request)),
            ends=card.effective_until,
            scheduled=scheduled(versions, now=now),
            unfit=_unfit(draft, versions, now=now),
            refused=refused,
            values=values or {},
            told=asked(request, "told", most=20),
        )


def scheduled(versions: Sequence[CardRow], *, now: datetime) -> list[CardRow]:
    """Cards that have yet to take effect, the first one first; of several for one moment, the last published counts."""
    latest = {one.effective_at: one for one in sorted(versions, key=lambda one: one.version)}
    return [latest[moment] for moment in sorted(latest) if moment > now]


def _scheduled(versions: Sequence[CardRow], text: str, *, now: datetime) -> CardRow | None:
    """The scheduled card of that version; None for no text. Raises Refused `field_invalid`."""
    if not text:
        return None
    for one in scheduled(versions, now=now):
        if str(one.version) == text:
            return one
    raise Refused("field_invalid", field="replaces")


def _unfit(draft: Draft, versions: Sequence[CardRow], *, now: datetime) -> Refused | None:
    """Why the draft could not take effect right now beside the published cards, whatever time it is proposed for."""
    try:
        card = parse_card(in_force_from(draft.document, now))
        check_schedule([parse_card(one.document) for one in versions], card, now=now)
    except Refused as refused:
        return refused
    return None


@get("/prices/drafts/{public:str}/card.json", name="console-draft-document")
async def draft_document(request: AnyRequest, public: FromPath[str]) -> Response[Any]:
    """The draft as a file, for `airback backtest` and `airback quote`."""
    await visitor(request, needs=Permission.READ_PRICES)
    async with platform(request).pool.acquire() as conn:
        draft = await find_draft(request, conn, public)
    return Response(
        content=json.dumps(in_order(draft.document), ensure_ascii=False, indent=2),
        media_type="application/json",
        headers={
            "cache-control": "no-store",
            "content-disposition": f'attachment; filename="{draft.public_id}.json"',
        },
    )


@get("/prices/drafts/{public:str}/edit", name="console-draft-edit")
async def edit_page(request: AnyRequest, public: FromPath[str]) -> Response[Any]:
    """The draft as a form, and as JSON."""
    who = await visitor(request, needs=Permission.PROPOSE_RATE_CARD)
    async with platform(request).pool.acquire() as conn:
        draft = await find_draft(request, conn, public)
    if draft.state(now=platform(request).now()) is not State.WORKED_ON:
        raise Refused("draft_closed")
    return await _edit_page(request, who, draft)


async def _edit_page(
    request: AnyRequest,
    who: Visitor,
    draft: Draft,
    *,
    form: Form | None = None,
    faults: Mapping[str, Fault] | None = None,
    refused: Refused | None = None,
    status: int = 200,
    document_text: str | None = None,
) -> Response[Any]:
    language = language_of(request)
    by_json = document_text is not None
    typed = None if form is None or by_json else (lambda name: form.text(name, most=MOST_BODY))
    found = dict(faults or {})
    return await show(
        request,
        who,
        "draft_edit.html",
        section=SECTION,
        status=status,
        draft=draft,
        revision=str(draft.revision) if form is None else form.text("revision", most=_MOST_REVISION),
        name=draft.name if form is None else form.text("name", most=200),
        groups=groups(draft.document, language=language, typed=typed, faults=found),
        sources=list(draft.document["sources"]),
        lacks=_lacks(draft.document, language),
        faults=found,
        loose=unplaced(draft.document, found),
        by_json=by_json,
        document_text=json.dumps(in_order(draft.document), ensure_ascii=False, indent=2)
        if document_text is None
        else document_text,
        refused=refused,
    )


@post("/prices/drafts/{public:str}/edit", status_code=200)
async def edit_form(request: AnyRequest, public: FromPath[str]) -> Response[Any]:
    """Save the draft. Whatever is refused, what was typed stays in the form."""
    who = await visitor(request, needs=Permission.PROPOSE_RATE_CARD)
    here = platform(request)
    form = await posted(request, who)
    language = language_of(request)
    async with here.pool.acquire() as conn:
        draft = await find_draft(request, conn, public)
    by_json = form.text("form", most=10) == "json"
    text: str | None = None
    faults: dict[str, Fault] = {}
    try:
        if by_json:
            text = _uploaded(form) or form.text("document", most=MOST_BODY)
            document = read_document(text)
            parse_card(document)
        else:
            document, faults = filled(
                draft.document, lambda name: form.text(name, most=MOST_BODY), language=language
            )
        completes = not by_json and form.text("add", most=10) == "lacking"
        if not faults:
            if completes:
                document = completed(document)
            async with here.pool.acquire() as conn:
                await drafting.save(
                    conn,
                    book=here.book,
                    draft=draft.id,
                    revision=_revision(form),
                    name=form.text("name", most=200),
                    document=document,
                    by=who.name,
                    roles=who.roles,
                    now=here.now(),
                )
            return go(f"{PRICES}/drafts/{public}{'/edit' if completes else '?told=saved'}")
        refused = None
    except Refused as found:
        refused = found
    return await _edit_page(
        request,
        who,
        draft,
        form=form,
        faults=faults,
        refused=refused,
        status=422 if refused is None else refused.refusal.status,
        document_text=(text or "") if by_json else None,
    )


def _lacks(document: Mapping[str, Any], language: str) -> list[str]:
    """Names of the factors that a newer card has and this one does not."""
    return [DEFAULT_CARD["factors"][name]["zh" if language == "zh" else "en"] for name in lacking(document)]


def _uploaded(form: Form) -> str:
    """The text of an uploaded file, empty when none was chosen. Raises Refused `text_not_decodable`."""
    try:
        return form.file("file").decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refused("text_not_decodable", field="file") from None


def _revision(form: Form) -> int:
    """The revision that the form was made from."""
    text = form.text("revision", most=_MOST_REVISION)
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise Refused("form_stale")
    return int(text)


@post("/prices/drafts/{public:str}/discard", status_code=200)
async def discard_form(request: AnyRequest, public: FromPath[str]) -> Response[Any]:
    """Throw the draft away."""
    who = await visitor(request, needs=Permission.PROPOSE_RATE_CARD)
    here = platform(request)
    form = await posted(request, who)
    try:
        async with here.pool.acquire() as conn:
            draft = await find_draft(request, conn, public)
            await drafting.discard(
                conn,
                book=here.book,
                draft=draft.id,
                revision=_revision(form),
                by=who.name,
                roles=who.roles,
                now=here.now(),
            )
    except Refused as refused:
        return await _draft_page(request, who, public, status=refused.refusal.status, refused=refused)
    return go(f"{PRICES}?told=discarded")


@post("/prices/drafts/{public:str}/propose", status_code=200)
async def propose_form(request: AnyRequest, public: FromPath[str]) -> Response[Any]:
    """Propose the draft to a second person."""
    who = await visitor(request, needs=Permission.PROPOSE_RATE_CARD)
    here = platform(request)
    form = await posted(request, who)
    values = {
        "effective": form.text("effective", most=40),
        "replaces": form.text("replaces", most=9),
        "reason": form.text("reason", most=MOST_REASON),
    }
    now = here.now()
    try:
        effective = moment_of(values["effective"], field="effective_at") or now
        async with here.pool.acquire() as conn:
            draft = await find_draft(request, conn, public)
            versions = await console.rate_cards(conn, book=here.book)
            replaced = _scheduled(versions, values["replaces"], now=now)
            if replaced is not None:
                effective = replaced.effective_at
            proposal = await drafting.propose_draft(
                conn,
                book=here.book,
                draft=draft.id,
                revision=_revision(form),
                before=standing(versions, now=now),
                replaces=None if replaced is None else replaced.version,
                effective_at=effective.astimezone(UTC).isoformat(timespec="seconds"),
                reason=values["reason"],
                by=who.name,
                roles=who.roles,
                now=now,
                entropy=here.entropy,
            )
    except Refused as refused:
        return await _draft_page(
            request, who, public, status=refused.refusal.status, refused=refused, values=values
        )
    return go(f"{APPROVALS}/{ids.public('pro', proposal)}?told=proposed")


@get("/prices/versions/{version:int}", name="console-rate-card")
async def version_page(request: AnyRequest, version: FromPath[int]) -> Response[Any]:
    """One published version: who, when and why, how it differs from the one in force, and the way back to it."""
    who = await visitor(request, needs=Permission.READ_PRICES)
    return await _version_page(request, who, version)


async def _version_page(
    request: AnyRequest,
    who: Visitor,
    version: int,
    *,
    status: int = 200,
    refused: Refused | None = None,
    reason: str = "",
) -> Response[Any]:
    here = platform(request)
    now = here.now()
    async with here.pool.acquire() as conn:
        row = await _published(conn, here.book, version)
        stands = standing(await console.rate_cards(conn, book=here.book), now=now)
        return await show(
            request,
            who,
            "version.html",
            section=SECTION,
            status=status,
            conn=conn,
            row=row,
            card=parse_card(row.document),
            in_force=stands.get("version"),
            factors=factors(row.document, language=language_of(request)),
            outside=outside_sources(parse_card(row.document)),
            lacks=_lacks(row.document, language_of(request)),
            changes=by_factor(stands.get("document", {}), row.document, language=language_of(request)),
            refused=refused,
            reason=reason,
        )


async def _published(conn: asyncpg.Connection, book: int, version: int) -> CardRow:
    row = await console.rate_card(conn, book=book, version=version) if 0 < version < 2**31 else None
    if row is None:
        raise Refused("not_found")
    return row


@post("/prices/versions/{version:int}/back", status_code=200)
async def back_form(request: AnyRequest, version: FromPath[int]) -> Response[Any]:
    """Propose to go back to this version at once: one act here, one approval by another person."""
    who = await visitor(request, needs=Permission.PROPOSE_RATE_CARD)
    here = platform(request)
    form = await posted(request, who)
    reason = form.text("reason", most=MOST_REASON)
    now = here.now()
    try:
        async with here.pool.acquire() as conn:
            row = await _published(conn, here.book, version)
            stands = standing(await console.rate_cards(conn, book=here.book), now=now)
            if stands.get("version") == str(version):
                raise Refused("field_invalid", field="version")
            proposal = await drafting.propose_return(
                conn,
                book=here.book,
                version=version,
                document=row.document,
                before=stands,
                reason=reason,
                by=who.name,
                roles=who.roles,
                now=now,
                entropy=here.entropy,
            )
    except Refused as refused:
        if refused.code == "not_found":
            raise
        return await _version_page(
            request, who, version, status=refused.refusal.status, refused=refused, reason=reason
        )
    return go(f"{APPROVALS}/{ids.public('pro', proposal)}?told=proposed")
