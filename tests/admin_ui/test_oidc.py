"""Signing in at an OpenID provider: a small real one, which can be told to do what it must not."""

import base64
import hashlib
import json
import secrets
import sqlite3
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from admin_ui.oidc import values_of
from admin_ui.sessions import COOKIE
from gateway.settings import OidcRole, OidcSettings

NOW = 1_800_000_000
CLIENT, SECRET = "shoal", "a secret: of ours"


class Provider:
    """Describes itself, hands out codes, and gives a token for each, once, to who proves itself."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}, auto_kid=False)
        self.signs_with = self.key
        self.algorithm = "RS256"
        self.described: dict[str, object] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.claims: dict[str, object] = {"sub": "1", "preferred_username": "grace", "groups": ["ops"]}
        self.exchanged = 0
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                pages = {"/.well-known/openid-configuration": provider.description, "/keys": provider.keys}
                page = pages.get(self.path)
                self.answer(*((200, page()) if page else (404, {})))

            def do_POST(self) -> None:
                form = dict(parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
                self.answer(*provider.token(form, self.headers.get("authorization", "")))

            def answer(self, status: int, body: object) -> None:
                packed = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(packed)))
                self.end_headers()
                self.wfile.write(packed)

            def log_message(self, *_words) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def description(self):
        said = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        return said | self.described

    def keys(self):
        return {"keys": [self.key.as_dict(private=False), {"kty": "oct", "k": "AAAA", "kid": "x"}]}

    def authorize(self, address: str) -> dict[str, str]:
        """What the browser is sent back with; `address` is where it was sent."""
        asked = {name: value for name, [value] in parse_qs(urlsplit(address).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_hex(8)
        self.codes[code] = asked
        return {"code": code, "state": asked["state"]}

    def token(self, form: dict[str, str], authorization: str):
        self.exchanged += 1
        asked = self.codes.pop(form["code"], None)
        basic = base64.b64encode(b"shoal:a%20secret%3A%20of%20ours").decode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode()
        good = (
            asked is not None
            and authorization == f"Basic {basic}"
            and asked["code_challenge"] == challenge.rstrip("=")
            and asked["redirect_uri"] == form["redirect_uri"]
        )
        if not good:
            return 400, {"error": "invalid_grant"}
        assert asked is not None
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": NOW, "exp": NOW + 300, "nonce": asked["nonce"]}
        claims = {name: value for name, value in (claims | self.claims).items() if value is not None}
        if self.algorithm == "none":
            parts = ({"alg": "none", "kid": "one"}, claims)
            texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
            return 200, {"access_token": "at", "token_type": "Bearer", "id_token": f"{texts[0]}.{texts[1]}."}
        token = jwt.encode({"alg": self.algorithm, "kid": "one"}, claims, self.signs_with, algorithms=[self.algorithm])
        return 200, {"access_token": "at", "token_type": "Bearer", "id_token": token}


@pytest.fixture
def provider():
    provider = Provider()
    yield provider
    provider.close()


@pytest.fixture
def settings(provider):
    roles = (
        OidcRole("ops", "admin"),
        OidcRole("acme", "tenant_admin", "acme"),
        OidcRole("gone", "tenant_admin", "nobody's"),
        OidcRole("staff", "viewer"),
    )
    return OidcSettings(issuer=provider.issuer, client_id=CLIENT, client_secret=SECRET, roles=roles)


@pytest.fixture
def console(console_at, settings):
    return console_at(oidc=settings)


def leave(console, following: str = "/admin/audit") -> str:
    answer = console.client.get("/admin/sign-in/oidc", params={"next": following})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def come_back(console, said: dict[str, str]):
    return console.client.get("/admin/sign-in/oidc/done", params=said)


def sign_in(console, provider, **claims):
    provider.claims |= claims
    return come_back(console, provider.authorize(leave(console)))


def rows(console, query: str):
    with closing(sqlite3.connect(console.services.database.file)) as database:
        return database.execute(query).fetchall()


def test_the_form_leads_there_only_where_there_is_a_provider(console, console_at) -> None:
    assert "Sign in at 127.0.0.1" in console.client.get("/admin/sign-in").text
    without = console_at()
    assert "Sign in at" not in without.client.get("/admin/sign-in").text
    for path in ("/admin/sign-in/oidc", "/admin/sign-in/oidc/done"):
        assert without.client.get(path).status_code == 404


def test_who_is_known_there_comes_in_with_their_role_and_a_session_of_their_own(console, provider) -> None:
    console.client.get("/admin/sign-in")
    visitor = console.client.cookies[COOKIE]
    answer = sign_in(console, provider)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/audit")
    assert console.client.cookies[COOKIE] != visitor
    page = console.client.get("/admin/audit").text
    assert "oidc:grace" in page
    assert "operator.create" in page
    assert "elsewhere, which gives the role" in console.client.get("/admin/operators/at/grace").text
    assert "no password here" in console.client.get("/admin/account").text


def test_a_role_that_changed_there_holds_from_the_next_sign_in_on(console, provider, console_at, settings) -> None:
    sign_in(console, provider)
    again = console_at(oidc=settings)
    sign_in(again, provider, groups=["staff", "x"], preferred_username="hopper")
    assert rows(console, "SELECT name, role FROM operator WHERE subject IS NOT NULL") == [("grace", "viewer")]
    sign_in(console_at(oidc=settings), provider, groups="acme")
    assert rows(console, "SELECT role FROM operator WHERE name = 'grace'") == [("tenant_admin",)]
    assert again.client.get("/admin/audit").status_code == 404


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"groups": ["nobody"]}, "gives it a role here"),
        ({"groups": None}, "gives it a role here"),
        ({"groups": {"ops": True}}, "gives it a role here"),
        ({"preferred_username": "ada"}, "already another operator"),
        ({"preferred_username": "a\u200bb"}, "invisible characters"),
        ({"groups": ["gone"]}, "nobody"),
    ],
)
def test_who_has_no_place_here_is_told_why(console, provider, claims, said) -> None:
    answer = sign_in(console, provider, **claims)
    assert answer.status_code == 403
    assert said in answer.text
    assert console.client.get("/admin").status_code == 303


@pytest.mark.parametrize(
    ("claims", "claim"),
    [
        ({"iss": "http://127.0.0.1:1"}, "iss"),
        ({"iss": None}, "iss"),
        ({"aud": "another"}, "aud"),
        ({"aud": [CLIENT, "another"]}, "azp"),
        ({"azp": "another"}, "azp"),
        ({"aud": None}, "aud"),
        ({"exp": NOW - 61}, "exp"),
        ({"exp": None}, "exp"),
        ({"iat": NOW + 3600}, "iat"),
        ({"nbf": NOW + 3600}, "nbf"),
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"sub": None}, "sub"),
        ({"at_hash": "AAAA"}, "at_hash"),
    ],
)
def test_a_token_that_is_not_for_this_sign_in_is_refused(console, provider, claims, claim) -> None:
    answer = sign_in(console, provider, **claims)
    assert answer.status_code == 401
    assert f"its token is not for this sign-in ({claim})" in answer.text
    assert console.client.get("/admin").status_code == 303


@pytest.mark.parametrize("wrong", ["another key", "our secret", "nothing", "its public key as a secret"])
def test_a_token_that_the_provider_did_not_sign_is_refused(console, provider, wrong) -> None:
    match wrong:
        case "another key":
            provider.signs_with = RSAKey.generate_key(2048)
        case "our secret":
            provider.signs_with, provider.algorithm = OctKey.import_key(SECRET.ljust(32)), "HS256"
        case "nothing":
            provider.algorithm = "none"
        case _:
            known = json.dumps(provider.key.as_dict(private=False))
            provider.signs_with, provider.algorithm = OctKey.import_key(known), "HS256"
    answer = sign_in(console, provider)
    assert (answer.status_code, "could not be verified" in answer.text) == (401, True)


def test_only_the_browser_that_began_comes_back_and_only_in_time(console, provider, console_at, settings) -> None:
    said = provider.authorize(leave(console))
    other = console_at(oidc=settings)
    assert come_back(other, said).status_code == 401
    leave(other)
    assert come_back(other, said).status_code == 401
    assert come_back(console, said | {"state": said["state"][:-1] + "?"}).status_code == 401
    assert provider.exchanged == 0
    said = provider.authorize(leave(console))
    console.clock.now += 601
    late = come_back(console, said)
    assert ("Begin again" in late.text, provider.exchanged) == (True, 0)


def test_a_code_is_good_once(console, provider) -> None:
    said = provider.authorize(leave(console))
    assert come_back(console, said).status_code == 303
    assert come_back(console, said).status_code == 401
    assert provider.exchanged == 1


def test_what_the_provider_refuses_is_said_in_its_words(console, provider) -> None:
    state = provider.authorize(leave(console))["state"]
    answer = come_back(console, {"state": state, "error": "access_denied", "error_description": "Not <you>"})
    assert (answer.status_code, "signed nobody in: Not &lt;you&gt;" in answer.text) == (401, True)
    state = provider.authorize(leave(console))["state"]
    answer = come_back(console, {"state": state, "code": "of somebody else"})
    assert (answer.status_code, "400 invalid_grant" in answer.text) == (502, True)


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ({"issuer": "https://evil.test"}, "it calls itself"),
        ({"token_endpoint": None}, "where its parts are"),
        ({"jwks_uri": "file:///etc/passwd"}, "where its parts are"),
    ],
)
def test_a_provider_that_is_not_what_it_was_said_to_be_is_not_used(console, provider, described, said) -> None:
    provider.described = described
    answer = console.client.get("/admin/sign-in/oidc")
    assert (answer.status_code, said in answer.text) == (502, True)


def test_a_provider_that_is_away_is_said_to_be_and_passwords_still_work(console, provider) -> None:
    provider.close()
    answer = console.client.get("/admin/sign-in/oidc")
    assert (answer.status_code, "can not be reached" in answer.text) == (502, True)
    assert console.sign_in("ada", "correct horse battery").status_code == 303


def test_after_signing_in_elsewhere_the_browser_stays_in_the_console(console, provider) -> None:
    said = provider.authorize(leave(console, "https://evil.test/"))
    assert come_back(console, said).headers["location"] == "/admin"


def test_who_signs_in_elsewhere_has_no_password_here(console, provider) -> None:
    sign_in(console, provider)
    for password in ("", "!", "None"):
        assert console.sign_in("grace", password).status_code == 401
    token = console.become("ada")
    answer = console.client.post("/admin/operators/at/grace/password", data={"csrf_token": token})
    assert (answer.status_code, "signs in elsewhere" in answer.text) == (422, True)


def test_claims_within_claims_are_found() -> None:
    claims = {"realm": {"roles": ["a", "b", 3]}, "x.y": "c", "n": 7}
    assert values_of(claims, "realm.roles") == {"a", "b"}
    assert values_of(claims, "x.y") == {"c"}
    assert values_of(claims, "realm.none.at.all") == values_of(claims, "n") == frozenset()
