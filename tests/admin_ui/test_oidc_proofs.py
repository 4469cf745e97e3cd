"""Signing in at an OpenID provider: what a browser brings back, and what a token must prove."""

import json

import pytest
from fake_provider import CLIENT, NOW, SECRET, come_back, leave, sign_in
from joserfc.jwk import OctKey, RSAKey


@pytest.fixture
def console(console_at, oidc_settings):
    return console_at(oidc=oidc_settings)


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
        ({"sub": 7}, "sub"),
        ({"sub": ["1"]}, "sub"),
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


def test_only_the_browser_that_began_comes_back_and_only_in_time(console, provider, console_at, oidc_settings) -> None:
    said = provider.authorize(leave(console))
    other = console_at(oidc=oidc_settings)
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


def test_a_provider_that_failed_is_left_alone_for_some_seconds(console, provider) -> None:
    provider.described = {"issuer": "https://evil.test"}
    for _ in range(3):
        answer = console.client.get("/admin/sign-in/oidc")
        assert (answer.status_code, "it calls itself" in answer.text) == (502, True)
    assert provider.looked_at == 1
    provider.described = {}
    console.clock.now += 4.9
    assert console.client.get("/admin/sign-in/oidc").status_code == 502
    console.clock.now += 0.2
    leave(console)
    leave(console)
    assert provider.looked_at == 2


def test_an_answer_that_another_provider_gave_is_not_taken(console, provider) -> None:
    for issuer in ("https://evil.test", provider.issuer + "/", ""):
        said = provider.authorize(leave(console)) | {"iss": issuer}
        answer = come_back(console, said)
        assert (answer.status_code, "not that provider" in answer.text) == (401, True), issuer
    assert provider.exchanged == 0
    assert come_back(console, provider.authorize(leave(console)) | {"iss": provider.issuer}).status_code == 303


def test_a_provider_that_names_itself_in_answers_has_to(console, provider) -> None:
    provider.described = {"authorization_response_iss_parameter_supported": True}
    assert come_back(console, provider.authorize(leave(console))).status_code == 401
    assert come_back(console, provider.authorize(leave(console)) | {"iss": provider.issuer}).status_code == 303


@pytest.mark.parametrize("public_url", [None, "http://shoal.test", "http://shoal.test/"])
def test_the_provider_sends_browsers_where_the_settings_say(console_at, oidc_settings, provider, public_url) -> None:
    console = console_at(oidc=oidc_settings, public_url=public_url)
    console.client.headers["x-forwarded-host"] = "evil.test"
    if public_url is not None:
        console.client.headers["host"] = "evil.test"
    provider.authorize(leave(console))
    [asked] = provider.codes.values()
    expected = "http://console.test" if public_url is None else "http://shoal.test"
    assert asked["redirect_uri"] == f"{expected}/admin/sign-in/oidc/done"


def test_over_tls_the_attempt_is_this_hosts_alone(console_at, oidc_settings, provider) -> None:
    console = console_at("https://console.test", oidc=oidc_settings)
    left = console.client.get("/admin/sign-in/oidc")
    names = {header.partition("=")[0] for header in left.headers.get_list("set-cookie")}
    assert names == {"__Host-shoal_console", "__Host-shoal_oidc"}
    assert come_back(console, provider.authorize(left.headers["location"])).status_code == 303
