"""What `airback.app` mounts: the seller's pages and the static files."""

from typing import Final

from litestar import Router
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from airback.domain.refusals import Refused
from airback.web.seller import balance, card, confirm, landing, market, offers, orders, problems
from airback.web.seller.confirm import DraftGone
from airback.web.seller.visit import MOST_FORM_BYTES, FormStale
from airback.web.static_files import serve_static

_PAGES: Final = Router(
    path="/",
    route_handlers=[
        landing.start,
        landing.rates,
        market.market,
        landing.rates_of,
        landing.agreement,
        landing.privacy,
        landing.leave,
        balance.ask_number,
        balance.take_number,
        balance.ask_code,
        balance.take_code,
        balance.send_again,
        balance.ask_amount,
        balance.take_amount,
        balance.estimate,
        card.ask_card,
        card.take_card,
        offers.make,
        offers.list_mine,
        offers.find_mine,
        offers.show,
        offers.change,
        offers.withdraw,
        confirm.show_quote,
        confirm.change,
        confirm.sell,
        orders.list_mine,
        orders.find_mine,
        orders.show_order,
        orders.follow,
        orders.cancel,
        orders.correct_payee,
        orders.receipt_json,
        orders.receipt_print,
    ],
    request_max_body_size=MOST_FORM_BYTES,
    exception_handlers={
        Refused: problems.on_refused,
        FormStale: problems.on_stale,
        DraftGone: problems.on_draft_gone,
        HTTPException: problems.on_http,
        Exception: problems.on_error,
    },
)

SELLER_ROUTERS: Final[list[ControllerRouterHandler]] = [_PAGES, serve_static]
