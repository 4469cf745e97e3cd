"""The pictures are of every page: what is added to the console's routes is either pictured or said to be no page."""

from demo.pages import NO_PAGES, filled, shots

FILES = "/admin/static/{file_path:path}"


def test_every_page_has_its_picture(console) -> None:
    every = {path for method, path, _ in console.routes() if method == "GET" and path != FILES}
    paths = {path.removeprefix("/admin") or "/" for path in every}
    pictured = {shot.address for shot in shots()}
    assert paths - pictured == NO_PAGES


def test_pictures_have_names_of_their_own(console) -> None:
    names = [shot.name for shot in shots()]
    assert len(set(names)) == len(names)


def test_what_a_route_holds_in_braces_is_filled_in() -> None:
    address = filled("/tenants/{tenant:str}/keys/{key}?by={by}", {"tenant": "t1", "key": "k1", "by": "day"})
    assert address == "/admin/tenants/t1/keys/k1?by=day"
