"""A small OpenID provider, a real one, which can be told to do what it must not; and the way of a browser to it."""

import base64
import hashlib
import json
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

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
        self.looked_at = 0
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
        self.looked_at += 1
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
def oidc_settings(provider):
    roles = (
        OidcRole("ops", "admin"),
        OidcRole("acme", "tenant_admin", "acme"),
        OidcRole("gone", "tenant_admin", "nobody's"),
        OidcRole("staff", "viewer"),
    )
    return OidcSettings(issuer=provider.issuer, client_id=CLIENT, client_secret=SECRET, roles=roles)


def leave(console, following: str = "/admin/audit") -> str:
    answer = console.client.get("/admin/sign-in/oidc", params={"next": following})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def come_back(console, said: dict[str, str]):
    return console.client.get("/admin/sign-in/oidc/done", params=said)


def sign_in(console, provider, **claims):
    provider.claims |= claims
    return come_back(console, provider.authorize(leave(console)))
