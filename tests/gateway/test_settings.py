from gateway.settings import GatewaySettings

CHROMA_SENDS = 5461
WIDE = 1024 * 4 * 4 // 3
"""Bytes of a vector of 1024 numbers in base64."""


def test_the_inputs_of_one_request_are_bounded_by_what_their_answer_takes() -> None:
    settings = GatewaySettings(database_url="sqlite://")
    assert settings.max_inputs is not None
    assert settings.max_inputs > 10_000 > CHROMA_SENDS
    assert settings.max_inputs * WIDE < 128 * 2**20
