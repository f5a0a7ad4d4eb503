"""The console's routes. `CONSOLE_ROUTERS` goes into the application; `app.state.platform` must be a `Platform`."""

from typing import Final

import asyncpg
from litestar import Router

from airback.domain.refusals import Refused
from airback.web.console import (
    approvals,
    arbitrage,
    breaks,
    corrections,
    orders,
    overview,
    people,
    proposing,
    registers,
    rivals,
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
            overview.outlets_page,
            breaks.breaks_page,
            corrections.corrections_page,
            orders.orders_page,
            orders.search_form,
            orders.order_page,
            orders.cancel_form,
            approvals.approvals_page,
            approvals.approval_page,
            approvals.decide_form,
            proposing.propose_page,
            proposing.propose_form,
            registers.prices_page,
            registers.licences_page,
            rivals.market_page,
            rivals.record_page,
            rivals.record_form,
            rivals.upload_form,
            rivals.retract_form,
            rivals.matrix_page,
            rivals.matrix_form,
            arbitrage.arbitrage_page,
            arbitrage.promotion_form,
            arbitrage.withdraw_form,
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
