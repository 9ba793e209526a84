"""Keeps passwords out of what people read: messages, records, MLflow, the report."""

import re
from urllib.parse import urlsplit


def masked(text: str) -> str:
    """Return the text without the credentials of the URIs in it."""
    text = re.sub(r"(?<=://)\S+@", "***@", text)
    return re.sub(r"(?i)(password|passwd|pwd|token)=[^&\s'\"]+", r"\1=***", text)


def without_credentials(uri: str) -> str:
    """Return the address of a server as people may open it: user and password are left out, and what follows a `?`."""
    address = urlsplit(re.sub(r"://\S+@", "://", uri))  # a password may hold what elsewhere ends the host's name
    return f"{address.scheme}://{address.netloc}{address.path}".rstrip("/")
