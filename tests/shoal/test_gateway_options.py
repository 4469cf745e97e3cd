"""What an operator says of a gateway arrives, with `shoal serve` as with `shoal gateway`."""

from dataclasses import fields
from pathlib import Path

import pytest
import typer

from gateway.settings import GatewaySettings, OidcRole, OidcSettings
from shoal.cli import load
from shoal.data_folder import DataFolder
from shoal.options.gateway import GatewayOptions

SAID = {
    "--metrics-key": ("m", "metrics_key", "m"),
    "--default-model": ("d", "default_model", "d"),
    "--pool-patience": ("gpu=7", "pool_patiences", {"gpu": 7.0}),
    "--pool-waiting": ("5", "pool_waiting", 5),
    "--redis-url": ("redis://cache", "redis_url", "redis://cache"),
    "--quota-outage": ("allow", "quota_outage", "allow"),
    "--public-url": ("https://shoal.example.org", "public_url", "https://shoal.example.org"),
    "--console-host": ("console", "console_hosts", ("console",)),
    "--trusted-proxy": ("10.0.0.0/8", "trusted_proxies", ("10.0.0.0/8",)),
    "--allow-upstream": ("10.1.0.0/16", "allowed_upstreams", ("10.1.0.0/16",)),
    "--usage-spool": ("/spool", "usage_spool", Path("/spool")),
    "--usage-spool-limit": ("1MiB", "usage_spool_limit", 2**20),
    "--usage-retention": ("30", "usage_retention", 30.0),
    "--files": ("/files", "files", "/files"),
    "--max-file-bytes": ("2MiB", "max_file_bytes", 2**21),
    "--max-stored-bytes": ("4MiB", "max_stored_bytes", 2**22),
    "--grace-period": ("9", "grace_period", 9.0),
    "--drain-delay": ("2", "drain_delay", 2.0),
    "--max-body": ("8MiB", "max_body_bytes", 2**23),
    "--max-head": ("1KiB", "max_head_bytes", 2**10),
    "--max-headers": ("11", "max_headers", 11),
    "--max-connections": ("12", "max_connections", 12),
    "--connection-memory": ("16MiB", "connection_memory", 2**24),
    "--max-connections-per-address": ("13", "max_connections_per_address", 13),
    "--access-log": ("all", "access_log", "all"),
    "--database-url": ("postgresql://host/name", "database_url", "postgresql://host/name"),
}


OIDC = (
    *("--oidc-issuer", "https://login.example.org/x", "--oidc-client-id", "shoal", "--oidc-client-secret", "hunter2"),
    *("--oidc-claim", "roles", "--oidc-role", "a=b=admin", "--oidc-role", "acme=tenant_admin:Acme: Ltd"),
)


@pytest.fixture
def settings(tmp_path):
    def said(command: str, *words: str) -> GatewaySettings:
        values = load(f"shoal.commands.{command}:{command}").make_context(command, list(words)).params
        mine = {field.name: values[field.name] for field in fields(GatewayOptions)}
        return GatewayOptions(**mine).settings(DataFolder.at(tmp_path))

    return said


@pytest.mark.parametrize("command", ["serve", "gateway"])
def test_all_that_is_said_arrives_and_what_is_not_said_stays(settings, command) -> None:
    plain = settings(command)
    every = settings(command, *(word for option, (text, _, _) in SAID.items() for word in (option, text)))
    for _, name, value in SAID.values():
        assert getattr(every, name) == value
        assert getattr(plain, name) != value, f"{name} says nothing here: it is that without being said"
    others = {field.name for field in fields(GatewaySettings)} - {name for _, name, _ in SAID.values()}
    assert {name for name in others if getattr(every, name) != getattr(plain, name)} == set()


@pytest.mark.parametrize("command", ["serve", "gateway"])
def test_a_provider_arrives_whole(settings, command) -> None:
    found = settings(command, *OIDC).oidc
    assert found == OidcSettings(
        issuer="https://login.example.org/x",
        client_id="shoal",
        client_secret="hunter2",
        claim="roles",
        roles=(OidcRole("a=b", "admin"), OidcRole("acme", "tenant_admin", "Acme: Ltd")),
    )
    assert "hunter2" not in repr(found)
    assert settings(command).oidc is None


@pytest.mark.parametrize(
    "words",
    [
        OIDC[2:],
        OIDC[:2],
        OIDC[:4],
        ("--oidc-issuer", "http://login.example.org", *OIDC[2:]),
        ("--oidc-issuer", "login.example.org", *OIDC[2:]),
        (*OIDC, "--oidc-role", "ops"),
        (*OIDC, "--oidc-role", "ops=king"),
        (*OIDC, "--oidc-role", "=admin"),
        (*OIDC, "--oidc-role", "acme=tenant_admin"),
        (*OIDC, "--oidc-role", "ops=admin:acme"),
    ],
)
def test_half_a_provider_is_none(settings, words) -> None:
    with pytest.raises(typer.BadParameter):
        settings("gateway", *words)


def test_secrets_among_the_options_are_in_no_text() -> None:
    assert "hunter2" not in repr(GatewayOptions(session_key="hunter2", metrics_key="hunter2"))
