"""Approvals: what waits for a second person, one proposal with what it would change, the decision."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from litestar import Response, get, post
from litestar.params import FromPath

from airback.domain import ids
from airback.domain.refusals import REFUSALS, Refused
from airback.engine import propose
from airback.engine.act import MOST_REASON
from airback.pricing.cards import outside_sources, parse_card
from airback.staff.actions import ACTIONS, Change, Form, parse_time
from airback.staff.roles import Permission
from airback.store import proposals
from airback.store.proposals import Proposal
from airback.web.console.card_changes import FactorDifference, by_factor
from airback.web.console.desk import AnyRequest, Visitor, asked, go, platform, posted, show, visitor
from airback.web.console.figures import Difference, differences
from airback.web.layout import language_of
from airback.web.templates import clock

PAGE: Final = 50
APPROVALS: Final = "/console/approvals"

#: The address of each action's form below `APPROVALS/propose/`.
FORMS: Final[Mapping[str, str]] = {
    "deposit": "finance:deposit:credit",
    "withdraw": "finance:deposit:withdraw",
    "credit-line": "finance:credit_line:set",
    "lift": "operations:pause:lift",
    "float": "finance:float:credit",
    "cap": "pricing:cap:override",
    "effect": "operations:effect:resolve",
    "order": "operations:order:decide",
    "pause": "operations:book:pause",
    "resume": "operations:book:resume",
    "licence": "compliance:licence:record",
    "break": "reconciliation:break:resolve",
    "correction": "finance:correction:settle",
    "booking": "finance:booking:post",
    "party": "finance:party:pay",
    "split": "finance:split:agree",
}


@get("/approvals", name="console-approvals")
async def approvals_page(request: AnyRequest) -> Response[Any]:
    """Open proposals, those that expire first at the top; below them the past, by cursor."""
    who = await visitor(request, needs=Permission.READ_PROPOSALS)
    here = platform(request)
    now = here.now()
    below = ids.parse_public("pro", asked(request, "after", most=40))
    async with here.pool.acquire() as conn:
        waiting = await proposals.open_proposals(conn, book=here.book, now=now)
        past = await proposals.past_proposals(conn, book=here.book, now=now, below=below, limit=PAGE + 1)
        return await show(
            request,
            who,
            "approvals.html",
            section="approvals",
            conn=conn,
            undecided=[
                (proposal, propose.may_decide(proposal, by=who.name, roles=who.roles, now=now))
                for proposal in waiting
            ],
            past=past[:PAGE],
            more=ids.public("pro", past[PAGE - 1].id) if len(past) > PAGE else None,
            forms={form: ACTIONS[name] for form, name in FORMS.items() if who.may(ACTIONS[name].propose)},
            first=below is None,
        )


async def _one(
    request: AnyRequest,
    who: Visitor,
    found: Proposal,
    *,
    status: int = 200,
    refused: Refused | None = None,
    reason: str = "",
) -> Response[Any]:
    here = platform(request)
    now = here.now()
    language = language_of(request)
    action = ACTIONS[found.action]
    changes = action.changes(before=found.before, after=found.after, language=language)
    inner: list[FactorDifference] | list[Difference] = []
    if any(change.form is Form.DOCUMENT for change in changes):
        before, after = (
            one if isinstance(one, dict) else {}
            for one in (found.before.get("document"), found.after.get("document"))
        )
        of_prices = action.name == "pricing:rate_card:publish"
        inner = by_factor(before, after, language=language) if of_prices else differences(before, after)
    hindrance = propose.may_decide(found, by=who.name, roles=who.roles, now=now)
    return await show(
        request,
        who,
        "approval.html",
        section="approvals",
        status=status,
        proposal=found,
        state=found.state(now=now),
        action=action,
        changes=[_on_the_clock(change) for change in changes if change.form is not Form.DOCUMENT],
        inner=inner,
        outside=_outside(found),
        hindrance=None if hindrance is None else REFUSALS[hindrance].sentence(language),
        refused=refused,
        reason=reason,
        told=asked(request, "told", most=20),
    )


def _on_the_clock(change: Change) -> Change:
    """A time as Beijing's clock shows it."""
    if change.form is not Form.TIME:
        return change
    texts = (change.before, change.after)
    moments = [None if text is None else parse_time(text) for text in texts]
    before, after = (
        text if moment is None else f"{clock(moment, '%Y-%m-%d %H:%M:%S')} UTC+8"
        for text, moment in zip(texts, moments, strict=True)
    )
    return replace(change, before=before, after=after)


def _outside(found: Proposal) -> list[str]:
    """Figures of a proposed rate card outside what their sources say."""
    if found.action != "pricing:rate_card:publish":
        return []
    try:
        return outside_sources(parse_card(found.after.get("document")))
    except Refused:
        return []


async def _find(request: AnyRequest, public: FromPath[str]) -> Proposal:
    here = platform(request)
    proposal = ids.parse_public("pro", public)
    found = None
    if proposal is not None:
        async with here.pool.acquire() as conn:
            found = await proposals.get(conn, book=here.book, proposal=proposal)
    if found is None or found.action not in ACTIONS:
        raise Refused("not_found")
    return found


@get("/approvals/{public:str}", name="console-approval")
async def approval_page(request: AnyRequest, public: FromPath[str]) -> Response[Any]:
    """One proposal: who, why, before and after, and the decision or the form for it."""
    who = await visitor(request, needs=Permission.READ_PROPOSALS)
    return await _one(request, who, await _find(request, public))


@post("/approvals/{public:str}", status_code=200)
async def decide_form(request: AnyRequest, public: FromPath[str]) -> Response[Any]:
    """Approve or reject."""
    who = await visitor(request, needs=Permission.READ_PROPOSALS)
    here = platform(request)
    form = await posted(request, who)
    found = await _find(request, public)
    reason = form.text("reason", most=MOST_REASON)
    try:
        async with here.pool.acquire() as conn:
            await propose.decide(
                conn,
                book=here.book,
                proposal=found.id,
                decision=form.text("decision", most=20),
                reason=reason,
                by=who.name,
                roles=who.roles,
                now=here.now(),
            )
    except Refused as refused:
        return await _one(
            request,
            who,
            await _find(request, public),
            status=refused.refusal.status,
            refused=refused,
            reason=reason,
        )
    return go(f"{APPROVALS}/{ids.public('pro', found.id)}?told=decided")
