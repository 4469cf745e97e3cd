from contextlib import asynccontextmanager

import pytest

from gateway.errors import Unavailable


def test_an_unknown_page_is_a_page(console) -> None:
    console.become("ada")
    answer = console.client.get("/admin/nowhere")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "There is no page at this address." in answer.text


class Failing:
    def __init__(self, error: Exception) -> None:
        self.error = error

    @asynccontextmanager
    async def reading(self):
        raise self.error
        yield


@pytest.mark.parametrize(
    ("error", "status"), [(Unavailable("Nothing answers at db.internal."), 503), (RuntimeError("secret detail"), 500)]
)
def test_a_failure_tells_visitors_nothing(console, error, status) -> None:
    console.become("ada")
    console.services.database = Failing(error)
    answer = console.client.get("/admin")
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert "Something failed on this side." in answer.text
    assert str(error) not in answer.text


def test_static_files_stay_in_their_folder(console) -> None:
    console.become("ada")
    for path in (
        "/admin/static/../app.py",
        "/admin/static/%2e%2e/app.py",
        "/admin/static/..%2fapp.py",
        "/admin/static/app.css%00.png",
    ):
        assert console.client.get(path).status_code == 404
