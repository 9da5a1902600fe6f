"""The page of a report carries the hash of what it says: whoever checks the folder can tell whether all of it is there."""

from __future__ import annotations

import hashlib

REPORT = "report.html"
"""Where a campaign's report is by default."""

_SEALED = "<!-- sealed: the last line holds the SHA-256 of everything before it -->\n"
_SEAL = "<!-- sha256 "


def sealed(page: str) -> str:
    """An HTML page that says below its first line that it is sealed, and in its last what its hash is, both as comments."""
    first, line, rest = page.partition("\n")
    whole = f"{first}{line}{_SEALED}{rest}" + ("" if page.endswith("\n") else "\n")
    return f"{whole}{_SEAL}{hashlib.sha256(whole.encode()).hexdigest()} -->\n"


def is_whole(page: bytes) -> bool:
    """Whether a sealed page is as it was written; of no other."""
    content, _, seal = page.rpartition(_SEAL.encode())
    return seal.decode("ascii", "replace") == f"{hashlib.sha256(content).hexdigest()} -->\n"


def was_never_sealed(page: bytes) -> bool:
    """Whether a page has its end, and no trace of a seal: of a version that wrote none."""
    return page.rstrip().endswith(b"</html>") and not any(trace.encode() in page for trace in (_SEALED, _SEAL))
