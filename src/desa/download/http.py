"""One file by HTTP: continued where it broke off, tried again, never taken for whole before it is."""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import SecretStr

from desa import __version__
from desa.download.pace import Pace, retry_after
from desa.files import read_bytes, regular, written_whole

CHUNK = 1 << 16
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_REFUSED = {
    401: "access refused (401); is the token right?",
    403: "access refused (403); is the token right, and are you allowed to see this release?",
    404: "the archive does not have it (404)",
    410: "the archive does not have it any more (410)",
}
_WEB_PAGE = re.compile(rb"\s*(<!doctype\s+html|<html|<head|<body)", re.IGNORECASE)


@dataclass(frozen=True)
class Remote:
    """A file on a server.

    Parameters
    ----------
    url
        Address, without anything secret.
    size
        Bytes, where the archive lists them.
    token
        Sent as the query's ``token``; never written anywhere.
    max_bytes
        More than this is not the file that was asked for.
    """

    url: str
    size: int | None = None
    token: SecretStr | None = field(default=None, repr=False)
    max_bytes: int = 1 << 28

    def request_url(self) -> str:
        """The address to ask, with the token."""
        if self.token is None:
            return self.url
        query = urllib.parse.urlencode({"token": self.token.get_secret_value()})
        return f"{self.url}{'&' if '?' in self.url else '?'}{query}"

    def said(self, message: str) -> str:
        """A message without the token, whatever it quotes."""
        secret = self.token.get_secret_value() if self.token else ""
        return message.replace(secret, "***") if secret else message


@dataclass(frozen=True)
class Patience:
    """How long to wait and how often to try.

    Parameters
    ----------
    timeout_s
        Seconds without a byte.
    attempts
        Tries in a row that bring nothing new.
    longest_pause_s
        A server that asks for a longer pause is left alone: the file fails, to be fetched another time.
    slowest
        Bytes a second, over `slow_after_s` seconds, under which a connection is given up.
    slow_after_s
        Seconds.
    """

    timeout_s: float = 60.0
    attempts: int = 5
    longest_pause_s: float = 900.0
    slowest: float = 500.0
    slow_after_s: float = 60.0


class Refused(Exception):
    """Asking again would not help."""


class _Broken(Exception):
    """Asking again may help; after so many seconds, where the server says."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects to HTTP addresses only, and from HTTPS to HTTPS only: a token never travels in the clear."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old = urllib.parse.urlsplit(req.full_url)
        try:
            new = urllib.parse.urlsplit(newurl)
        except ValueError:
            raise Refused("redirected to an address that is none") from None
        if new.scheme not in ("http", "https") or (old.scheme == "https" and new.scheme == "http"):
            raise Refused(f"redirected from {old.scheme} to {new.scheme or 'nothing'}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """HTTP and HTTPS, through the environment's proxy if any; no files, no FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


@dataclass
class _Partial:
    """What is there of a file, and which version of it that is (strong ETag or date of change)."""

    path: Path
    url: str

    @property
    def _note(self) -> Path:
        return self.path.with_suffix(".json")

    def start(self) -> tuple[int, str]:
        """Bytes to go on from and the version they are of; nothing where they are of another address."""
        try:
            note = json.loads(read_bytes(self._note, 1 << 16))
            size = regular(self.path).stat().st_size
        except (OSError, ValueError, RecursionError):
            return 0, ""
        if not isinstance(note, dict) or note.get("url") != self.url or not note.get("version"):
            return 0, ""
        return size, str(note["version"])

    def begin(self, version: str) -> None:
        """Forget what is there; note which version comes now."""
        self.forget()  # also a link that somebody put there: nothing is written through it
        with written_whole(self._note) as scratch:
            scratch.write_text(json.dumps({"url": self.url, "version": version}))

    def forget(self) -> None:
        """Remove what is there."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def fetch(remote: Remote, part: Path, pace: Pace, patience: Patience = Patience()) -> None:
    """Bring a file to `part`, from where an earlier try or run broke off.

    Nothing is said of its content but its length; see `desa.download.check`.

    Parameters
    ----------
    remote
        What to fetch.
    part
        Where its bytes go; a note of the server's version lies beside, with the ending ``.json``.
    pace
        When to ask.
    patience
        How often and how long.

    Raises
    ------
    Refused
        If the server says no, sends a web page, or nothing new came in `Patience.attempts` tries in a row.
    Stopped
        When `Pace.stop` is called.
    """
    partial = _Partial(part, remote.url)
    opener = _opener()
    failures, best = 0, partial.start()[0]
    while True:
        pace.wait()
        try:
            return _attempt(opener, remote, partial, pace, patience)
        except Refused as error:
            raise Refused(remote.said(str(error))) from None
        except (ValueError, http.client.InvalidURL):  # of an address that the server redirects to
            raise Refused("redirected to an address that is none") from None
        except (_Broken, urllib.error.URLError, http.client.HTTPException, OSError) as error:
            if isinstance(error, OSError) and _is_disk(error, part):
                raise
            reason = remote.said(_reason(error))
            there = part.stat().st_size if part.exists() else 0
            failures = 0 if there > best else failures + 1
            best = max(best, there)
            wait = error.wait_s if isinstance(error, _Broken) else None
            if wait is not None and wait > patience.longest_pause_s:
                raise Refused(f"{reason}; the server asks to wait {wait:.0f} s, try another time") from None
            if failures >= patience.attempts:
                raise Refused(f"{reason}, {failures} times in a row") from None
            if wait is not None:
                pace.pause(wait)
            pace.sleep(pace.backoff(max(failures, 1)))


def _is_disk(error: OSError, part: Path) -> bool:
    """Whether an error is of the file written, not of the network."""
    return error.filename is not None and str(error.filename).startswith(str(part.parent))


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", None)
    text = str(inner if isinstance(inner, Exception) else error).strip() or type(error).__name__
    if isinstance(error, TimeoutError) or isinstance(inner, TimeoutError):
        return "the server does not answer in time"
    return text if isinstance(error, _Broken) else f"the connection broke ({text})"


def _attempt(
    opener: urllib.request.OpenerDirector, remote: Remote, partial: _Partial, pace: Pace, patience: Patience
) -> None:
    have, version = partial.start()
    if have and remote.size is not None and have >= remote.size:
        if have == remote.size:
            return
        partial.forget()
        have = 0
    headers = {"User-Agent": f"desa/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    request = urllib.request.Request(remote.request_url(), headers=headers)
    try:
        response = opener.open(request, timeout=patience.timeout_s)
    except urllib.error.HTTPError as error:
        _raise_for(error, partial)
    with response:
        offset = have if response.status == 206 else 0
        if response.status == 206 and not _continues(response.headers.get("Content-Range"), have):
            partial.forget()
            raise _Broken("the server sent another part than it was asked for")
        if not offset:
            partial.begin(_version(response.headers))
        _receive(response, remote, partial, offset, pace, patience)


def _raise_for(error: urllib.error.HTTPError, partial: _Partial) -> None:
    code = error.code
    error.close()
    if code == 416:  # the file is shorter than what is there: not the same file
        partial.forget()
        raise _Broken("the server has no such part of the file")
    if code in _TRANSIENT:
        wait = retry_after(error.headers.get("Retry-After")) if code in (429, 503) else None
        name = {429: "too many requests (429)", 503: "the service is unavailable (503)"}.get(code)
        raise _Broken(name or f"the server failed ({code})", wait)
    plain = f"the server answered {code} {http.client.responses.get(code, '')}".strip()
    raise Refused(_REFUSED.get(code, plain))


def _version(headers: Any) -> str:
    """What ``If-Range`` may name: a strong ETag, else the date of the last change."""
    tag = str(headers.get("ETag") or "").strip()
    return tag if tag and not tag.startswith("W/") else str(headers.get("Last-Modified") or "").strip()


def _continues(content_range: str | None, have: int) -> bool:
    found = re.match(r"bytes (\d+)-", content_range or "")
    return bool(found) and int(found[1]) == have if found else False


def _receive(
    response: Any, remote: Remote, partial: _Partial, offset: int, pace: Pace, patience: Patience
) -> None:
    """Append a response's body; check it against every length that is known."""
    plain = (response.headers.get("Content-Encoding") or "identity").lower() == "identity"
    declared = response.headers.get("Content-Length") or ""
    promised = offset + int(declared) if declared.isdecimal() else None
    expected = remote.size if plain else None
    if expected is not None and promised is not None and promised != expected:
        partial.forget()
        raise _Broken(f"the server announces {promised} bytes where the archive lists {expected}")
    total, begun = offset, time.monotonic()
    with partial.path.open("ab" if offset else "wb") as stream:
        while chunk := response.read1(CHUNK):
            if not total and _WEB_PAGE.match(chunk):
                _drop(stream, partial)
                raise Refused("a web page came instead of the file; is the token right, and the number?")
            total += len(chunk)
            if total > remote.max_bytes:
                _drop(stream, partial)
                raise Refused(f"larger than {remote.max_bytes} bytes, so not the file that was asked for")
            stream.write(chunk)
            pace.check()
            spent = time.monotonic() - begun
            if spent > patience.slow_after_s and (total - offset) / spent < patience.slowest:
                raise _Broken(f"the server sends fewer than {patience.slowest:.0f} bytes a second")
    if not total:
        partial.forget()
        raise _Broken("the server sent nothing")
    for length in (promised, expected):
        if length is not None and total < length:
            raise _Broken(f"the connection ended after {total} of {length} bytes")
        if length is not None and total > length:
            partial.forget()
            raise _Broken(f"{total} bytes came where there should be {length}")


def _drop(stream: BinaryIO, partial: _Partial) -> None:
    stream.close()
    partial.forget()
