"""Headless Chromium through Debian's chromedriver and its plain HTTP protocol (W3C WebDriver)."""

import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DRIVER, BROWSER = "chromedriver", "chromium"
FONTS = [Path(folder) for folder in ("/usr/share/fonts", "/usr/local/share/fonts")]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # key of an element in the protocol
PATIENCE = 30  # seconds until a condition must hold


def missing() -> str | None:
    """Which program is missing, if any; Chromium crashes on a system without a font."""
    if name := next((name for name in (DRIVER, BROWSER) if not shutil.which(name)), None):
        return name
    found = (path for folder in FONTS for path in folder.rglob("*.[to]tf"))
    return None if next(found, None) else "a font for Chromium"


class Browser:
    """One window.

    Args:
        address: of the driver.
        downloads: folder for downloads.
    """

    def __init__(self, address: str, downloads: Path) -> None:
        self.address, self.downloads = address, downloads
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        preferences = {"download.default_directory": str(downloads)}
        options = {"args": arguments, "prefs": preferences}
        capabilities = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.path = ""
        session = self.call("session", {"capabilities": {"alwaysMatch": capabilities}})
        self.path = f"session/{session['sessionId']}/"

    def call(self, command: str, data: dict[str, Any] | None = None, method: str = "POST") -> Any:
        """One command of the protocol; raises RuntimeError with the driver's message."""
        body = None if method != "POST" else json.dumps(data or {}).encode()
        url = f"{self.address}/{self.path}{command}"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        request.method = method
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None

    def devtools(self, command: str, **parameters: Any) -> Any:
        """One command of Chromium's own protocol."""
        return self.call("goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, url: str) -> None:
        """Go to a page."""
        self.call("url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a function body in the page; promises are awaited."""
        return self.call("execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, condition: str, *arguments: Any) -> Any:
        """Wait until an expression is true and return its value."""
        deadline = time.monotonic() + PATIENCE
        while True:
            if value := self.run(f"return {condition}", *arguments):
                return value
            assert time.monotonic() < deadline, f"never true: {condition}"
            time.sleep(0.05)

    def wait_visible(self, identifier: str, is_visible: bool = True) -> None:
        """Wait until an element is visible, or until it is not."""
        element = f"document.getElementById({json.dumps(identifier)})"
        self.wait(f"{element}.checkVisibility() === {json.dumps(is_visible)}")

    def find(self, selector: str) -> str:
        """The first element of a CSS selector."""
        return self.call("element", {"using": "css selector", "value": selector})[ELEMENT]

    def click(self, selector: str) -> None:
        """Click at the middle of an element."""
        self.call(f"element/{self.find(selector)}/click")

    def type(self, selector: str, text: str) -> None:
        """Send keys to an element, or the path of a file to an input for files."""
        self.call(f"element/{self.find(selector)}/value", {"text": text})

    def text(self, selector: str) -> str:
        """Visible text of an element."""
        return self.call(f"element/{self.find(selector)}/text", method="GET")

    def keys(self, *keys: str) -> None:
        """Press keys one after another, wherever the focus is."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.call("actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag the mouse between two points of the window."""
        actions = [
            {"type": "pointerMove", "x": round(start[0]), "y": round(start[1]), "duration": 0},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerMove", "x": round(end[0]), "y": round(end[1]), "duration": 50},
            {"type": "pointerUp", "button": 0},
        ]
        parameters = {"pointerType": "mouse"}
        mouse = {"type": "pointer", "id": "mouse", "parameters": parameters, "actions": actions}
        self.call("actions", {"actions": [mouse]})

    def resize(self, width: int, height: int, scale: float = 1, mobile: bool = False) -> None:
        """Size of the window in CSS pixels, and screen pixels per CSS pixel."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=mobile,
        )
        self.devtools("Emulation.setTouchEmulationEnabled", enabled=mobile)

    def use_scheme(self, scheme: str) -> None:
        """`light` or `dark`, at once: no colour is still on its way to the next one."""
        features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        self.devtools(
            "Emulation.setEmulatedMedia",
            features=[{"name": name, "value": value} for name, value in features.items()],
        )

    def screenshot(self, path: Path) -> None:
        """Write the window as PNG."""
        path.write_bytes(base64.b64decode(self.call("screenshot", method="GET")))

    def log(self) -> list[str]:
        """Messages of the console since the last call."""
        return [each["message"] for each in self.call("se/log", {"type": "browser"})]

    def downloaded(self, name: str) -> bytes:
        """Content of a download, once it is complete; the file is deleted."""
        path, deadline = self.downloads / name, time.monotonic() + PATIENCE
        while not path.exists():
            assert time.monotonic() < deadline, f"no download of {name}"
            time.sleep(0.05)
        content = path.read_bytes()
        path.unlink()
        return content

    def close(self) -> None:
        """Close the window."""
        self.call("", method="DELETE")


@contextmanager
def open_browser(downloads: Path) -> Iterator[Browser]:
    """A browser and its driver, ended at the end."""
    command = [DRIVER, "--port=0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        browser = Browser(_address(process), downloads)
        try:
            yield browser
        finally:
            browser.path = browser.path.rstrip("/")
            browser.close()
    finally:
        process.terminate()
        process.wait()


def _address(process: subprocess.Popen) -> str:
    for line in process.stdout:
        if "started successfully on port" in line:
            port = line.strip().rstrip(".").rpartition(" ")[2]
            return f"http://127.0.0.1:{port}"
    raise RuntimeError(f"{DRIVER} does not start")
