"""Reconciliation: a far side's statement laid beside our own rows, and a name for every difference.

`rows` is the one form of a row, `reading` recognises a file, `own_csv`, `camt053` and `alipay_bill` read one format
each, `matching` pairs and explains, `breaks` says what may become of a difference. Nothing here touches a file,
a clock or a database: bytes and frames come in, frames go out.
"""
