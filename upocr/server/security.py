"""Headers of every answer, and requests that come from other sites."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """Adds the headers and turns away what a page of another site sends.

    A browser lets any page post a form to this machine. It marks such requests, and a name that
    another site has pointed at this machine shows in the host.

    Args:
        app: answers.
        only_local: whether the server listens to this machine only.
    """

    def __init__(self, app: ASGIApp, only_local: bool) -> None:
        self.app, self.only_local = app, only_local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        app: ASGIApp = self.app
        if problem := self._problem(scope["method"], headers):
            app = JSONResponse({"error": problem}, 403)
        await app(scope, receive, send_with_headers)

    def _problem(self, method: str, headers: Headers) -> str | None:
        if self.only_local and _host_name(headers.get("host", "")) not in LOOPBACK:
            return "This server answers to names of this machine only, such as localhost."
        if method == "POST" and _is_foreign(headers):
            return "Pages of other sites cannot use this server."
        return None


def _is_foreign(headers: Headers) -> bool:
    """Whether a page of another site sends this; only browsers tell, and old ones less clearly."""
    if site := headers.get("sec-fetch-site"):
        return site in ("cross-site", "same-site")
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host", "")


def _host_name(host: str) -> str:
    """`localhost:8000` -> `localhost`, `[::1]:8000` -> `::1`."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
