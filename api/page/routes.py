"""Routes of the page: /, /docs, /favicon.ico, and the files that they load."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Response
from starlette.responses import FileResponse

STATIC = Path(__file__).parent / "static"

PAGES = {"/": "index.html", "/docs": "docs.html", "/favicon.ico": "favicon.svg"}
ASSETS = {f"/page/{path.name}": path.name for path in sorted(STATIC.iterdir()) if path.suffix in (".css", ".js")}

FILES = PAGES | ASSETS
"""The file of each path. They hold nothing of this installation, so they are open: the browser asks for the token."""

_HEADERS = {
    # everything comes from here, and what an agent wrote can load and run nothing
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",  # an upgrade is seen at once; an unchanged file is answered with 304
}
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

router = APIRouter(include_in_schema=False)


def _add(path: str, name: str) -> None:
    @router.get(path, name=f"page {path}")
    async def serve() -> Response:
        return FileResponse(STATIC / name, headers=_HEADERS, media_type=_TYPES[Path(name).suffix])


for _path, _name in FILES.items():
    _add(_path, _name)
