"""Licences and what depends on them. A capability that needs a licence is off until one is recorded, and off again
when it runs out: `allows` is asked with the time, nothing is switched by hand.

Sources: what an operator may do without a licence depends on its legal form (Regulations on the Supervision of
Non-bank Payment Institutions, in force 2024-05-01: holding users' balances is a payment institution's business,
and client money is kept apart, articles 27 and 29).
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from airback.domain.refusals import Refused


class Capability(StrEnum):
    """Something that needs a licence."""

    STORED_BALANCE = "stored_balance"  # keep proceeds for a seller (platform credit)
    ADVANCE = "advance"  # pay before the airtime is delivered
    VOUCHER = "voucher"  # assign undisbursed proceeds between people


CAPABILITY_NAMES: Final = MappingProxyType(
    {
        Capability.STORED_BALANCE: ("为用户保管余额", "Hold users' balances"),
        Capability.ADVANCE: ("预付款项", "Pay in advance"),
        Capability.VOUCHER: ("可拆分凭证转让", "Assign vouchers"),
    }
)


class LegalForm(StrEnum):
    """What the operator is in law; it decides how client money is kept."""

    OWN_ACCOUNT_MERCHANT = "own_account_merchant"
    AGENT_OF_LICENSED = "agent_of_licensed"
    LICENSED_PAYMENT_INSTITUTION = "licensed_payment_institution"


@dataclass(frozen=True, slots=True)
class Form:
    """A legal form: its names, how client money is kept under it, and what it may ever hold a licence for."""

    zh: str
    en: str
    safeguarding_zh: str
    safeguarding_en: str
    licensable: frozenset[Capability]


LEGAL_FORMS: Final = MappingProxyType(
    {
        LegalForm.OWN_ACCOUNT_MERCHANT: Form(
            "自营商户",
            "Merchant on own account",
            "应付货款,专户存放",
            "Trade payable, kept in a separate account",
            frozenset(),
        ),
        LegalForm.AGENT_OF_LICENSED: Form(
            "持牌机构代理",
            "Agent of a licensed institution",
            "代理资金,由持牌机构存管",
            "Agent's money, in the licensed institution's custody",
            frozenset({Capability.STORED_BALANCE}),
        ),
        LegalForm.LICENSED_PAYMENT_INSTITUTION: Form(
            "持牌支付机构",
            "Licensed payment institution",
            "客户备付金",
            "Licensed client reserve",
            frozenset(Capability),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Licence:
    """One recorded licence. Valid in [valid_from, valid_until)."""

    number: str
    issuer: str
    capabilities: frozenset[str]
    valid_from: datetime
    valid_until: datetime
    recorded_by: str


class Standing(StrEnum):
    """Where a licence stands in time."""

    NOT_YET = "not_yet"
    VALID = "valid"
    ENDING = "ending"
    ENDED = "ended"


def standing(*, licence: Licence, now: datetime, warn: timedelta = timedelta(days=90)) -> Standing:
    """Where the licence stands now; `ending` within `warn` of its end."""
    if now < licence.valid_from:
        return Standing.NOT_YET
    if now >= licence.valid_until:
        return Standing.ENDED
    return Standing.ENDING if licence.valid_until - now <= warn else Standing.VALID


def allows(*, capability: str, licences: Iterable[Licence], now: datetime) -> bool:
    """Whether some licence covers the capability now. A name that is no capability is never allowed."""
    return capability in set(Capability) and any(
        capability in licence.capabilities and licence.valid_from <= now < licence.valid_until
        for licence in licences
    )


def allowed(*, licences: Collection[Licence], now: datetime) -> frozenset[str]:
    """Every capability that is licensed now."""
    return frozenset(str(one) for one in Capability if allows(capability=one, licences=licences, now=now))


def require(*, capability: str, licences: Iterable[Licence], now: datetime) -> None:
    """Raise `Refused("licence_missing")` unless the capability is licensed now."""
    if not allows(capability=capability, licences=licences, now=now):
        raise Refused("licence_missing")


def check_record(
    *, number: str, issuer: str, capabilities: Collection[str], valid_from: datetime, valid_until: datetime
) -> None:
    """Raise `Refused("field_invalid")` with the field unless this can be recorded as a licence."""
    if not 0 < len(number.strip()) <= 80:
        raise Refused("field_invalid", field="number")
    if not 0 < len(issuer.strip()) <= 200:
        raise Refused("field_invalid", field="issuer")
    if not capabilities or not set(capabilities) <= {one.value for one in Capability}:
        raise Refused("field_invalid", field="capabilities")
    if valid_until <= valid_from:
        raise Refused("field_invalid", field="valid_until")
