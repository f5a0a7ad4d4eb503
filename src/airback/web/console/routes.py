"""The console's routes. `CONSOLE_ROUTERS` goes into the application; `app.state.platform` must be a `Platform`."""

from typing import Final

import asyncpg
from litestar import Router

from airback.domain.refusals import Refused
from airback.web.console import (
    approvals,
    breaks,
    corrections,
    margin,
    orders,
    outlets,
    overview,
    people,
    price_replay,
    pricing_desk,
    proposing,
    registers,
    signing_in,
)
from airback.web.console.desk import HOME, MOST_BODY, SignedOut, refused_page, to_sign_in, unavailable_page

CONSOLE_ROUTERS: Final[list[Router]] = [
    Router(
        path=HOME,
        route_handlers=[
            signing_in.sign_in_page,
            signing_in.sign_in_form,
            signing_in.sign_out_form,
            signing_in.account_page,
            signing_in.password_form,
            overview.overview_page,
            overview.alarms_page,
            overview.effects_page,
            overview.money_page,
            outlets.outlets_page,
            outlets.outlet_page,
            outlets.resend_form,
            outlets.terms_page,
            outlets.terms_form,
            outlets.bids_page,
            outlets.pauses_page,
            outlets.pause_form,
            breaks.breaks_page,
            corrections.corrections_page,
            margin.margin_page,
            margin.margin_file,
            orders.orders_page,
            orders.search_form,
            orders.order_page,
            orders.cancel_form,
            approvals.approvals_page,
            approvals.approval_page,
            approvals.decide_form,
            proposing.propose_page,
            proposing.propose_form,
            pricing_desk.prices_page,
            pricing_desk.start_form,
            pricing_desk.draft_page,
            pricing_desk.draft_document,
            pricing_desk.edit_page,
            pricing_desk.edit_form,
            pricing_desk.discard_form,
            pricing_desk.propose_form,
            pricing_desk.version_page,
            pricing_desk.back_form,
            price_replay.preview_page,
            price_replay.backtest_page,
            registers.licences_page,
            people.people_page,
            people.create_form,
            people.disable_form,
        ],
        exception_handlers={
            SignedOut: to_sign_in,
            Refused: refused_page,
            asyncpg.PostgresConnectionError: unavailable_page,
            asyncpg.OperatorInterventionError: unavailable_page,
            asyncpg.InsufficientResourcesError: unavailable_page,
            OSError: unavailable_page,
            TimeoutError: unavailable_page,
        },
        request_max_body_size=MOST_BODY,
        include_in_schema=False,
    )
]
