import pytest

from gateway.services.access.callers import caller_address, networks

TRUSTED = networks(("10.0.0.0/8", "fd00::1"))


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "forged, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7, 10.9.9.9", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.2, 198.51.100.7 , fd00::1, 10.9.9.9", "198.51.100.7"),
        ("10.0.0.1", "no address at all", "no address at all"),
        ("", "198.51.100.7", ""),
    ],
)
def test_only_what_a_trusted_proxy_appended_is_believed(peer, forwarded_for, address) -> None:
    assert caller_address(peer, forwarded_for, TRUSTED) == address
