"""The far sides an installation speaks to. Today all of them are the sandbox's; a contract's adapters go here.

Each adapter is chosen once, by settings, and handed down through the ports: nothing below `app` knows which.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from airback.adapters.carrier.camara import CamaraSubscribers
from airback.adapters.carrier.capabilities import default_capabilities
from airback.adapters.carrier.tmf654 import Tmf654Carrier
from airback.adapters.messenger.sms import SmsMessenger
from airback.adapters.outlet.webhook import WebhookOutlet
from airback.adapters.rail.alipay import SANDBOX_ALIPAY, AlipayRail
from airback.adapters.rail.alipay_keys import ensure_merchant_keys, load_public_key
from airback.adapters.rail.credit import CreditRail
from airback.app.settings import Settings
from airback.domain.assets import CARRIERS
from airback.domain.ports.rail import Rail
from airback.engine.policy import Policy
from airback.engine.senders import FarSides
from airback.sandbox.alipay_keys import APP_ID, ensure_alipay_keys
from airback.sandbox.tokens import access_token

#: The operator's own line at each sandbox carrier: what no outlet takes any more goes there.
HOUSE_NUMBERS: Final = {
    "cmcc": "13900000001",
    "ctcc": "18900000001",
    "cucc": "18600000001",
    "cbn": "19200000001",
}


@dataclass(frozen=True, slots=True)
class Connected:
    """The far sides and what the engine may expect of them."""

    far_sides: FarSides
    policy: Policy


def connect(
    settings: Settings, *, sandbox_url: str, now: Callable[[], datetime], closing: AsyncExitStack
) -> Connected:
    """Adapters for the sandbox at `sandbox_url`; `closing` closes their connections."""
    token = access_token(settings.data_dir)
    merchant = ensure_merchant_keys(settings.data_dir)
    alipay_key = load_public_key(ensure_alipay_keys(settings.data_dir).public_file.read_bytes())
    carriers = {
        carrier: Tmf654Carrier(
            base_url=sandbox_url, capabilities=default_capabilities(carrier), token=token, now=now
        )
        for carrier in CARRIERS
    }
    subscribers = CamaraSubscribers(base_url=sandbox_url, token=token, now=now)
    alipay = AlipayRail(
        gateway=f"{sandbox_url}/alipay/gateway.do",
        app_id=APP_ID,
        merchant_key=merchant.private,
        alipay_key=alipay_key,
        now=now,
        capabilities=SANDBOX_ALIPAY,
    )
    messenger = SmsMessenger(base_url=sandbox_url, token=token, now=now)
    rails: dict[str, Rail] = {"alipay": alipay, "credit": CreditRail()}
    for close in (*(c.close for c in carriers.values()), subscribers.close, alipay.close, messenger.close):
        closing.push_async_callback(close)
    policy = Policy(
        operator=settings.operator,
        carriers={name: carrier.capabilities for name, carrier in carriers.items()},
        rails={name: rail.capabilities for name, rail in rails.items()},
        house_numbers=HOUSE_NUMBERS,
    )
    policy.check()
    outlet = WebhookOutlet(now=now, allow_loopback=settings.sandbox)
    return Connected(FarSides(subscribers, carriers, rails, messenger, outlet), policy)
