"""The admin API keeps to its own document, whatever schemathesis makes of it: no 5xx, no answer that is not described.

Cases whose path is right are sent to a tenant and a key that exist, and meant for the version that is there: else
nearly all would end as 404 and 409.
"""

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS

from gateway.api.admin.document import describe
from gateway.api.admin.routes import OPERATIONS

KINDS = {"requests", "tokens", "tokens_per_month", "concurrency"}
BEYOND_SCHEMAS = {"base_url", "name", "expires", "expires_at", "tenant", "alias", "from", *KINDS}
"""What may be refused though it is as described: no schema says that a name is printable, that a moment is to come, or
that a wider limit is below this one."""
POINTED = "got `float`"
"""To a schema 1.0 is an integer; here it is not."""
CONFIG = schemathesis.Config.from_dict(
    {
        "generation": {"deterministic": True, "max-examples": 10},
        "checks": {"missing_required_header": {"expected-statuses": [428]}},
    }
)
schema = schemathesis.openapi.from_dict(describe(OPERATIONS), config=CONFIG)


@pytest.fixture(scope="module")
def asker(program):
    return program("admin")


@pytest.fixture
def there(running, asker):
    """A tenant with a key, by the names of parameters."""
    caller = running.caller()
    return {"tenant": caller.tenant, "key": caller.key_id}


@schema.parametrize()
@settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_described(case, gateway_under_test, asker, there):
    is_positive = case.meta.generation.mode.is_positive
    # schemathesis looks again at paths that were changed, and takes what is percent-encoded in them for wrong.
    if is_positive and "%" not in str(case.path_parameters):
        case.path_parameters |= {name: value for name, value in there.items() if name in case.path_parameters}
        if "If-Match" in case.headers:
            case.headers["If-Match"] = "*"
    base_url = gateway_under_test.url + "/admin/api/v1"
    headers = {"Authorization": f"Bearer {asker.token}"}
    reply = case.call(base_url=base_url, headers=headers)
    if is_positive and reply.status_code == 400:
        error = reply.json()["error"]
        assert error["param"] in BEYOND_SCHEMAS or POINTED in error["message"], reply.text
    rest = [check for check in CHECKS.get_all() if check.__name__ != "positive_data_acceptance"]
    case.validate_response(reply, checks=rest, headers=headers, transport_kwargs={"base_url": base_url})


def test_the_document_is_open_and_names_every_operation(gateway_under_test):
    document = gateway_under_test.request("GET", "/admin/api/v1/openapi.json").json()
    assert document == json.loads(json.dumps(describe(OPERATIONS)))
    described = [(method, path) for path, methods in document["paths"].items() for method in methods]
    assert len(described) == len(OPERATIONS)
    ids = [told["operationId"] for methods in document["paths"].values() for told in methods.values()]
    assert len(set(ids)) == len(ids)
