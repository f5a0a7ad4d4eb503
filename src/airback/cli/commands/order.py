"""`airback order ID`: one order's figures and what happened to it."""

import argparse

from airback.app import sandboxing
from airback.app.platform import database
from airback.app.settings import read
from airback.cli.show import print_json, say
from airback.domain import ids
from airback.domain.money import yuan
from airback.domain.refusals import Refused
from airback.queries import orders as order_queries
from airback.store.pool import connect_once


async def run(arguments: argparse.Namespace) -> int:
    """`airback order ID`."""
    settings = read(data=arguments.data)
    order_id = ids.parse_public("ord", arguments.id)
    if order_id is None:
        raise Refused("not_found", field="id")
    async with database(settings) as url:
        conn = await connect_once(url)
        try:
            view = await order_queries.get_order(conn, book=settings.book, order_id=order_id)
            if view is None:
                raise Refused("not_found", field="id")
            entries = await order_queries.timeline(conn, book=settings.book, order_id=order_id)
        finally:
            await conn.close()
    if arguments.json:
        print_json(sandboxing.plain({"order": view, "timeline": entries}))
        return 0
    say(
        f"{arguments.id}  {view.carrier} {view.product}  {yuan(view.face_fen)} yuan → {yuan(view.net_fen)} yuan net"
    )
    say(
        f"state {view.state}{' · ' + view.code if view.code else ''}  delivered {yuan(view.delivered_fen)}  paid {yuan(view.paid_fen)}"
    )
    for entry in entries:
        say(f"  {sandboxing.line_of(entry)}")
    return 0
