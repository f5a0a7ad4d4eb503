"""What the sandbox's carriers can do. A real contract states its own."""

from typing import Final

from airback.domain.effects import Resend
from airback.domain.ports.carrier import CarrierCapabilities, HoldKind

_HOLDS: Final = {
    "cmcc": HoldKind.NATIVE,
    "ctcc": HoldKind.NATIVE,
    "cucc": HoldKind.CUSTODY,
    "cbn": HoldKind.CUSTODY,
}


def default_capabilities(carrier: str) -> CarrierCapabilities:
    """Capabilities of a sandbox carrier: its contract is `sandbox-<carrier>`, and nothing takes long."""
    return CarrierCapabilities(
        carrier=carrier,
        contract_id=f"sandbox-{carrier}",
        hold=_HOLDS[carrier],
        custody_given_back=True,
        resend=Resend.NEVER,
        not_found_final_after_s=6,  # longer than a request may take, so that none is still on its way
        final_after_s=1,
        ask_every_s=1,
        ask_at_most_every_s=4,
        requests_per_s=2_000,
        concurrency=16,
        timeout_s=5,
    )
