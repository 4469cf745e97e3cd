"""Quotas by the admin API: set for tenants and keys, shown with what is used of them, in force at once."""


def by_kind(reply):
    assert reply.status_code == 200, reply.text
    return {row["kind"]: (row["amount"], row["used"]) for row in reply.json()["data"]}


def test_limits_are_set_shown_with_their_use_and_taken_away(admin, running):
    caller = running.caller()
    path = f"/tenants/{caller.tenant}/quotas"
    seen = admin.get(path).headers["etag"]
    limits = {"requests": 5, "tokens": 10_000, "tokens_per_month": 1_000_000, "concurrency": 3}
    made = admin.ask("PUT", path, limits, match=seen)
    assert by_kind(made) == {kind: (amount, 0) for kind, amount in limits.items()}
    assert admin.ask("PUT", path, {"requests": 6}, match=seen).status_code == 409
    tokens = running.embed(caller, {"input": "a text"}).json()["usage"]["total_tokens"]
    running.wait_until(lambda: by_kind(admin.get(path))["tokens_per_month"] == (1_000_000, tokens))
    used = by_kind(admin.get(path))
    assert used["requests"] == (5, 1)
    assert used["concurrency"] == (3, 0)
    for _ in range(5):
        running.embed(caller, {"input": "a text"})
    assert running.embed(caller, {"input": "a text"}).status_code == 429
    left = admin.ask("PUT", path, {"requests": None}, match=made.headers["etag"])
    assert set(by_kind(left)) == {"tokens", "tokens_per_month", "concurrency"}
    assert running.embed(caller, {"input": "a text"}).status_code == 200


def test_a_key_has_limits_of_its_own_within_those_of_its_tenant(admin, program, running):
    caller = running.caller(requests=10)
    path = f"/tenants/{caller.tenant}/keys/{caller.key_id}/quotas"
    asker = program("tenant_admin", caller.tenant)
    assert by_kind(asker.ask("PUT", path, {"requests": 2, "model_pattern": "tests/*"}, match="*")) == {
        "requests": (2, 0)
    }
    running.embed(caller, {"input": "x"})
    assert by_kind(asker.get(path)) == {"requests": (2, 1)}
    assert asker.ask("PUT", path, {"requests": 11}, match="*").status_code == 400
    assert by_kind(asker.get(f"/tenants/{caller.tenant}/quotas")) == {"requests": (10, 1)}
    assert asker.ask("PUT", f"/tenants/{caller.tenant}/quotas", {"requests": 99}, match="*").status_code == 403


def test_absurd_limits_are_refused(admin, tenant):
    for body in ({"requests": 0}, {"tokens": -1}, {"tokens": 1.5}, {"requests": 10**30}, {"rpm": 5}, {"amount": 5}):
        assert admin.ask("PUT", f"/tenants/{tenant}/quotas", body, match="*").status_code == 400
    assert admin.get(f"/tenants/{tenant}/quotas").json()["data"] == []
