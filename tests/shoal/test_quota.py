from datetime import UTC, datetime

import pytest


@pytest.fixture(autouse=True)
def tenant(shoal) -> None:
    shoal("tenant", "create", "acme")


def test_limits_are_set_shown_and_taken_away(shoal) -> None:
    key = shoal("key", "create", "--tenant", "acme", "--json").json["id"]
    shoal("quota", "set", "--tenant", "acme", "--rpm", "1_000", "--tpm", "50000")
    shoal("quota", "set", "--tenant", "acme", "--model", "big/*", "--tpm", "10")
    assert shoal("quota", "set", "--tenant", "acme", "--key", key, "--rpm", "5").rows[1:] == [
        ["*", "requests/min", "5", "-", key, "-"]
    ]
    assert shoal("quota", "show", "--tenant", "acme").rows == [
        ["models", "limit", "amount", "used", "key", "note"],
        ["*", "requests/min", "1,000", "-", "all together", "-"],
        ["*", "tokens/min", "50,000", "-", "all together", "-"],
        ["big/*", "tokens/min", "10", "-", "all together", "-"],
        ["*", "requests/min", "5", "-", key, "-"],
    ]
    shoal("quota", "set", "--tenant", "acme", "--rpm", "none")
    amounts = {
        (row["model_pattern"], row["kind"], row["key_id"])
        for row in shoal("quota", "show", "--tenant", "acme", "--json").json
    }
    assert amounts == {("*", "tokens", None), ("big/*", "tokens", None), ("*", "requests", key)}


def test_budgets_and_places_are_set_and_a_limit_that_a_wider_one_keeps_from_use_is_said(shoal) -> None:
    key = shoal("key", "create", "--tenant", "acme", "--json").json["id"]
    shoal("quota", "set", "--tenant", "acme", "--tokens-per-month", "2_000_000", "--concurrency", "8")
    shoal("quota", "set", "--tenant", "acme", "--key", key, "--concurrency", "6")
    shoal("quota", "set", "--tenant", "acme", "--concurrency", "4")
    assert shoal("quota", "show", "--tenant", "acme").rows[1:] == [
        ["*", "requests at once", "4", "-", "all together", "-"],
        ["*", "tokens/month", "2,000,000", "0 (0 %)", "all together", "-"],
        ["*", "requests at once", "6", "-", key, "never reached: a wider limit is 4"],
    ]


def test_a_budget_below_what_the_month_has_used_already_is_said(shoal, record) -> None:
    [tenant] = shoal("tenant", "list", "--json").json
    record(tenant["id"], datetime.now(UTC))
    [limit] = shoal("quota", "set", "--tenant", "acme", "--tokens-per-month", "8").rows[1:]
    assert limit == ["*", "tokens/month", "8", "7 (87 %)", "all together", "-"]
    [limit] = shoal("quota", "set", "--tenant", "acme", "--tokens-per-month", "7").rows[1:]
    assert limit[3:] == ["7 (100 %)", "all together", "used up: requests are refused until the month ends"]


def test_a_key_above_its_tenant_is_refused(shoal, refused) -> None:
    key = shoal("key", "create", "--tenant", "acme", "--json").json["id"]
    shoal("quota", "set", "--tenant", "acme", "--rpm", "60")
    assert refused("quota", "set", "--tenant", "acme", "--key", key, "--rpm", "61") == (
        "Error: 61 requests per minute would never be reached: the key or its tenant has a wider limit of 60. "
        "Set no more than that, or raise the wider limit first."
    )


def test_no_limits_are_said(shoal) -> None:
    assert shoal("quota", "show", "--tenant", "acme").out == "No limits.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rpm", "0"), "0 would stop everything"),
        (("--tpm", "-5"), "-5 would stop everything"),
        (("--rpm", "many"), "'many' is no number"),
        (("--rpm", "1.5"), "'1.5' is no number"),
        ((), "say which limit to set"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused_at_the_option(run, shoal, data_dir, words, said) -> None:
    done = run("quota", "set", "--tenant", "acme", *words, "--data-dir", str(data_dir))
    assert done.code == 2
    assert said in " ".join(done.err.replace("│", " ").split())
    assert shoal("quota", "show", "--tenant", "acme").out == "No limits.\n"


def test_an_absurd_limit_is_refused(refused) -> None:
    said = refused("quota", "set", "--tenant", "acme", "--rpm", "99999999999")
    assert said == "Error: 99999999999 requests per minute is more than 10000000; for no limit, remove it."
