"""Keeps passwords out of what people read: messages, records, MLflow, the report."""

import re
from urllib.parse import urlsplit

_FILES = ("sqlite", "file")
"""Schemes of addresses that name a file: there an `@` is part of a name."""

_WITH_HOST = re.compile(r"(?<=://)(?<!sqlite://)(?<!file://)(?:(?!://).)*@")
"""User and password, to the last `@`: a password may hold all that elsewhere ends an address, blanks too."""

_WITHOUT_SLASHES = re.compile(r"([A-Za-z][\w.+-]*:)(?!//)\S+@(?=[\w\[])")
_TAIL = re.compile(r"(://[^\s?#]*[?#])\S*?(?=['\")\]},:;.]*(?:\s|$))")
_NAMED = re.compile(r"(?i)(password|passwd|pwd|token|secret|api_?key)=[^&\s'\"]+")


def masked(text: str) -> str:
    """Return a text without the credentials of the addresses in it: better too much is hidden than too little."""
    text = _WITH_HOST.sub("***@", text)
    text = _WITHOUT_SLASHES.sub(r"\1***@", text)
    text = _TAIL.sub(r"\1***", text)
    return _NAMED.sub(r"\1=***", text)


def masked_address(address: str) -> str:
    """Return an address, which is the whole of the text, without what may be secret in it.

    That is all between the first colon (the one after the scheme aside) and the last `@`, and all after `?` and `#`.
    """
    mark = next((mark for mark in ("://", ":") if mark in address), "")
    scheme, rest = address.split(mark, 1) if mark else ("", address)
    if "@" in rest and scheme not in _FILES:
        rest = "***@" + rest.rpartition("@")[2]
    shown = f"{scheme}{mark}{rest}"
    return re.sub(r"([?#]).+", r"\1***", shown, flags=re.DOTALL)


def without_credentials(uri: str) -> str:
    """Return the address of a server as people may open it: user and password are left out, and what follows a `?`.

    Raises:
        ValueError: it is no address.
    """
    address = urlsplit(re.sub(r"://.*@", "://", uri, flags=re.DOTALL))  # a password may hold what ends a host's name
    return f"{address.scheme}://{address.netloc}{address.path}".rstrip("/")
