from ipaddress import IPv4Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.addresses import why_refused

PRIVATE = [ip_network("10.0.0.0/8")]


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::127.0.0.1", "loopback"),
        ("2002:7f00:1::", "loopback"),
        ("64:ff9b::7f00:1", "loopback"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("192.168.0.1", "private"),
        ("::ffff:10.0.0.1", "private"),
        ("64:ff9b::a00:1", "private"),
        ("fc00::1", "private"),
        ("fec0::1", "private"),
        ("2001:db8::1", "private"),
        ("192.0.2.1", "private"),
        ("169.254.1.1", "local link"),
        ("fe80::1", "local link"),
        ("fe80::1%eth0", "local link"),
        ("169.254.169.254", "metadata"),
        ("::ffff:169.254.169.254", "metadata"),
        ("fd00:ec2::254", "metadata"),
        ("100.100.100.200", "metadata"),
        ("168.63.129.16", "metadata"),
        ("169.254.170.2", "metadata"),
        ("192.0.0.192", "metadata"),
        ("64:ff9b:1::808:808", "private"),
        ("100.64.0.1", "reserved"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("255.255.255.255", "private"),
        ("240.0.0.1", "private"),
    ],
)
def test_what_is_not_the_public_internet_is_refused_with_its_kind(address, why):
    assert why in (why_refused(address) or "")


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_called(address):
    assert why_refused(address) is None


def test_a_network_that_is_allowed_is_called_in_all_of_its_spellings_and_no_other():
    assert why_refused("10.1.2.3", PRIVATE) is None
    assert why_refused("::ffff:10.1.2.3", PRIVATE) is None
    assert why_refused("192.168.0.1", PRIVATE) == "private"
    assert why_refused("::1", [ip_network("::1/128")]) is None


def test_the_metadata_service_is_not_allowed_along_with_its_neighbours_but_by_its_own_name():
    assert why_refused("169.254.169.254", [ip_network("169.254.0.0/16")]) is not None
    assert why_refused("::ffff:169.254.169.254", [ip_network("0.0.0.0/0")]) is not None
    assert why_refused("169.254.169.254", [ip_network("169.254.169.254/32")]) is None


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_no_spelling_of_an_ipv4_address_in_ipv6_changes_the_answer(address):
    plain = why_refused(str(address))
    for spelling in (f"::ffff:{address}", f"64:ff9b::{address}"):
        assert (why_refused(spelling) is None) == (plain is None), spelling


def test_what_is_no_address_is_an_error():
    with pytest.raises(ValueError, match="does not appear"):
        why_refused("example.org")
