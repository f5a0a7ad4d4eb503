"""The words on a receipt, in Chinese and in English."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Words:
    """Every text of the page that does not come from the receipt itself."""

    language: Literal["zh", "en"]
    title: str
    subtitle: str
    scan: tuple[str, str]
    status: str
    paid: str
    buyer: str
    seller: str
    asset: str
    number: str
    face: str
    delivered: str
    rail: str
    rail_ref: str
    order: str
    agreement: str
    products: Mapping[str, str]
    rails: Mapping[str, str]
    delivered_face: str
    price: str
    price_head: tuple[str, str, str]
    gross: str
    net: str
    deliveries: str
    deliveries_head: tuple[str, str, str, str]
    more: str
    other: str
    times: str
    steps: Mapping[str, str]
    proof: str
    quote: str
    card_version: str
    events: str
    events_count: str
    digest: str
    signature: str
    key: str
    small_print: str


WORDS: Final[Mapping[str, Words]] = {
    "zh": Words(
        language="zh",
        title="交易凭证",
        subtitle="话费转让 · 电子回单",
        scan=("扫码核验", "真伪与内容"),
        status="交易完成",
        paid="实付金额(人民币)",
        buyer="受让方(平台)",
        seller="转让方(收款人)",
        asset="转让标的",
        number="号码 / 卡号",
        face="面值",
        delivered="实际送达",
        rail="收款方式",
        rail_ref="付款流水号",
        order="订单号",
        agreement="协议版本",
        products={"balance": "话费余额", "card": "充值卡"},
        rails={"alipay": "支付宝", "wechat": "微信支付", "bank": "银行卡", "credit": "平台余额"},
        delivered_face="送达面值(计价基数)",
        price="价款明细",
        price_head=("项目", "比率", "金额(元)"),
        gross="回收价",
        net="应付价款",
        deliveries="送达记录",
        deliveries_head=("时间", "接收号码", "运营商流水号", "金额(元)"),
        more="另有 {count} 笔,合计 {amount} 元,见电子版凭证。",
        other="其他 {count} 项",
        times="办理进度(北京时间)",
        steps={
            "submitted": "提交",
            "held": "冻结",
            "delivered": "送达",
            "credited": "入账",
            "paid": "付款",
            "closed": "完成",
        },
        proof="凭证信息",
        quote="报价编号",
        card_version="价目表第 {} 版",
        events="日志序号",
        events_count="共 {} 条",
        digest="凭证摘要",
        signature="电子签名",
        key="签名密钥",
        small_print=(
            "本凭证由平台以 Ed25519 电子签名,摘要为 SHA-256;任何改动都会使签名失效。号码与姓名已脱敏。"
            "服务费与支付通道费按付款前公示的报价收取。本凭证不是发票。"
        ),
    ),
    "en": Words(
        language="en",
        title="Receipt",
        subtitle="Assignment of prepaid airtime",
        scan=("Scan to check", "this receipt"),
        status="Completed",
        paid="Paid (CNY)",
        buyer="Buyer (platform)",
        seller="Seller (payee)",
        asset="Asset",
        number="Number / card",
        face="Face value",
        delivered="Delivered",
        rail="Paid through",
        rail_ref="Payment reference",
        order="Order",
        agreement="Agreement",
        products={"balance": "balance", "card": "recharge card"},
        rails={"alipay": "Alipay", "wechat": "WeChat Pay", "bank": "Bank", "credit": "Platform credit"},
        delivered_face="Face value delivered",
        price="Price, line by line",
        price_head=("Item", "Rate", "Amount (CNY)"),
        gross="Buy-back price",
        net="Owed to the seller",
        deliveries="Deliveries",
        deliveries_head=("Time", "Received by", "Carrier's reference", "Amount (CNY)"),
        more="{count} more, {amount} yuan together: see the electronic receipt.",
        other="{count} more lines",
        times="Progress (Beijing time)",
        steps={
            "submitted": "Submitted",
            "held": "Held",
            "delivered": "Delivered",
            "credited": "Credited",
            "paid": "Paid",
            "closed": "Closed",
        },
        proof="Proof",
        quote="Quote",
        card_version="rate card {}",
        events="Log entries",
        events_count="{} in all",
        digest="Digest",
        signature="Signature",
        key="Signing key",
        small_print=(
            "Signed by the platform with Ed25519; the digest is SHA-256. Any change breaks the signature. Numbers and "
            "names are masked. Fees are those of the quote accepted before the sale. This is not an invoice."
        ),
    ),
}
