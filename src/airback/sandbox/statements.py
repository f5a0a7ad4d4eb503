"""A day's statement as the sandbox's far sides hand it over: Alipay's daily bill, a carrier's CSV, both in GB18030.

Written from the far side's own books, never from what the platform says; what was refused or never arrived is not in it.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final

from airback.domain.assets import CARRIERS
from airback.domain.money import yuan
from airback.sandbox.accounts import Accounts
from airback.sandbox.alipay_books import CHINA, AlipayBooks, Transfer
from airback.sandbox.records import Task, from_micros, to_micros

ALIPAY: Final = "rail:alipay"
FAR_SIDES: Final = (ALIPAY, *(f"carrier:{carrier}" for carrier in CARRIERS))

_PAGE: Final = 1_000
_RULE: Final = "-" * 40
_BILL_HEADERS: Final = (
    "账务流水号", "业务流水号", "商户订单号", "商品名称", "发生时间", "对方账号", "收入金额(+元)", "支出金额(-元)",
    "账户余额(元)", "交易渠道", "业务类型", "备注",
)  # fmt: skip
_CARRIER_HEADERS: Final = ("流水号", "对方流水号", "类型", "金额(元)", "时间", "号码", "收支")
#: What of a carrier's doings a statement lists, and how: a reservation moves nothing and stands in none.
_LISTED: Final = {
    "deliver": ("transfer", "支出"),
    "custody": ("hold", "支出"),
    "give_back": ("release", "收入"),
    "redeem": ("redeem", "支出"),
}


def statement(data_dir: Path, far_side: str, *, day: date, now: datetime) -> bytes:
    """The file of one China day. Raises ValueError for a far side that is not one of `FAR_SIDES`."""
    if far_side not in FAR_SIDES:
        raise ValueError(f"no far side of that name; there are: {', '.join(FAR_SIDES)}")
    since = datetime.combine(day, time(), CHINA)
    until = since + timedelta(days=1)
    folder = data_dir / "sandbox"
    if far_side == ALIPAY:
        books = AlipayBooks(folder / "alipay.db")
        try:
            text = alipay_bill(_transfers(books, since, until, now), since=since, until=until, now=now)
        finally:
            books.close()
    else:
        accounts = Accounts(folder, now=lambda: now)
        try:
            accounts.settle()
            carrier = far_side.removeprefix("carrier:")
            text = carrier_csv(_tasks(accounts, carrier, since, until), day=day)
        finally:
            accounts.close()
    return text.encode("gb18030")


def alipay_bill(transfers: Iterable[Transfer], *, since: datetime, until: datetime, now: datetime) -> str:
    """支付宝账务明细: remarks, one row a transfer, the closing line, the totals."""
    body = io.StringIO()
    rows = csv.writer(body, lineterminator="\r\n")
    rows.writerow(_BILL_HEADERS)
    count = sum_fen = 0
    for transfer in transfers:
        count, sum_fen = count + 1, sum_fen + transfer.amount_fen
        rows.writerow((
            transfer.order_id, transfer.fund_order_id, transfer.out_biz_no, "", transfer.paid_at, transfer.identity,
            "", f"-{yuan(transfer.amount_fen)}", yuan(transfer.balance_fen), "支付宝", "转账", transfer.remark,
        ))  # fmt: skip
    head = [
        "#支付宝账务明细查询",
        "#账号:[20880000000000000156]",
        f"#起始日期:[{_chinese(since)}]   终止日期:[{_chinese(until)}]",
        f"#{_RULE}账务明细列表{_RULE}",
    ]
    foot = [
        f"#{_RULE}账务明细列表结束{_RULE}",
        f"#支出合计:{count}笔,共-{yuan(sum_fen)}元",
        "#收入合计:0笔,共0.00元",
        f"#导出时间:[{_chinese(now.astimezone(CHINA))}]",
    ]
    return "\r\n".join([*head, body.getvalue().rstrip("\r\n"), *foot, ""])


def carrier_csv(tasks: Iterable[Task], *, day: date) -> str:
    """A carrier's statement: remarks with the day and the totals, Chinese headers, one row an execution."""
    body = io.StringIO()
    rows = csv.writer(body, lineterminator="\r\n")
    rows.writerow(_CARRIER_HEADERS)
    count, sums = 0, {"支出": 0, "收入": 0}
    for task in tasks:
        kind, way = _LISTED[task.kind]
        count, sums[way] = count + 1, sums[way] + task.moved_fen
        at = from_micros(task.confirmed_at or 0).astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")
        party = task.receiver_number or task.number or ""
        rows.writerow((task.client_ref or "", task.id, kind, yuan(task.moved_fen), at, party, way))
    head = [
        f"# 日期: {day.isoformat()}",
        f"# 笔数: {count}",
        f"# 支出合计: {yuan(sums['支出'])}",
        f"# 收入合计: {yuan(sums['收入'])}",
    ]
    return "\r\n".join([*head, body.getvalue()])


def _transfers(books: AlipayBooks, since: datetime, until: datetime, now: datetime) -> Iterator[Transfer]:
    page = 1
    while True:
        found, _ = books.log(
            since=_millis(since), until=_millis(until), now=_millis(now), page=page, size=_PAGE
        )
        yield from found
        if len(found) < _PAGE:
            return
        page += 1


def _tasks(accounts: Accounts, carrier: str, since: datetime, until: datetime) -> Iterator[Task]:
    for resource in ("transferBalance", "topupBalance"):
        offset = 0
        while True:
            found, _ = accounts.page(
                resource,
                carrier=carrier,
                status="completed",
                since=to_micros(since.astimezone(UTC)),
                until=to_micros(until.astimezone(UTC)),
                offset=offset,
                limit=_PAGE,
            )
            yield from (task for task in found if task.kind in _LISTED)
            if len(found) < _PAGE:
                break
            offset += _PAGE


def _millis(moment: datetime) -> int:
    return to_micros(moment.astimezone(UTC)) // 1000


def _chinese(moment: datetime) -> str:
    return f"{moment:%Y}年{moment:%m}月{moment:%d}日 {moment:%H:%M:%S}"


__all__ = ["ALIPAY", "FAR_SIDES", "alipay_bill", "carrier_csv", "statement"]
