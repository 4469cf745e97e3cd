"""No secret is said where it should not be, in the whole run: a watch over everything that tests, logs and servers say.

It learns every secret that this process makes, and knows the shapes of those that others make. It hears what is logged,
what tests and the processes they start print, and what comes back over HTTP. At the end it fails the run where it has
heard a secret outside of the one reply that is meant to show it, and names the test and the place.
"""

import base64
import contextlib
import logging
import re
import secrets
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

SHAPE = re.compile(r"\b(?:sk|op)-shoal-[a-z0-9]{12}-[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])")
RUN = re.compile(r"[A-Za-z0-9_+/=-]{16,}")
KNOWN_BY = 16
"""Characters of a random secret that give it away."""
FEW = 9
"""Different characters of a chosen secret: one that has no more was made up."""
MOST_HEARD = 1_000_000
"""Characters of one text that are looked through."""

SHOWS = {
    ("key", "create"), ("key", "rotate"), ("operator", "create"), ("operator", "password"),
    ("operator", "token", "create"),
}  # fmt: skip
"""Commands that show a secret once, on standard output."""
PASSWORD = re.compile(r"\b(?:[a-z0-9]{5}-){3}[a-z0-9]{5}\b")
WELCOME = re.compile(r"^ +operator \S+, password \S+$|^  API key   \S+$|^  export SHOAL_API_KEY=\S+$", re.MULTILINE)
"""The lines in which the first start of `serve` does."""
CREATES = re.compile(
    r"/admin/api/v1/(?:tokens|operators|operators/[^/]+/password)"
    r"|/admin/operators(?:/at/[^/]+/(?:password|tokens))?"
    r"|/admin/(?:api/v1/)?tenants/[^/]+/keys(?:/[^/]+/rotation)?"
)
"""Where the admin API and the console do, in the body of the reply to a change that was made."""
GIVEN = {
    "SHOAL_ENGINE_SECRET", "SHOAL_METRICS_KEY", "SHOAL_SESSION_KEY", "SHOAL_SECRET_KEY", "SHOAL_UPSTREAM_KEY",
    "SHOAL_OIDC_CLIENT_SECRET",
}  # fmt: skip
"""Variables by which a process is told one."""
KEPT = {"runtime.json", "session.key", "secret.key"}
"""Files of this user alone that hold a secret."""
LEAKED = pytest.ExitCode.INTERNAL_ERROR
"""How a run ends that has heard one: not as one with failed tests, which `make test` runs once more."""


class SecretsWatch:
    """What is secret, and where it was heard."""

    def __init__(self) -> None:
        self.where = "before the first test"
        """The test that runs."""
        self.drawn = False
        """Whether hypothesis draws what it gives, and so words of our own sources, which are no secret."""
        self.heard = 0
        """Texts that were looked through."""
        self.leaks: dict[tuple[str, str], str] = {}
        """By test and place: what is known of the secret."""
        self._beginnings: set[str] = set()
        self._phrases: set[str] = set()
        self._undo = contextlib.ExitStack()
        self._awaited = {
            "gateway.services.access.operators": self._watch_passwords,
            "gateway.services.register.sealing": self._watch_sealing,
            "requests.sessions": self._hear_requests,
        }

    # what is secret

    def learn(self, secret: str | bytes) -> None:
        """Remember a secret, in all spellings that it could be said in."""
        if isinstance(secret, bytes):
            texts = [secret.hex(), base64.b64encode(secret).decode(), base64.urlsafe_b64encode(secret).decode()]
        else:
            texts = [secret[-43:] if SHAPE.fullmatch(secret) else secret]  # what stands before may be shown
        for text in texts:
            if len(text) >= KNOWN_BY and RUN.fullmatch(text):
                self._beginnings.add(text[:KNOWN_BY])
            elif " " in text:
                self._phrases.add(text)

    def _learn_chosen(self, secret: str | bytes) -> None:
        """Remember what somebody chose, unless a test made it up."""
        if len(set(secret)) > FEW and not self.drawn:
            self.learn(secret)

    def hear(self, text: str | bytes | None, place: str) -> None:
        """Look through what was said."""
        if not text:
            return
        self.heard += 1
        if (found := self.find(text_of(text)[:MOST_HEARD])) is not None:
            self.leaks.setdefault((self.where, place), f"{len(found)} characters")

    def find(self, text: str) -> str | None:
        """The first secret in a text."""
        if (shaped := SHAPE.search(text)) is not None:
            return shaped.group()
        for run in RUN.finditer(text):
            said = run.group()
            for start in range(len(said) - KNOWN_BY + 1):
                if said[start : start + KNOWN_BY] in self._beginnings:
                    return said[start:]
        return next((phrase for phrase in self._phrases if phrase in text), None)

    # how it learns and hears

    def start(self) -> None:
        """Begin to listen."""
        for maker in ("token_urlsafe", "token_bytes"):
            self._learn_from(secrets, maker)
        self._hear_logs()
        self._hear_processes()
        self._hear_http()
        self._hear_captured()

    def stop(self) -> None:
        """Leave everything as it was."""
        self._undo.close()

    def look_for_modules(self) -> None:
        """Watch modules that some test has imported by now; none is imported for this."""
        for name in [name for name in self._awaited if name in sys.modules]:
            self._awaited.pop(name)(sys.modules[name])

    def _watch_passwords(self, operators: Any) -> None:
        self._learn_from(operators, "new_password")
        chosen = operators._password

        async def password(given: str | None) -> Any:
            if given is not None:
                self._learn_chosen(given)
            return await chosen(given)

        self._put(operators, "_password", password)

    def _watch_sealing(self, sealing: Any) -> None:
        """Credentials of upstreams, when they are encrypted, and the key that they are encrypted with."""
        begin, seal = sealing.Sealer.__init__, sealing.Sealer.seal

        def begun(sealer: Any, key: bytes) -> None:
            begin(sealer, key)
            self._learn_chosen(key)

        def sealed(sealer: Any, secret: str, owner: str) -> bytes:
            self._learn_chosen(secret)
            return seal(sealer, secret, owner)

        self._put(sealing.Sealer, "__init__", begun)
        self._put(sealing.Sealer, "seal", sealed)

    def _learn_from(self, module: Any, name: str) -> None:
        made = getattr(module, name)

        def making(*arguments: Any, **options: Any) -> Any:
            result = made(*arguments, **options)
            if sys._getframe(1).f_globals is not vars(secrets):  # which makes ids of these bytes, too
                self.learn(result)
            return result

        self._put(module, name, making)

    def _hear_logs(self) -> None:
        make = logging.getLogRecordFactory()

        def record(*arguments: Any, **options: Any) -> logging.LogRecord:
            made = make(*arguments, **options)
            with contextlib.suppress(Exception):  # a record that can not be formatted is the business of its test
                self.hear(made.getMessage(), f"log of {made.name}")
            if made.exc_info and made.exc_info[1] is not None:
                self.hear("".join(traceback.format_exception(made.exc_info[1])), f"traceback in the log of {made.name}")
            return made

        logging.setLogRecordFactory(record)
        self._undo.callback(logging.setLogRecordFactory, make)

    def _hear_processes(self) -> None:
        communicate = subprocess.Popen.communicate

        def communicated(process: Any, *arguments: Any, **options: Any) -> Any:
            out, err = communicate(process, *arguments, **options)
            self.hear_command(words_of(process.args), out, err)
            return out, err

        self._put(subprocess.Popen, "communicate", communicated)
        begin = subprocess.Popen.__init__

        def begun(process: Any, *arguments: Any, **options: Any) -> None:
            begin(process, *arguments, **options)
            for name in GIVEN & set(options.get("env") or ()):
                self.learn(options["env"][name])
            words = words_of(process.args)
            if words and process.stdout is not None:
                process.stdout = Overheard(process.stdout, lambda said: self.hear_command(words, said, None))

        self._put(subprocess.Popen, "__init__", begun)

    def _hear_captured(self) -> None:
        read = pytest.CaptureFixture.readouterr

        def readouterr(fixture: Any) -> Any:
            captured = read(fixture)
            self.hear_command(words_of(sys.argv), captured.out, captured.err)
            return captured

        self._put(pytest.CaptureFixture, "readouterr", readouterr)

    def _hear_http(self) -> None:
        send, send_async = httpx.Client.send, httpx.AsyncClient.send

        def sent(client: Any, request: httpx.Request, **options: Any) -> httpx.Response:
            response = send(client, request, **options)
            self.hear_response(response)
            return response

        async def sent_async(client: Any, request: httpx.Request, **options: Any) -> httpx.Response:
            response = await send_async(client, request, **options)
            self.hear_response(response)
            return response

        self._put(httpx.Client, "send", sent)
        self._put(httpx.AsyncClient, "send", sent_async)

    def _hear_requests(self, sessions: Any) -> None:
        send = sessions.Session.send

        def sent(session: Any, request: Any, **options: Any) -> Any:
            response = send(session, request, **options)
            path = httpx.URL(request.url).path
            self.hear_answer(request.method, path, response.status_code, response.headers.items(), response.content)
            return response

        self._put(sessions.Session, "send", sent)

    def _put(self, owner: Any, name: str, replacement: Any) -> None:
        self._undo.callback(setattr, owner, name, getattr(owner, name))
        setattr(owner, name, replacement)

    # what may be said where

    def hear_command(self, words: Sequence[str], out: str | bytes | None, err: str | bytes | None) -> None:
        """What a command has printed; some may show a secret on standard output."""
        named = " ".join(["shoal", *words[:2]]) if words else "a test"
        out, err = text_of(out), text_of(err)
        if any(tuple(words[: len(shown)]) == shown for shown in SHOWS):
            for password in PASSWORD.findall(out):
                self.learn(password)
        else:
            for line in WELCOME.findall(out):
                self.learn(re.split(r"[ =]", line)[-1])
            self.hear(WELCOME.sub("", out), f"standard output of {named}")
        self.hear(err, f"standard error of {named}")

    def hear_response(self, response: httpx.Response) -> None:
        """What came back to an httpx client; not what a test reads from a stream itself."""
        request = response.request
        content = response.content if hasattr(response, "_content") else b""
        self.hear_answer(request.method, request.url.path, response.status_code, response.headers.items(), content)

    def hear_answer(self, method: str, path: str, status: int, headers: Any, content: bytes) -> None:
        """What came back over HTTP: headers and body."""
        place = f"{method} {path}: {status}"
        self.hear("\n".join(f"{name}: {value}" for name, value in headers), f"headers of {place}")
        shown = method != "GET" and status in {200, 201} and CREATES.fullmatch(path)
        vectors = status == 200 and path.endswith("/embeddings")
        if not shown and not vectors:
            self.hear(content, f"body of {place}")

    def hear_files(self, folder: Path) -> None:
        """What tests and the servers they started have written: by shape, in files of every kind."""
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and path.name not in KEPT and path.suffix != ".safetensors":
                with contextlib.suppress(OSError):
                    content = path.read_bytes()
                    if b"-shoal-" in content and SHAPE.search(WELCOME.sub("", content.decode("latin-1"))):
                        self.heard += 1
                        self.leaks.setdefault((path.parent.name, f"file {path.name}"), "by its shape")


def words_of(command: object) -> list[str]:
    """What was said to `shoal`, without options; nothing for other programs."""
    words = [str(word) for word in command] if isinstance(command, list | tuple) else []
    at = next((place for place, word in enumerate(words) if Path(word).name == "shoal"), None)
    return [] if at is None else [word for word in words[at + 1 :] if not word.startswith("-")]


def text_of(said: str | bytes | None) -> str:
    """What was said as text."""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said or ""


class Overheard:
    """A pipe from a process whose reader is not alone."""

    def __init__(self, pipe: Any, hear: Callable[[Any], None]) -> None:
        self._pipe = pipe
        self._hear = hear

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipe, name)

    def __iter__(self) -> Iterator[Any]:
        for line in self._pipe:
            self._hear(line)
            yield line

    def readline(self, *size: int) -> Any:
        line = self._pipe.readline(*size)
        self._hear(line)
        return line


class Hooks:
    """pytest's side."""

    def __init__(self, watch: SecretsWatch) -> None:
        self._watch = watch

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._watch.where = nodeid
        self._watch.look_for_modules()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._watch.drawn = item.get_closest_marker("hypothesis") is not None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for title, text in report.sections:
            self._watch.hear(WELCOME.sub("", text), title)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._watch.where = "after the last test"
        factory = getattr(session.config, "_tmp_path_factory", None)
        if factory is not None and factory._basetemp is not None:
            self._watch.hear_files(factory._basetemp)
        self._watch.stop()
        if (told := getattr(session.config, "workeroutput", None)) is not None:
            told["leaks"] = [(*said, secret) for said, secret in self._watch.leaks.items()]
        if self._watch.leaks:
            session.exitstatus = LEAKED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """One of several processes that share the tests is done: what it heard counts as heard here."""
        for where, place, secret in getattr(node, "workeroutput", {}).get("leaks", ()):
            self._watch.leaks[where, place] = secret

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self._watch.leaks:
            return
        terminalreporter.section("secrets that were said", red=True)
        for (where, place), secret in sorted(self._watch.leaks.items()):
            terminalreporter.write_line(f"{where}: {place}: {secret}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    """Listen from before the first test is imported."""
    watch = SecretsWatch()
    watch.start()
    config.pluginmanager.register(Hooks(watch), "secrets-watch")
    config.add_cleanup(watch.stop)
