"""The page of what works has every database and framework. Last of these tests, as each writes of its own."""

from database_table import ROWS


def test_the_page_of_what_works_has_these_databases(compatibility):
    assert set(compatibility.clients("databases")) == set(ROWS)
