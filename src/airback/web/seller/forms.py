"""What sellers type, made into values: each field with its own named refusal, and what was typed kept as it was."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from airback.domain.assets import CARRIERS
from airback.domain.money import MAX_FEN, MoneyError, parse_yuan
from airback.domain.numbers import parse_card_code, parse_card_number, parse_mobile
from airback.domain.refusal import Refusal
from airback.domain.refusals import REFUSALS

Errors = dict[str, Refusal]
"""Refusals by the name of the field they belong to."""

_CODE: Final = re.compile(r"[0-9]{4,8}", re.ASCII)
_MAIL: Final = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}", re.ASCII)
_ALIPAY_ID: Final = re.compile(r"2088[0-9]{12}", re.ASCII)
_DIGIT_GROUPS: Final = re.compile(r"[0-9][0-9 \u00a0\-]*[0-9]", re.ASCII)
MOST_NAME: Final = 40
MOST_ACCOUNT: Final = 100


@dataclass(frozen=True, slots=True)
class Payee:
    """Whom to pay, as typed."""

    rail: str
    account: str
    name: str


@dataclass(frozen=True, slots=True)
class Card:
    """A card without its code."""

    carrier: str
    face_fen: int
    card_number: str
    expires_on: date | None
    notify_number: str | None


def plain(text: str) -> str:
    """Full-width digits and letters made plain, outer white space gone."""
    return unicodedata.normalize("NFKC", text).strip()


def read_number(form: Mapping[str, str], errors: Errors, *, field: str = "number") -> str:
    """A mobile number, or "" with an error noted."""
    number = parse_mobile(plain(form.get(field, ""))[:40])
    if number is None:
        errors[field] = REFUSALS["number_malformed"]
        return ""
    return number


def read_code(form: Mapping[str, str], errors: Errors) -> str:
    """A one-time code, or "" with an error noted."""
    code = re.sub(r"\s", "", plain(form.get("code", "")[:40]))
    if not _CODE.fullmatch(code):
        errors["code"] = REFUSALS["code_wrong"]
        return ""
    return code


def read_amount(form: Mapping[str, str], errors: Errors, *, field: str = "amount") -> int:
    """Fen of a yuan amount, picked or typed, or 0 with an error noted."""
    text = plain(form.get(field, "")[:40]).removeprefix("¥").removesuffix("元").replace(",", "").strip()
    try:
        fen = parse_yuan(text)
    except MoneyError as problem:
        errors[field] = REFUSALS[problem.code]
        return 0
    if fen > MAX_FEN:
        errors[field] = REFUSALS["amount_above_limit"]
        return 0
    return fen


def read_card(form: Mapping[str, str], errors: Errors, *, today: date) -> Card:
    """A card as typed on its page; with errors the values stand in for nothing."""
    carrier = form.get("carrier", "")
    if carrier not in CARRIERS:
        errors["carrier"] = REFUSALS["carrier_unknown"]
    face_fen = read_amount(form, errors, field="face")
    card_number = parse_card_number(plain(form.get("card_number", "")[:80]))
    if card_number is None:
        errors["card_number"] = REFUSALS["card_number_malformed"]
    expires_on = None
    written = plain(form.get("expires_on", "")[:20])
    if written:
        try:
            expires_on = date.fromisoformat(written.replace("/", "-").replace(".", "-"))
        except ValueError:
            errors["expires_on"] = REFUSALS["field_invalid"]
        else:
            if expires_on < today:
                errors["expires_on"] = REFUSALS["card_expired"]
    notify_number = None
    if form.get("notify_number", "").strip():
        notify_number = read_number(form, errors, field="notify_number") or None
    return Card(carrier, face_fen, card_number or "", expires_on, notify_number)


def read_card_code(form: Mapping[str, str], errors: Errors, *, card_number: str) -> str:
    """A card's code, or "" with an error noted. Number and code pasted together give the code."""
    text = plain(form.get("card_code", "")[:120])
    code = parse_card_code(text)
    if code is None:
        runs = [re.sub(r"[^0-9]", "", run) for run in _DIGIT_GROUPS.findall(text)]
        others = [run.removeprefix(card_number) for run in runs if run != card_number]
        code = parse_card_code(others[0]) if len(others) == 1 else None
    if code is None or code == card_number:
        errors["card_code"] = REFUSALS["card_code_malformed"]
        return ""
    return code


def read_payee(form: Mapping[str, str], errors: Errors, *, rails: Mapping[str, object]) -> Payee:
    """Whom to pay. Platform credit needs no account."""
    rail = form.get("rail", "") or next(iter(rails), "")
    if rail not in rails:
        errors["rail"] = REFUSALS["rail_unavailable"]
    account = plain(form.get("payee_account", "")[: MOST_ACCOUNT + 1])
    name = " ".join(plain(form.get("payee_name", "")[: MOST_NAME + 1]).split())
    if rail == "credit":
        return Payee(rail, account, name)
    mobile = parse_mobile(account)
    account = mobile or account
    if not account:
        errors["payee_account"] = REFUSALS["field_missing"]
    elif mobile is None and not _ALIPAY_ID.fullmatch(account) and not _MAIL.fullmatch(account):
        errors["payee_account"] = REFUSALS["payee_malformed"]
    if not name:
        errors["payee_name"] = REFUSALS["field_missing"]
    elif len(name) > MOST_NAME or not _is_name(name):
        errors["payee_name"] = REFUSALS["field_invalid"]
    return Payee(rail, account, name)


def _is_name(name: str) -> bool:
    return all(
        unicodedata.category(character)[0] in "LM" or character in " ·.'-•" for character in name
    ) and any(unicodedata.category(character)[0] == "L" for character in name)
