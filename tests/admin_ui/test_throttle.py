from admin_ui import throttle
from admin_ui.throttle import PER_ADDRESS, PER_NAME, SignInThrottle


class Clock:
    now = 500.0

    def __call__(self) -> float:
        return self.now


def test_a_name_has_a_burst_and_then_one_try_a_minute() -> None:
    clock = Clock()
    tries = SignInThrottle(clock)
    assert [tries.admit("ada", f"10.0.0.{n}") for n in range(PER_NAME.burst)] == [0.0] * PER_NAME.burst
    assert tries.admit("ada", "10.0.1.1") == PER_NAME.seconds_each
    clock.now += PER_NAME.seconds_each
    assert tries.admit("ada", "10.0.1.1") == 0.0
    assert tries.admit("ada", "10.0.1.1") == PER_NAME.seconds_each
    assert tries.admit("bob", "10.0.1.1") == 0.0


def test_an_address_has_a_burst_over_all_names() -> None:
    tries = SignInThrottle(Clock())
    assert all(tries.admit(f"name-{n}", "10.0.0.1") == 0.0 for n in range(PER_ADDRESS.burst))
    assert tries.admit("another", "10.0.0.1") == PER_ADDRESS.seconds_each
    assert tries.admit("another", "10.0.0.2") == 0.0


def test_a_network_of_ipv6_counts_as_one_address() -> None:
    tries = SignInThrottle(Clock())
    for n in range(PER_ADDRESS.burst):
        tries.admit(f"name-{n}", f"2001:db8::{n:x}")
    assert tries.admit("another", "2001:db8:0:0:ffff::1") > 0
    assert tries.admit("another", "2001:db8:0:1::1") == 0.0


def test_a_refused_try_does_not_count() -> None:
    clock = Clock()
    tries = SignInThrottle(clock)
    for _ in range(PER_NAME.burst + 50):
        tries.admit("ada", "10.0.0.1")
    clock.now += PER_NAME.seconds_each
    assert tries.admit("ada", "10.0.0.1") == 0.0


def test_the_right_password_takes_its_try_back() -> None:
    tries = SignInThrottle(Clock())
    for _ in range(10 * PER_ADDRESS.burst):
        assert tries.admit("ada", "10.0.0.1") == 0.0
        tries.forgive("ada", "10.0.0.1")


def test_a_clock_that_jumps_back_gives_no_tries() -> None:
    clock = Clock()
    tries = SignInThrottle(clock)
    for _ in range(PER_NAME.burst):
        tries.admit("ada", "10.0.0.1")
    clock.now -= 400
    assert tries.admit("ada", "10.0.0.1") > 0


def test_memory_is_bounded_and_what_is_in_use_is_kept(monkeypatch) -> None:
    monkeypatch.setattr(throttle, "MOST_KEPT", 50)
    tries = SignInThrottle(Clock())
    for n in range(300):
        tries.admit(f"name-{n}" + "x" * 1000, f"10.1.{n // 250}.{n % 250}")
        tries.admit("ada", f"10.2.{n // 250}.{n % 250}")
    assert len(tries._drained_at) <= 50
    assert max(len(name) for _, name in tries._drained_at) <= 100
    assert tries.admit("ada", "10.3.0.1") > 0
    assert [tries.admit("bob", f"10.4.0.{n}") > 0 for n in range(PER_NAME.burst + 1)] == [False] * PER_NAME.burst + [
        True
    ]
