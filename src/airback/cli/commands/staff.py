"""`airback staff NAME`: a person for the console."""

import argparse
import getpass
import os
import sys
from datetime import UTC, datetime

from airback.app.opening import open_installation
from airback.app.platform import database
from airback.app.settings import read
from airback.cli.show import say
from airback.engine.appoint import create_staff
from airback.store.pool import connect_once


async def run(arguments: argparse.Namespace) -> int:
    """`airback staff NAME`: the password is asked for at the terminal, or read from standard input."""
    settings = read(data=arguments.data)
    password = getpass.getpass("password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    async with database(settings) as url:
        await open_installation(settings, url=url, now=datetime.now(UTC))
        conn = await connect_once(url)
        try:
            name = await create_staff(
                conn,
                book=settings.book,
                name=arguments.name,
                password=password,
                roles=arguments.roles,
                by="setup",
                now=datetime.now(UTC),
                entropy=os.urandom,
            )
        finally:
            await conn.close()
    say(f"{name} may sign in to the console")
    return 0
