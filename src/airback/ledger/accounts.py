"""The chart of accounts. An account holds one asset; its id derives from its code and asset, so no look-up is needed.

`side` is the side the balance stands on. A bounded account never goes below zero, pending amounts included,
except by what a fact from outside took: that shortfall is recorded beside it and raises an alarm.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from airback.domain.assets import CNY

DEBIT: Final = "debit"
CREDIT: Final = "credit"


@dataclass(frozen=True, slots=True)
class Account:
    """One account of a book."""

    id: int
    code: str
    asset: str
    side: str
    bounded: bool


#: first part of an account's code → (side, bounded)
CHART: Final[dict[str, tuple[str, bool]]] = {
    "cash": (DEBIT, False),
    "clearing": (CREDIT, False),
    "float": (CREDIT, True),
    "deposit": (CREDIT, True),
    "proceeds": (CREDIT, True),
    "payable": (CREDIT, True),
    "stored": (CREDIT, True),
    "fee": (CREDIT, False),
    "rail_cost": (CREDIT, False),
    "spread": (CREDIT, False),
    "recourse": (DEBIT, False),
    "loss": (DEBIT, False),
    "suspense": (DEBIT, False),
    "shared": (DEBIT, False),
    "party": (CREDIT, True),
    "tax_withheld": (CREDIT, True),
    "reserve": (CREDIT, True),
    "cost": (DEBIT, False),
    "rebate": (CREDIT, False),
    "source": (CREDIT, False),
    "held": (DEBIT, True),
    "transit": (DEBIT, True),
    "delivered": (DEBIT, False),
    "stock": (DEBIT, False),
}

#: Accounts of which the operator owes the balance to clients; safeguarded cash must cover their sum.
CLIENT_MONEY: Final = ("deposit", "proceeds", "payable", "stored")


@lru_cache(maxsize=200_000)
def account(code: str, asset: str = CNY) -> Account:
    """The account with that code and asset. Raises KeyError when the code's first part is not in `CHART`."""
    side, bounded = CHART[code.partition(":")[0]]
    digest = hashlib.sha256(f"{code}|{asset}".encode()).digest()
    return Account(int.from_bytes(digest[:8], "big") >> 1, code, asset, side, bounded)


def safeguarded() -> Account:
    """Client money in the bank."""
    return account("cash:safeguarded")


def deposit(outlet: str) -> Account:
    """An outlet's prepaid money."""
    return account(f"deposit:{outlet}")


def payable(seller: int) -> Account:
    """What is owed to a seller for delivered airtime."""
    return account(f"payable:{seller}")
