"""What a tracking server says is not to be trusted: how it is asked, how much it may say, and what is told of it."""

import socket
from typing import Any
from urllib.parse import urlsplit

from harness.base.errors import UserError, in_one_line
from harness.base.masking import masked, without_credentials

PROBE_SECONDS = 3

LARGEST_ANSWER = 64 * 2**20
"""Bytes of one answer: a page of runs of a large board has a tenth of it."""

IDENTIFIER = r"[A-Za-z0-9_-]{1,100}"
"""What the ids of experiments and runs look like, which become part of addresses."""

REMOTE_ARTIFACTS = ("mlflow-artifacts", "http", "https", "s3", "gs", "wasbs", "abfss", "r2", "b2")
"""Where a server may tell this program to write a run's files: never into a folder of this machine."""


def one_line(error: Exception) -> str:
    """Return type and first line of an error in letters that can be printed, masked."""
    text = str(error).strip().partition("\n")[0]
    printable = "".join(letter if letter.isprintable() else " " for letter in text[:2000])
    return in_one_line(masked(f"{type(error).__name__}: {printable}"))


def probe(uri: str, shown: str) -> None:
    """Find out in seconds whether a server or database answers; MLflow would try for minutes.

    A server that goes on talking is not found out here: only a watching process can end that.

    Raises:
        UserError: it does not answer.
    """
    try:
        if uri.startswith(("http://", "https://")):
            _ask_health(uri)
        elif (address := urlsplit(uri)).port:
            socket.create_connection((address.hostname, address.port), PROBE_SECONDS).close()
    except (OSError, ValueError) as error:
        reason = "no answer in time" if "timed out" in str(error) else "it does not answer"
        raise UserError(unreachable(shown, reason)) from None


def unreachable(shown: str, reason: str) -> str:
    """Return the sentence about a server that does not answer as it should."""
    return (
        f"the tracking server {shown} could not be reached ({reason}): nothing is lost, "
        "run dartsboard sync when it is back"
    )


def _ask_health(uri: str) -> None:
    import requests

    address = f"{without_credentials(uri)}/health"
    try:
        # Any answer will do, and none is read: what it means is for MLflow to find out, with its own credentials.
        requests.get(address, timeout=PROBE_SECONDS, allow_redirects=False, stream=True).close()
    except requests.exceptions.SSLError:
        return


class TooLargeError(Exception):
    """A server's answer that goes on and on."""


def cap_answers() -> None:
    """Let no answer be larger than `LARGEST_ANSWER` from now on, whoever asks in this process.

    MLflow makes its own sessions and reads answers whole, so the one place that all of them pass is changed.
    """
    from requests.adapters import HTTPAdapter
    from urllib3.response import HTTPResponse

    send = HTTPAdapter.send

    def capped(adapter: HTTPAdapter, request: Any, stream: bool = False, **options: Any) -> Any:
        response = send(adapter, request, stream=stream, **options)
        if not stream:
            _read(response)
        return response

    HTTPAdapter.send = capped  # type: ignore[assignment, method-assign]
    HTTPResponse.drain_conn = HTTPResponse.close  # type: ignore[method-assign]  # before another try it reads to the end


def _read(response: Any) -> None:
    # Where requests would put it: it reads no answer that has been read.
    content = response.raw.read(LARGEST_ANSWER + 1, decode_content=True)
    if len(content) > LARGEST_ANSWER:
        response.close()
        raise TooLargeError(f"an answer of more than {LARGEST_ANSWER >> 20} MB")
    response._content, response._content_consumed = content, True
