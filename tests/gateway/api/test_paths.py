"""However a path is written, it leads to a check or to nothing: sent as it is, byte for byte, by no client's rules."""

import socket
from itertools import product

import pytest

GUARDED = ("/v1/models", "/v1/models/tests/mini", "/admin", "/admin/api/v1/tenants", "/admin/api/v1/self", "/metrics")
OPEN = "/health/live"
TRICKS = {
    "as it is": lambda path: path,
    "two slashes before": lambda path: "/" + path,
    "three slashes before": lambda path: "//" + path,
    "two slashes within": lambda path: path[0] + path[1:].replace("/", "//"),
    "slash behind": lambda path: path + "/",
    "two slashes behind": lambda path: path + "//",
    "dot": lambda path: "/." + path,
    "dot behind": lambda path: path + ".",
    "slash dot behind": lambda path: path + "/.",
    "dots behind": lambda path: path + "/..",
    "up from the open": lambda path: f"{OPEN}/../..{path}",
    "up from the API": lambda path: f"/v1/..{path}",
    "up from the console": lambda path: f"/admin/..{path}",
    "up from static files": lambda path: f"/admin/static/../..{path}",
    "up from the admin API": lambda path: f"/admin/api/../..{path}",
    "encoded dots": lambda path: f"{OPEN}/%2e%2e/%2E%2E{path}",
    "encoded slashes": lambda path: path[0] + path[1:].replace("/", "%2f"),
    "all slashes encoded": lambda path: "/" + path.replace("/", "%2F"),
    "encoded dots and slashes": lambda path: f"{OPEN}%2f..%2f..{path}",
    "encoded twice": lambda path: f"{OPEN}/%252e%252e/%252e%252e{path}",
    "encoded letters": lambda path: path.replace("m", "%6d").replace("a", "%61"),
    "overlong utf-8": lambda path: f"{OPEN}/%c0%ae%c0%ae/%c0%ae%c0%ae{path}",
    "parameter": lambda path: path + ";jsessionid=1",
    "parameter within": lambda path: path[0] + path[1:].replace("/", ";x=y/", 1),
    "tomcat's": lambda path: f"{OPEN}/..;/..;{path}",
    "backslash": lambda path: path[0] + path[1:].replace("/", "\\"),
    "backslash before": lambda path: "/\\" + path,
    "encoded backslash": lambda path: f"{OPEN}%5c..%5c..{path}",
    "NUL behind": lambda path: path + "%00",
    "NUL and what is open": lambda path: f"{path}%00{OPEN}",
    "line feed": lambda path: path + "%0a",
    "space": lambda path: path + "%20",
    "tab before": lambda path: "/%09" + path,
    "upper case": lambda path: path.upper(),
    "query": lambda path: f"{path}?{OPEN}",
    "encoded query": lambda path: f"{path}%3f{OPEN}",
    "fragment": lambda path: f"{path}#{OPEN}",
    "file": lambda path: f"{path}/app.css",
    "ending": lambda path: path + ".json",
    "whole URL": lambda path: "http://localhost" + path,
    "whole URL of the open": lambda path: f"http://localhost{OPEN}/..{path}",
    "another scheme": lambda path: f"https://admin@localhost:1{path}",
    "no slash": lambda path: path[1:],
}
METHODS = ("GET", "POST", "HEAD", "OPTIONS", "get", "PROPFIND", "TRACE")


@pytest.fixture(scope="module")
def ask(running):
    """Status and body of the answer to a request line, sent as it is; 0 where the server only hangs up."""
    host, port = running.url.removeprefix("http://").split(":")

    def asked(method, target, *headers):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            lines = [f"{method} {target} HTTP/1.1", "host: localhost", "connection: close", *headers, "", ""]
            connection.sendall("\r\n".join(lines).encode("latin-1"))
            heard = b""
            while piece := connection.recv(65536):
                heard += piece
        head, _, body = heard.partition(b"\r\n\r\n")
        return int(head.split()[1]) if head else 0, head, body

    return asked


@pytest.mark.parametrize("trick", TRICKS)
def test_no_path_leads_around_the_check(ask, trick):
    for path, method in product(GUARDED, METHODS):
        status, head, body = ask(method, TRICKS[trick](path), "x-forwarded-for: 127.0.0.1")
        told = f"{method} {TRICKS[trick](path)}: {status}"
        if status == 303:
            assert b"location: /admin/sign-in" in head, told
        elif status == 204:  # which methods a route of operators has, as its open document says
            assert method == "OPTIONS", told
            assert b"allow: " in head, told
        else:
            assert status in {0, 400, 401, 404, 405}, told
        for known in (b"owned_by", b"tenant-", b"op-shoal-", b"shoal_gateway_", b'"data"'):
            assert known not in body.replace(path.encode(), b"").replace(b"op-shoal-\xe2\x80\xa6", b""), told


@pytest.mark.parametrize("trick", TRICKS)
def test_a_tenants_key_leads_to_nothing_of_operators(ask, trick, running, tenants_key):
    for path in ("/admin", "/admin/api/v1/tenants", "/admin/api/v1/self", "/metrics"):
        headers = (f"authorization: Bearer {tenants_key}", "x-forwarded-for: 127.0.0.1")
        status, _, body = ask("GET", TRICKS[trick](path), *headers)
        assert status in {0, 303, 400, 401, 404, 405}, TRICKS[trick](path)
        assert b"tenant-" not in body
        assert b"shoal_gateway_" not in body


@pytest.fixture(scope="module")
def tenants_key(running):
    return running.caller().key


@pytest.mark.parametrize(
    "target",
    [
        "app.css/../../rendering.py", "..%2frendering.py", "%2e%2e/rendering.py", "..%5crendering.py", "/etc/passwd",
        "%2e%2e%2f%2e%2e%2fpyproject.toml", "%2fetc%2fpasswd", "..;/rendering.py", "app.css%00.py",
        "....//rendering.py",
    ],
)  # fmt: skip
def test_files_of_the_console_are_those_of_one_folder(ask, target):
    status, _, body = ask("GET", f"/admin/static/{target}")
    assert status in {0, 400, 404}
    assert b"import" not in body
    assert b"root:" not in body
    assert b"[project]" not in body


@pytest.mark.parametrize("target", ["*", "", "?", "//", "/%", "/%zz", "/%e0%a4%a", "/" + "a" * 70_000, "localhost:80"])
def test_a_target_that_is_none_is_a_clear_no(ask, target):
    for method in ("GET", "POST", "OPTIONS"):
        assert ask(method, target)[0] in {0, 400, 401, 404, 405, 414, 431}  # 401: taken for `/`, which asks for a key


HEADERS = {
    "NUL in a key": "authorization: Bearer {key}\0",
    "NUL before a key": "authorization: \0Bearer {key}",
    "line feed in a key": "authorization: Bearer {key}\nx-api-key: {key}",
    "folded": "x: y\r\n authorization: Bearer {key}",
    "no break space": "authorization: Bearer\xa0{key}",
    "space before the colon": "authorization : Bearer {key}",
    "space before the name": " authorization: Bearer {key}",
    "long s": "authori\u017fation: Bearer {key}".encode().decode("latin-1"),
    "vertical tab": "authorization: Bearer\x0b{key}",
    "quotes": 'authorization: Bearer "{key}"',
    "a list": "authorization: Bearer x, Bearer {key}",
    "semicolon": "authorization: Bearer {key};x",
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_that_is_written_wrongly_carries_no_key(ask, tenants_key, case):
    status, head, body = ask("GET", "/v1/models", HEADERS[case].format(key=tenants_key))
    assert status in {0, 400, 401}
    assert tenants_key[-20:].encode() not in head + body


@pytest.mark.parametrize(
    "case", ["authorization:Bearer {key}", "AUTHORIZATION:\t Bearer {key} \t", "X-API-KEY: {key}\t"]
)
def test_white_space_around_a_key_is_no_part_of_it(ask, tenants_key, case):
    assert ask("GET", "/v1/models", case.format(key=tenants_key))[0] == 200
