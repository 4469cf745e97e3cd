"""The wires keep to their own document, whatever schemathesis makes of it; and the document leaves no route out."""

import re

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS
from schemathesis.core.parameters import ParameterLocation

from gateway.api.openapi import describe
from gateway.app import create_app

POINTED = "got `float`"
"""To a schema 1.0 is an integer; here it is not."""
WIDE = "Invalid value for 'dimensions'"
"""Nor does a schema know how many dimensions a model has."""
CONFIG = schemathesis.Config.from_dict({"generation": {"deterministic": True, "max-examples": 15}})
schema = schemathesis.openapi.from_dict(describe(), config=CONFIG)


@pytest.fixture(scope="module")
def key(running):
    return running.caller().key


@schema.parametrize()
@settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_described(case, gateway_under_test, upstream, key):
    is_positive = case.meta.generation.mode.is_positive
    if is_positive and isinstance(case.body, dict):
        generates = case.path.endswith("/completions")
        model = gateway_under_test.served_by(upstream, "chat") if generates else gateway_under_test.model
        case.body["model"] = model  # any other is a 404
    headers = {"Authorization": f"Bearer {key}"}
    reply = case.call(base_url=gateway_under_test.url, headers=headers)
    left_out = {"positive_data_acceptance"}
    header = case.meta.components.get(ParameterLocation.HEADER)
    if header is not None and header.mode.is_negative:  # by leaving out the key, which is sent all the same
        left_out.add("negative_data_rejection")
    checks = [check for check in CHECKS.get_all() if check.__name__ not in left_out]
    case.validate_response(reply, checks=checks, headers=headers, transport_kwargs={"base_url": gateway_under_test.url})
    names = "{" in case.path or case.path.endswith(("/batches", "/files", "/info"))  # things that there may not be
    if is_positive and not names:
        assert reply.status_code == 200 or POINTED in reply.text or WIDE in reply.text, reply.text


def test_no_route_is_left_out(gateway_under_test):
    described = {(method.upper(), path) for path, methods in describe()["paths"].items() for method in methods}
    routes = create_app(gateway_under_test.services)._app.routes
    served = {
        (method, re.sub(r"\{\w+_id(:\w+)?\}", "{id}", route.path).replace(":str}", "}"))
        for route in routes
        for method in route.methods - {"OPTIONS"}
    }
    assert described == served
