"""One browser that asks for pages over one connection, and what each of them took."""

import http.client
import re
import time
from dataclasses import dataclass, field
from html import unescape
from statistics import median
from urllib.parse import urlencode, urlsplit

from admin_ui.navigation import PREFIX
from benchmarks.console.addresses import Address
from benchmarks.processes import NotMeasurable

FILES = re.compile(r'(?:href|src)="(/admin/static/[^"]+)"')


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of one address."""

    route: str
    status: int
    seconds: list[float]
    page_bytes: int
    first_paint: int
    """The page with its style sheet, script and icons, as transferred: nothing is compressed."""

    @property
    def median(self) -> float:
        """Seconds."""
        return median(self.seconds)


@dataclass
class Browser:
    """Signed in. Closes its connection where an answer is a file without end."""

    url: str
    cookies: dict[str, str] = field(default_factory=dict)
    _connection: http.client.HTTPConnection | None = None
    _files: dict[str, int] = field(default_factory=dict)

    def sign_in(self, name: str, password: str) -> None:
        """Raises NotMeasurable where nobody is let in."""
        _, page = self._ask("GET", f"{PREFIX}/sign-in")
        token = re.search(r'name="csrf_token" value="([^"]*)"', page.decode())
        form = {"csrf_token": unescape(token[1]) if token else "", "name": name, "password": password}
        status, page = self._ask("POST", f"{PREFIX}/sign-in", urlencode(form))
        if status != http.client.SEE_OTHER:
            raise NotMeasurable(f"{name} can not sign in: {status}")

    def ask(self, address: Address, times: int) -> Asked:
        """So many times, after once that does not count."""
        status, page = self._ask("GET", address.url, streams=address.streams)
        seconds = []
        for _ in range(times):
            began = time.perf_counter()
            self._ask("GET", address.url, streams=address.streams)
            seconds.append(time.perf_counter() - began)
        files = set(FILES.findall(unescape(page.decode(errors="replace"))))
        return Asked(address.route, status, seconds, len(page), len(page) + sum(map(self._size, files)))

    def _size(self, file: str) -> int:
        if file not in self._files:
            self._files[file] = len(self._ask("GET", file)[1])
        return self._files[file]

    def _ask(self, method: str, path: str, body: str | None = None, *, streams: bool = False) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=120)
        headers = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if body is not None:
            headers |= {"content-type": "application/x-www-form-urlencoded", "origin": self.url}
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        content = answer.read(1) if streams else answer.read()
        for cookie in answer.headers.get_all("set-cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        if streams:
            self._connection.close()
            self._connection = None
        return answer.status, content
