"""`airback client NAME`: an API client and its key."""

import argparse
import json
import os
import sys
from datetime import UTC, datetime

from airback.adapters.keys.files import FileKeys
from airback.api.credentials import create_client
from airback.app.opening import open_installation
from airback.app.platform import database
from airback.app.settings import read
from airback.cli.show import print_json
from airback.store.pool import connect_once


async def run(arguments: argparse.Namespace) -> int:
    """`airback client NAME`: the key is shown once and kept nowhere."""
    settings = read(data=arguments.data)
    async with database(settings) as url:
        await open_installation(settings, url=url, now=datetime.now(UTC))
        conn = await connect_once(url)
        try:
            key = await create_client(
                conn,
                book=settings.book,
                client=arguments.name,
                kind=arguments.kind,
                outlet=arguments.outlet,
                scopes=arguments.scopes,
                keys=FileKeys(settings.keys_dir),
                now=datetime.now(UTC),
                entropy=os.urandom,
            )
        finally:
            await conn.close()
    if arguments.json:
        print_json({"client": arguments.name, "key": key})
    else:
        sys.stdout.write(json.dumps(key)[1:-1] + "\n")
    return 0
