"""A headless Chromium driven through its own debugging pipe: real mouse and keys, no driver package, no network port.

The protocol is Chromium's (https://chromedevtools.github.io/devtools-protocol/): JSON messages that end with a zero
byte, read by the browser from file descriptor 3 and written to 4 (`--remote-debugging-pipe`).
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

__all__ = ["CHROMIUM", "GUTTER", "MISSING", "Browser", "BrowserError", "canvas", "click_on", "search", "text", "view"]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MISSING = "no Chromium on this machine; on Debian: apt-get install --no-install-recommends chromium"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--mute-audio", "--remote-debugging-pipe",
)  # fmt: skip
SHIFT = 8
GUTTER = 164
"""Width (px) of the names beside the timeline."""


class BrowserError(RuntimeError):
    """The browser ended, did not answer in time, or the page threw."""


class Browser:
    """One browser with one tab; use it as a context manager. Every event that it reports is kept in `events`."""

    def __init__(self, profile: Path, width: int = 1500, height: int = 950) -> None:
        assert CHROMIUM is not None, MISSING
        down, up = os.pipe(), os.pipe()
        # the shell moves the two ends to the numbers that Chromium expects
        script = f'exec "$@" 3<&{down[0]} 4>&{up[1]}'
        size = f"--window-size={width},{height}"
        command = ["bash", "-c", script, "bash", CHROMIUM, *FLAGS, f"--user-data-dir={profile}", size, "about:blank"]
        self.log = (profile.parent / f"{profile.name}.log").open("w")
        self.process = subprocess.Popen(command, pass_fds=(down[0], up[1]), stdout=self.log, stderr=self.log)
        os.close(down[0])
        os.close(up[1])
        self.out, self.into, self.rest = down[1], up[0], b""
        self.sent, self.events, self.session = 0, list[dict[str, Any]](), ""
        page = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.out)
        os.close(self.into)
        self.log.close()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command and give its result. Raises BrowserError when it fails or takes more than 60 s."""
        self.sent += 1
        message = {"id": self.sent, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + 60
        while True:
            answer = self._receive(until)
            if answer.get("id") == self.sent:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def _receive(self, until: float) -> dict[str, Any]:
        while b"\0" not in self.rest:
            if not select.select([self.into], [], [], max(0, until - time.monotonic()))[0]:
                raise BrowserError("the browser does not answer")
            got = os.read(self.into, 1 << 16)
            if not got:
                raise BrowserError(f"the browser ended; its log is {self.log.name}")
            self.rest += got
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def open(self, file: Path) -> None:
        """Open a local file and wait until the page has put up `window.opentrn` (or failed)."""
        self.call("Page.navigate", url=file.as_uri())
        until = time.monotonic() + 60
        while not self.run("location.href !== 'about:blank' && Boolean(window.opentrn)"):
            failed = self.run("document.getElementById('failed')?.textContent ?? ''")
            if failed or time.monotonic() > until:
                raise BrowserError(failed or f"the page did not load; {self.problems()}")
            time.sleep(0.02)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression (awaited where it is a promise), as plain Python data."""
        got = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in got:
            raise BrowserError(json.dumps(got["exceptionDetails"])[:800])
        return got["result"].get("value")

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """One mouse event: mouseMoved, mousePressed, mouseReleased, mouseWheel."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float, times: int = 1) -> None:
        """Move there and click."""
        self.mouse("mouseMoved", x, y)
        for count in range(1, times + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self.mouse(kind, x, y, button="left", clickCount=count)
        self.frame()

    def drag(self, start: tuple[float, float], end: tuple[float, float], shift: bool = False) -> None:
        """Press at `start`, move to `end` in steps, release."""
        held: dict[str, Any] = {"button": "left", "buttons": 1, "modifiers": SHIFT if shift else 0}
        self.mouse("mouseMoved", *start)
        self.mouse("mousePressed", *start, clickCount=1, **held)
        for n in range(1, 6):
            x, y = (a + (b - a) * n / 5 for a, b in zip(start, end, strict=True))
            self.mouse("mouseMoved", x, y, **held)
        self.mouse("mouseReleased", *end, clickCount=1, **held)
        self.frame()

    def key(self, key: str, shift: bool = False) -> None:
        """Press and release one key."""
        text = {"text": "\r"} if key == "Enter" else {"text": key} if len(key) == 1 else {}
        code = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39}.get(key, 0)
        held: dict[str, Any] = {"modifiers": SHIFT if shift else 0, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text, **held)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, **held)
        self.frame()

    def write(self, text: str) -> None:
        """Type into whatever has the focus."""
        self.call("Input.insertText", text=text)

    def frame(self) -> None:
        """Wait until the page has drawn what it was asked to."""
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")

    def requests(self) -> list[str]:
        """Addresses that the page asked for, by whatever means; those of `data:` are inside the page."""
        sent = (e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent")
        return [address for address in sent if not address.startswith("data:")]

    def problems(self) -> list[str]:
        """Exceptions, refused requests and console messages of the page; advice on rendering is none."""
        bad = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        found = [event["params"] for event in self.events if event["method"] in bad]
        return [json.dumps(each)[:600] for each in found if each.get("entry", {}).get("source") != "rendering"]

    def screenshot(self, file: Path) -> None:
        """The page as a PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def prefer(self, scheme: str) -> None:
        """Light or dark, as the reader's system would ask for it."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.frame()


def view(page: Browser) -> dict[str, Any]:
    """What the page says that it shows."""
    return page.run("opentrn.view()")


def text(page: Browser, selector: str) -> str:
    """The text of the first element that a CSS selector finds, as it is seen."""
    return page.run(f"document.querySelector({selector!r}).innerText")


def canvas(page: Browser) -> list[float]:
    """(left, top, width, height) of the timeline."""
    return page.run(
        "(({x, y, width, height}) => [x, y, width, height])(document.getElementById('canvas').getBoundingClientRect())"
    )


def click_on(page: Browser, selector: str) -> None:
    """Click in the middle of the first element that a CSS selector finds."""
    x, y = page.run(
        f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center'}});"
        " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    )
    page.click(x, y)


def search(page: Browser, words: str) -> None:
    """Search as a user does: slash, the words, Enter."""
    page.key("/")
    page.run("document.getElementById('search').select()")
    page.write(words)
    page.key("Enter")
