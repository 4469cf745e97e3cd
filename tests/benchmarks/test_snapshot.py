import asyncio

from benchmarks import snapshot


def test_every_number_of_the_table_is_measured_on_what_was_made_up(tmp_path):
    numbers = asyncio.run(snapshot.measure(f"sqlite:///{tmp_path / 'shoal.db'}", 4, 10, 3))
    table = snapshot._table(numbers, 4, 10, "sqlite")
    assert {row[0] for row in table.rows if row[2]} == {"resident growth", "lookup of a key"}
    assert all(number > 0 for name, number in numbers.items() if "resident" not in name)
    assert [len(row) for row in table.rows] == [3] * len(numbers)


def test_every_tenant_has_rules_and_an_equal_share_of_the_keys():
    rows, keys = snapshot.made_up(5, 20)
    counts = {table.__name__: len(values) for table, values in rows.items()}
    assert counts == {
        "Model": snapshot.MODELS, "Tenant": 5, "ApiKey": 20, "ModelGrant": 15, "QuotaRule": 20, "TenantAlias": 5
    }  # fmt: skip
    assert len(set(keys)) == 20


def test_where_the_database_is_stays_out_of_the_results():
    words = ["--dry", "--database-url", "postgresql://u:secret@host/name", "--keys", "5"]
    assert snapshot._without_secrets(words) == ["--dry", "--database-url", "…", "--keys", "5"]
