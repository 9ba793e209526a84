"""A real browser without a window, driven over its own debugging protocol."""

import asyncio
import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")

TEXT = "document.body.innerText"


@dataclass
class Seen:
    """What a page showed, and how long it took."""

    text: str = ""
    errors: list[str] = field(default_factory=list)
    """What the page wrote into its console as errors, and what it threw."""
    seconds: float = 0.0
    values: dict[str, Any] = field(default_factory=dict)


@dataclass
class Browser:
    port: int
    profile: Path

    def look(
        self,
        address: str,
        until: str,
        *,
        seconds: float = 60,
        size: tuple[int, int] = (1600, 1200),
        picture: Path | None = None,
        **values: str,
    ) -> Seen:
        """Open an address until a JavaScript expression is true, but no longer than that; then evaluate others."""
        return asyncio.run(self._look(address, until, seconds, size, picture, values))

    async def _look(
        self,
        address: str,
        until: str,
        seconds: float,
        size: tuple[int, int],
        picture: Path | None,
        values: dict[str, str],
    ) -> Seen:
        seen = Seen()
        async with aiohttp.ClientSession() as session:
            async with session.put(f"http://127.0.0.1:{self.port}/json/new?about:blank") as answer:
                target = await answer.json(content_type=None)
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = _Page(socket, seen)
                for domain in ("Runtime", "Log", "Page"):
                    await page.call(f"{domain}.enable")
                width, height = size
                metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
                await page.call("Emulation.setDeviceMetricsOverride", **metrics)
                hover = [{"name": "hover", "value": "hover"}, {"name": "pointer", "value": "fine"}]
                await page.call("Emulation.setEmulatedMedia", features=hover)
                begun = time.monotonic()
                await page.call("Page.navigate", url=address)
                while not await page.evaluate(f"Boolean({until})") and time.monotonic() < begun + seconds:
                    await asyncio.sleep(0.1)
                seen.seconds = time.monotonic() - begun
                seen.text = await page.evaluate(TEXT)
                seen.values = {name: await page.evaluate(expression) for name, expression in values.items()}
                if picture is not None:
                    content = await page.call("Page.captureScreenshot", format="png")
                    picture.write_bytes(base64.b64decode(content["data"]))
            async with session.get(f"http://127.0.0.1:{self.port}/json/close/{target['id']}"):
                pass
        return seen


class _Page:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse, seen: Seen) -> None:
        self._socket, self._seen, self._calls = socket, seen, 0

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._calls += 1
        await self._socket.send_json({"id": self._calls, "method": method, "params": parameters})
        while True:
            message = json.loads((await self._socket.receive(60)).data)
            if message.get("id") == self._calls:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    async def evaluate(self, expression: str) -> Any:
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return answer["result"].get("value")

    def _note(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self._seen.errors.append(str(told["exceptionDetails"].get("exception", told["exceptionDetails"])))
        elif message.get("method") == "Log.entryAdded" and told["entry"]["level"] == "error":
            self._seen.errors.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
        elif message.get("method") == "Runtime.consoleAPICalled" and told["type"] == "error":
            self._seen.errors.append(" ".join(str(argument.get("value", argument)) for argument in told["args"]))


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile in a folder; skips the test where none is installed."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("needs chromium")
    command = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
    command += ["--no-first-run", "--disable-background-networking", f"--user-data-dir={profile}", "about:blank"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, **quiet)
    try:
        told = profile / "DevToolsActivePort"
        until = time.monotonic() + 60
        while not (told.exists() and told.read_text().count("\n")):
            assert time.monotonic() < until and process.poll() is None, "the browser does not start"
            time.sleep(0.1)
        yield Browser(int(told.read_text().split()[0]), profile)
    finally:
        process.terminate()
        process.wait()
