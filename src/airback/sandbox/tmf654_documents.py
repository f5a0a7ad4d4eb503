"""The specification's documents, drawn from rows of the books. Fields of our profile are marked where they stand."""

import sqlite3
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from airback.sandbox.records import REASONS, Task, from_micros, principal_bucket, to_micros

BASE: Final = "/tmf-api/prepayBalanceManagement/v4"


def moment(value: int) -> str:
    """RFC 3339 in UTC."""
    return from_micros(value).isoformat().replace("+00:00", "Z")


def quantity(fen: int) -> dict[str, Any]:
    """A Quantity: yuan with two decimals."""
    return {"amount": Decimal(fen).scaleb(-2), "units": "CNY"}


def bucket_document(row: sqlite3.Row, now: datetime) -> dict[str, Any]:
    """A Bucket."""
    expired = row["expires_at"] is not None and row["expires_at"] <= to_micros(now)
    line = row["line_status"]
    status = "expired" if line == "dead" or expired else "suspended" if line == "suspended" else "active"
    document: dict[str, Any] = {
        "id": row["id"],
        "href": f"{BASE}/bucket/{row['id']}",
        "name": row["name"],
        "isShared": False,
        "usageType": "monetary",
        "status": status,
        "remainingValue": quantity(row["amount_fen"]),
        "reservedValue": quantity(row["reserved_fen"]),
        "remainingValueName": f"{Decimal(row['amount_fen']).scaleb(-2)} CNY",
        "relatedParty": [{"id": row["carrier"], "role": "carrier", "@referredType": "Organization"}],
    }
    if row["number"] is not None:
        document |= {
            "logicalResource": [{"id": row["number"], "@referredType": "MSISDN"}],
            "partyAccount": {"id": row["number"]},
            # profile: what the standard has no place for
            "lineStatus": line,
            "keepAlive": quantity(row["keep_alive_fen"]),
            "chargesDue": quantity(row["charges_due_fen"]),
        }
        if row["province"] is not None:
            document["province"] = row["province"]
    if row["expires_at"] is not None:
        document["validFor"] = {"endDateTime": moment(row["expires_at"])}
    return document


def accumulated_document(line: sqlite3.Row) -> dict[str, Any]:
    """An AccumulatedBalance: everything a number has."""
    number = line["number"]
    return {
        "id": number,
        "href": f"{BASE}/accumulatedBalance/{number}",
        "name": "monetary",
        "bucket": [{"id": f"{number}.principal"}, {"id": f"{number}.promotional"}],
        "logicalResource": {"id": number, "@referredType": "MSISDN"},
        "partyAccount": {"id": number},
        "totalBalance": quantity(line["principal_fen"] + line["promotional_fen"]),
    }


def task_document(task: Task, held: sqlite3.Row | None) -> dict[str, Any]:
    """A ReserveBalance, TransferBalance, TopupBalance or AdjustBalance. A voucher is never told again."""
    done = task.status in ("completed", "cancelled") and task.moved_fen
    document: dict[str, Any] = {
        "id": task.id,
        "href": f"{BASE}/{task.resource}/{task.id}",
        "status": task.status,
        "requestedDate": moment(task.requested_at),
        "amount": quantity(task.moved_fen if done else task.asked_fen),
        "usageType": task.said.get("usageType", "monetary"),
        "bucket": {"id": task.bucket},
        "relatedParty": [{"id": task.carrier, "role": "carrier", "@referredType": "Organization"}],
    }
    if task.confirmed_at is not None:
        document["confirmationDate"] = moment(task.confirmed_at)
    for name in ("reason", "description"):
        if name in task.said:
            document[name] = task.said[name]
    for name in ("channel", "partyAccount"):
        if name in task.said:
            document[name] = {"id": task.said[name]}
    if task.number is not None:
        document["logicalResource"] = [{"id": task.number, "@referredType": "MSISDN"}]
    if task.resource == "transferBalance":
        document |= {
            "logicalResource": [{"id": task.number or "platform"}],
            "receiverLogicalResource": {"id": task.receiver_number},
            "receiverBucket": {"id": task.receiver_bucket},
            "receiverBucketUsageType": task.said.get("receiverBucketUsageType", "monetary"),
        }
    if held is not None:
        document["validFor"] = {"endDateTime": moment(held["expires_at"])}
    return document | _profile_fields(task, held)


def _profile_fields(task: Task, held: sqlite3.Row | None) -> dict[str, Any]:
    """What our profile adds to a task."""
    fields: dict[str, Any] = {
        "clientReference": task.client_ref,
        "purpose": task.purpose,
        "voucherNumber": task.card_number,
        "reservation": {"id": task.reservation} if task.reservation else None,
        "releases": {"id": task.releases} if task.releases else None,
        "failure": {"code": task.failure, "reason": REASONS.get(task.failure, task.failure)}
        if task.failure
        else None,
    }
    if task.after_fen is not None and task.before_fen is not None:
        fields["receiverBalance"] = {"before": quantity(task.before_fen), "after": quantity(task.after_fen)}
    if held is not None:
        fields |= {
            "reservedValue": quantity(held["left_fen"]),
            "ended": held["ended"],
            "releaseReference": held["release_ref"],
            "releasedValue": quantity(held["released_fen"]) if not held["open"] else None,
            "endedDate": moment(held["ended_at"]) if held["ended_at"] is not None else None,
        }
    return {name: value for name, value in fields.items() if value is not None}


def history_document(task: Task) -> dict[str, Any]:
    """A BalanceActionHistory entry."""
    document = task_document(task, None)
    document["href"] = f"{BASE}/balanceActionHistory/{task.id}"
    document["receiverLogicalResource"] = {"id": task.receiver_number or task.number or "platform"}
    document["receiverBucket"] = {"id": task.receiver_bucket or task.bucket}
    document["description"] = task.resource
    if task.number is not None:
        document["bucket"] = {"id": task.bucket if task.bucket else principal_bucket(task.number)}
    return document
