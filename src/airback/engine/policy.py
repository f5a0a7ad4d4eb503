"""What the engine may do and for how long it is patient: settings of the operator, no constants in the verbs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from airback.domain.ports.carrier import CarrierCapabilities
from airback.domain.ports.rail import RailCapabilities
from airback.market.channels import Valuation
from airback.market.health import Watch
from airback.orders.intake import FILES


@dataclass(frozen=True, slots=True)
class Policy:
    """The far sides' declared capabilities and the operator's own limits of patience.

    `margin_ppm`: what an outlet must pay above what the seller costs. `house_numbers`: the operator's own line at
    each carrier, which takes airtime that lost its outlet after the hold. `notices` False sends no messages;
    `messages_per_s` and `messages_at_once` are what the messenger takes.
    `outlet_patience`: how long an order waits for an outlet that wants it while a person looks on, and one from a file,
    which nobody watches. `full_look`: how long what needs a far side waits whose queue is full. `valuation`: what failure,
    reversal and time cost where outlets have terms; `watch`: when an outlet that fails leaves, and how it returns.
    """

    operator: str
    carriers: Mapping[str, CarrierCapabilities]
    rails: Mapping[str, RailCapabilities]
    house_numbers: Mapping[str, str] = field(default_factory=dict)
    margin_ppm: int = 0
    outlet_patience: timedelta = timedelta(seconds=20)
    outlet_patience_files: timedelta = timedelta(minutes=10)
    order_patience: timedelta = timedelta(minutes=30)
    hold_valid: timedelta = timedelta(hours=2)
    send_within: timedelta = timedelta(minutes=2)
    look_again: timedelta = timedelta(seconds=60)
    retry_after: timedelta = timedelta(seconds=1)
    attempts: int = 5
    pay_again_at_most: timedelta = timedelta(minutes=10)
    full_look: timedelta = timedelta(seconds=5)
    demand_margin: timedelta = timedelta(minutes=1)
    seller_patience: timedelta = timedelta(days=30)
    unknown_to_people: timedelta = timedelta(hours=24)
    review_within: timedelta = timedelta(hours=24)
    sim_swap_hours: int = 72
    notices: bool = True
    messages_per_s: int = 500
    messages_at_once: int = 16
    valuation: Valuation = field(default_factory=Valuation)
    watch: Watch = field(default_factory=Watch)

    def check(self) -> None:
        """Raise ValueError for a far side whose "not found" would count while a request may still be on its way."""
        every: dict[str, CarrierCapabilities | RailCapabilities] = {**self.carriers, **self.rails}
        for name, limits in every.items():
            if limits.not_found_final_after_s <= limits.timeout_s:
                raise ValueError(f"{name}: not_found_final_after_s must be longer than timeout_s")

    def outlet_patience_of(self, lane: int) -> timedelta:
        """How long an order of that lane waits for an outlet."""
        return self.outlet_patience_files if lane == FILES else self.outlet_patience

    def capabilities_of(self, far_side: str) -> CarrierCapabilities | RailCapabilities | None:
        """Capabilities behind a far side's name (`carrier:cmcc`, `rail:alipay`), None for messengers."""
        port, _, name = far_side.partition(":")
        if port == "carrier":
            return self.carriers.get(name)
        if port == "rail":
            return self.rails.get(name)
        return None
