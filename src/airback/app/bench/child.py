"""Servers of the bench as processes of their own, that end with their standard input."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def child(*module: str) -> AsyncIterator[int]:
    """The port of `python -m <module>`, which writes it as its first line and serves until its input closes."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *module, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline())
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()
