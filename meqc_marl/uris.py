"""What a place or an address may look like; nothing in it that could be a secret is taken, or shown."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from meqc_marl.errors import InputError

SCHEMES = ("s3", "gs", "gcs", "file", "hdfs", "abfs")
OPTIONS = (
    *("region", "scheme", "endpoint_override", "allow_bucket_creation", "allow_bucket_deletion", "project_id"),
    *("force_virtual_addressing", "retry_limit_seconds", "blob_storage_authority", "blob_storage_scheme"),
    *("dfs_storage_authority", "dfs_storage_scheme", "enable_tls", "replication", "user"),
)
"""What the query of a URI may set: where something is and how it is reached, never who asks."""
_VALUE = re.compile(r"[\w.:/\[\]-]{0,200}")
_SECRET = re.compile("secret|password|token|sas|sig|key|credential", re.IGNORECASE)
_OWN_USERS = {"abfs": "[a-z0-9$-]{1,63}", "gs": "anonymous", "gcs": "anonymous"}
"""What may stand before an @: Azure's container, and nobody."""
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(:\d{1,5})?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_IN_TEXT = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*://)(?:[^\s/@'\"]*@|[^\s/@'\"]*:[^\s@'\"]*@)?([^\s?#'\"]*)[?#]?[^\s'\"]*"
)


def redacted(text: str) -> str:
    """A text without user info, query and fragment of the URIs in it."""
    return _IN_TEXT.sub(r"\1\2", text)


def check_place(where: str) -> None:
    """Refuse what is neither a folder nor a URI of a storage.

    Raises:
        InputError: If it is empty, the root of a file system, has control characters, or is a URI that
            :func:`check_uri` refuses.
    """
    if _CONTROL.search(where):
        raise InputError(f"storage {redacted(where)[:80]!r} has control characters in it.")
    if "://" in where:
        check_uri(where)
        return
    scheme, colon, _ = where.partition(":")
    if colon and scheme.lower() in SCHEMES:
        raise InputError(f"storage begins with '{scheme}:'; a URI begins with {scheme.lower()}://.")
    if not where.strip():
        raise InputError("storage is empty; it must be a folder, or a bucket by its URI.")
    if where.startswith("~"):
        raise InputError(f"storage '{where[:80]}' begins with ~, which means a folder in a shell alone; spell it out.")
    if _is_root(where):
        raise InputError(f"storage '{where}' is the root of the file system; name a folder in it.")


def check_uri(uri: str) -> None:
    """Refuse what no storage can be, and a secret that logs and job lists would show.

    Raises:
        InputError: If the scheme is not known, there is no bucket or path, or there is a fragment, user info, or
            anything but :data:`OPTIONS` in the query. None of it is repeated.
    """
    scheme, _, rest = uri.partition("://")
    head, hashed, _ = rest.partition("#")
    place, _, query = head.partition("?")
    options = parse_qsl(query, keep_blank_values=True, max_num_fields=None)
    user, at, behind = place.partition("@")
    own_user = re.fullmatch(_OWN_USERS.get(scheme, "(?!)"), user) is not None
    is_user = bool(at) and "/" not in user and not own_user
    # A secret key may have a slash in it.
    if re.match("[^/@]*:[^@]*@", place) or is_user or any(_SECRET.search(name) for name, _ in options):
        raise InputError(
            f"storage '{scheme}://...{place.rpartition('@')[2]}' holds a secret; leave it to the environment of the "
            "cluster's machines, such as AWS_SECRET_ACCESS_KEY, or to their role."
        )
    if scheme not in SCHEMES:
        raise InputError(
            f"storage '{redacted(uri)[:80]}' begins with '{scheme[:20]}://'; it must be a folder, or begin with one of "
            + ", ".join(f"{name}://" for name in SCHEMES)
            + "."
        )
    if hashed or any(name not in OPTIONS or not _VALUE.fullmatch(value) for name, value in options):
        raise InputError(
            f"storage '{redacted(uri)[:80]}' has more behind it than a storage takes (? or #); what a query may set is "
            + ", ".join(OPTIONS)
            + "."
        )
    if scheme == "file":
        if not place.startswith("/") or _is_root(place):
            raise InputError(f"storage '{redacted(uri)[:80]}' names no folder; it must be as in file:///shared/sweep.")
        return
    bucket = (behind if own_user and at else place).partition("/")[0]
    if not _BUCKET.fullmatch(bucket):
        raise InputError(f"storage '{scheme}://...' names no bucket that can be; it must be as in {scheme}://bucket/x.")


def check_address(address: str) -> None:
    """Refuse an address that is not that of a dashboard, or has more in it than host and port.

    Raises:
        InputError: If it is not ``http(s)://HOST:PORT``; user info, query and fragment are not repeated.
    """
    try:
        parts = urlsplit(address)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if "@" in address or "?" in address or "#" in address:
        raise InputError(
            f"address '{redacted(address)[:80] if sound else '...'}' has user info, a query or a fragment; it must be "
            "HOST:PORT alone, as in http://127.0.0.1:8265, and a token goes to RAY_AUTH_TOKEN_PATH."
        )
    if not sound or _CONTROL.search(address):
        raise InputError(f"address {address[:80]!r} is not allowed; it must be as in http://127.0.0.1:8265.")


def _is_root(path: str) -> bool:
    folder = Path(path).expanduser().resolve() if "\0" not in path else Path(path)
    return folder == Path(folder.anchor)
