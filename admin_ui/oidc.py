"""Signing in elsewhere: OpenID Connect's code flow with PKCE, and what an ID token must prove.

The token's signature is checked by the provider's own keys, and by kinds of signature alone that nobody can make who
only knows our secret; then issuer, audience, times and nonce. What goes wrong is told in words.
"""

import asyncio
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import structlog
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import ClaimError, JoseError
from joserfc.jwk import KeySet

from gateway.services.access.outsiders import Outsider
from gateway.settings import OidcSettings

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
SCOPE = "openid profile email"
NAMES = ("preferred_username", "email", "sub")
"""Claims for what somebody is called here: the first that there is."""
LEEWAY = 60
"""Seconds by which clocks may differ."""
SAYS_ISSUER = "authorization_response_iss_parameter_supported"
"""A provider that says so of itself names itself in every answer (RFC 9207)."""
TIMEOUT = 10.0
KEPT = 600.0
"""Seconds for which the provider's description of itself is used."""
AGAIN_AFTER = 5.0
"""Seconds until a provider is asked again that did not say what it is: visitors can not make us ask without end."""
LONGEST_NAME = 64


class SignInFailed(Exception):
    """Nobody is signed in, and these words say why."""

    def __init__(self, message: str, status: int = 401) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is remembered of a sign-in while its operator is at the provider."""

    verifier: str
    """A secret; all else that guards the attempt is made of it."""
    next: str
    until: float
    """Unix seconds."""

    @property
    def state(self) -> str:
        """What the browser must bring back."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """What the token must hold."""
        return self._derived("nonce")

    def _derived(self, purpose: str) -> str:
        return hmac.digest(self.verifier.encode(), purpose.encode(), "sha256").hex()


class OidcProvider:
    """The provider of the settings. `clock` gives Unix seconds."""

    def __init__(self, settings: OidcSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._known: tuple[float, Mapping[str, Any] | SignInFailed] | None = None
        self._looking = asyncio.Lock()

    async def address(self, attempt: Attempt, redirect_uri: str) -> str:
        """Where the browser is sent to. Raises SignInFailed."""
        endpoint = (await self._description())["authorization_endpoint"]
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": SCOPE,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": create_s256_code_challenge(attempt.verifier),
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def prove(self, attempt: Attempt, code: str, redirect_uri: str, issuer: str | None = None) -> Outsider:
        """Who came back with this code. `issuer`: who sent them back, as the answer says. Raises SignInFailed."""
        description = await self._description()
        if issuer != self._settings.issuer and (issuer is not None or description.get(SAYS_ISSUER)):
            raise self._refused("the answer is not that provider's (iss)")
        reply = await self._exchange(description, attempt, code, redirect_uri)
        keys = await self._get(description["jwks_uri"])
        claims = self._checked(reply, keys, attempt)
        return outsider_of(claims, self._settings)

    def _checked(self, reply: Mapping[str, Any], keys: Mapping[str, Any], attempt: Attempt) -> Mapping[str, Any]:
        ours = self._settings.client_id
        try:
            usable = [key for key in keys["keys"] if key["kty"] in {"RSA", "EC"} and key.get("use", "sig") == "sig"]
            token = jwt.decode(reply["id_token"], KeySet.import_key_set({"keys": usable}), algorithms=list(ALGORITHMS))
            must = {"essential": True}
            claims = CodeIDToken(
                token.claims,
                token.header,
                options={"iss": must | {"value": self._settings.issuer}, "aud": must | {"value": ours}, "sub": must},
                params={"nonce": attempt.nonce, "client_id": ours, "access_token": reply.get("access_token")},
            )
            claims.validate(now=int(self._clock()), leeway=LEEWAY)
        except ClaimError as error:
            raise self._refused(f"its token is not for this sign-in ({error.claim})", error) from error
        except (JoseError, KeyError, TypeError, ValueError) as error:
            raise self._refused("its token could not be verified", error) from error
        if not isinstance(claims["sub"], str):
            raise self._refused("its token is not for this sign-in (sub)")
        return dict(claims)

    async def _exchange(
        self, description: Mapping[str, Any], attempt: Attempt, code: str, redirect_uri: str
    ) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": attempt.verifier,
            "client_id": self._settings.client_id,
        }
        secret, basic = self._settings.client_secret, None
        methods = description.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if secret is not None and "client_secret_basic" in methods:
            basic = httpx.BasicAuth(quote(self._settings.client_id, safe=""), quote(secret, safe=""))
        elif secret is not None:
            form["client_secret"] = secret
        return await self._ask("POST", description["token_endpoint"], data=form, auth=basic)

    async def _description(self) -> Mapping[str, Any]:
        """What the provider says of itself. Whoever comes while it is asked waits for that answer."""
        async with self._looking:
            if self._known is None or not 0 <= self._clock() - self._known[0] < _lasts(self._known[1]):
                try:
                    found: Mapping[str, Any] | SignInFailed = await self._look()
                except SignInFailed as failed:
                    found = failed
                self._known = self._clock(), found
            known = self._known[1]
        if isinstance(known, SignInFailed):
            raise SignInFailed(known.message, known.status) from known
        return known

    async def _look(self) -> Mapping[str, Any]:
        """Its description, at the address that its name gives."""
        issuer = self._settings.issuer
        found = await self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        scheme = "https://" if issuer.startswith("https://") else "http"
        needed = [found.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        if found.get("issuer") != issuer:
            raise self._refused(f"it calls itself {str(found.get('issuer'))[:200]!r}, not {issuer!r}", status=502)
        if not all(isinstance(one, str) and one.startswith(scheme) for one in needed):
            raise self._refused("it does not say where its parts are", status=502)
        return found

    async def _get(self, url: str) -> Mapping[str, Any]:
        return await self._ask("GET", url)

    async def _ask(self, method: str, url: str, **what: Any) -> Mapping[str, Any]:
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT) as client:
                answer = await client.request(method, url, headers={"accept": "application/json"}, **what)
            said = json.loads(answer.content)
        except (httpx.HTTPError, ValueError) as error:
            raise self._refused("it can not be reached, or says nothing that makes sense", error, status=502) from error
        if not isinstance(said, dict) or answer.status_code >= httpx.codes.BAD_REQUEST:
            word = said.get("error") if isinstance(said, dict) else None
            raise self._refused(f"it said {answer.status_code} {str(word or '')[:100]}".strip(), status=502)
        return said

    def _refused(self, why: str, error: Exception | None = None, *, status: int = 401) -> SignInFailed:
        log = structlog.get_logger("shoal.console")
        log.warning("sign-in elsewhere failed", issuer=self._settings.issuer, reason=why, error=type(error).__name__)
        return SignInFailed(f"Signing in at {self._settings.issuer} failed: {why}.", status)


def outsider_of(claims: Mapping[str, Any], settings: OidcSettings) -> Outsider:
    """Whom these claims are about, with the role that the settings give them. Raises SignInFailed."""
    held = values_of(claims, settings.claim)
    rule = next((rule for rule in settings.roles if rule.value == "*" or rule.value in held), None)
    if rule is None:
        raise SignInFailed(
            f"Your account at {settings.issuer} may not use this console: nothing in its claim '{settings.claim}' "
            "gives it a role here.",
            403,
        )
    return Outsider(f"{settings.issuer}|{claims['sub']}", _name_of(claims), rule.role, rule.tenant)


def _name_of(claims: Mapping[str, Any]) -> str:
    """The first claim that can be a name here; where none can, one that is made of the provider's own id for them."""
    for claim in NAMES:
        name = claims.get(claim)
        if isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and "/" not in name:
            return name
    return f"sub-{sha256(str(claims['sub']).encode()).hexdigest()[:16]}"


def _lasts(known: Mapping[str, Any] | SignInFailed) -> float:
    return AGAIN_AFTER if isinstance(known, SignInFailed) else KEPT


def values_of(claims: Mapping[str, Any], path: str) -> frozenset[str]:
    """What a claim holds, one or several; with dots in its name, of a claim within another."""
    value: Any = claims
    if path in claims:
        value = claims[path]
    else:
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    found = value if isinstance(value, list) else [value]
    return frozenset(one for one in found if isinstance(one, str))
