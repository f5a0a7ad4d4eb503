"""Style sheets and scripts of the pages, from memory, each under an address that changes with its content.

The folder is read once per process: about a megabyte, text compressed once. What is not in the table is not
served, so no path can leave the folder. The receipt's font files are for printing and are left out.
"""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".webmanifest": "application/manifest+json",
}
_TEXT: Final = frozenset({".css", ".js", ".svg", ".webmanifest"})


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file: its bytes, the same compressed (text only), its media type and the hash its address carries."""

    body: bytes
    packed: bytes | None
    media_type: str
    version: str


@cache
def static_files() -> dict[str, StaticFile]:
    """Every file a page may ask for, by its path below the folder."""
    found = {}
    for path in sorted(FOLDER.rglob("*")):
        media_type = _TYPES.get(path.suffix)
        if media_type is None or not path.is_file():
            continue
        body = path.read_bytes()
        found[path.relative_to(FOLDER).as_posix()] = StaticFile(
            body=body,
            packed=gzip.compress(body, 6, mtime=0) if path.suffix in _TEXT else None,
            media_type=media_type,
            version=hashlib.sha256(body).hexdigest()[:12],
        )
    return found


def static_url(path: str) -> str:
    """`/static/seller/seller.css?v=0123456789ab`. An asset that setup has not fetched gets version `missing`."""
    file = static_files().get(path)
    return f"/static/{path}?v={file.version if file else 'missing'}"


@get("/static/{path:path}", include_in_schema=False, sync_to_thread=False, name="static-file")
def serve_static(request: Request[Any, Any, Any], path: FromPath[str]) -> Response[bytes]:
    """One file; under its current version it may be kept for ever, under any other it must be asked for again."""
    file = static_files().get(path.lstrip("/"))
    if file is None:
        raise NotFoundException(detail="no such file")
    current = request.query_params.get("v") == file.version
    headers = {
        "cache-control": "public, max-age=31536000, immutable" if current else "no-cache",
        "etag": f'"{file.version}"',
        "vary": "accept-encoding",
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "same-origin",
    }
    if request.headers.get("if-none-match") == f'"{file.version}"':
        return Response(content=b"", status_code=304, headers=headers, media_type=file.media_type)
    body = file.body
    if file.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        body = file.packed
    return Response(content=body, headers=headers, media_type=file.media_type)
