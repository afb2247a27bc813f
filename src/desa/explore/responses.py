"""Large answers, sent piece by piece: no copy of a column waits in memory for a slow client."""

from __future__ import annotations

import numpy as np
from fastapi import HTTPException, Response
from numpy.typing import NDArray
from starlette.types import Receive, Scope, Send

BINARY = "application/octet-stream"
PIECE = 1 << 18
"""Bytes that are handed to the connection at once; it takes the next when these are nearly gone."""


class Pieces(Response):
    """An answer whose content is handed over in pieces and not copied before.

    Parameters
    ----------
    content
        Anything that lends its bytes.
    media_type
        Its kind.
    name
        The file's name, for a download.
    """

    def __init__(self, content: bytes | NDArray[np.float32], media_type: str, name: str = "") -> None:
        self._view = memoryview(content).cast("B") if len(content) else memoryview(b"")  # type: ignore[arg-type]
        headers = {"content-length": str(len(self._view))}
        if name:
            headers["content-disposition"] = f'attachment; filename="{name}"'
        super().__init__(None, headers=headers, media_type=media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for start in range(0, len(self._view), PIECE):
            piece = bytes(self._view[start : start + PIECE])
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def floats(values: NDArray[np.float32] | None) -> Response:
    """Numbers as little-endian float32; not found where there are none."""
    if values is None:
        raise HTTPException(404, "the survey has none of this star")
    return Pieces(np.ascontiguousarray(values, "<f4"), BINARY)
