"""notify: a person hears of the steps that matter. Nothing ever depends on a message."""

from typing import Final

from airback.domain.effects import Kind
from airback.domain.money import yuan
from airback.domain.numbers import mask
from airback.domain.ports.messenger import Message
from airback.engine.batch import Batch
from airback.engine.records import Order

MESSENGER: Final = "messenger:sms"

_TEXTS: Final = {
    ("held", "zh"): "【话费回收】您的号码 {subject} 已冻结话费 {amount} 元,正在送出。",
    ("held", "en"): "[Airback] {amount} yuan of airtime on {subject} is held and on its way.",
    ("delivered", "zh"): "【话费回收】您出售的 {amount} 元话费已送达,款项正在支付。",
    ("delivered", "en"): "[Airback] {amount} yuan of airtime was delivered; you are being paid.",
    ("paid", "zh"): "【话费回收】{amount} 元已付至您的收款账户。",
    ("paid", "en"): "[Airback] {amount} yuan was paid to your account.",
    ("returned", "zh"): "【话费回收】付给您的 {amount} 元被退回,钱仍是您的:请在订单页填写收款账户。",
    (
        "returned",
        "en",
    ): "[Airback] {amount} yuan paid to you came back. It is yours: please name a payee on the order's page.",
    ("payee", "zh"): "【话费回收】付款未成功:收款账户信息有误,请在订单页更正。",
    (
        "payee",
        "en",
    ): "[Airback] The payment did not go through: please correct the payee on the order's page.",
}


def notify(batch: Batch, order: Order, step: str, amount_fen: int) -> None:
    """Journal a message about one step to a person who left a number; files hear nothing row by row."""
    if not batch.policy.notices or order.notify_number is None or order.lane != 0:
        return
    language = "zh" if order.language.startswith("zh") else "en"
    subject = mask(order.number or order.card_number or "")
    ref = batch.new_ref()
    text = _TEXTS[step, language].format(subject=subject, amount=yuan(amount_fen))
    batch.journal(
        Kind.NOTIFY,
        far_side=MESSENGER,
        request=Message(ref=ref, number=order.notify_number, text=text),
        ref=ref,
        order=order,
    )
