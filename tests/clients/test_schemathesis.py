"""schemathesis against the server's own description: whatever it sends is answered, never with a 5xx, and only with
what the description names. The engine behind it is a fake one: thousands of odd requests are not a matter of models.
"""

import os

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

EXAMPLES = int(os.environ.get("HEARTH_EXAMPLES", "4"))
CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)

KEPT = requests.Session()
"""Thousands of requests over one connection."""
schema = schemathesis.openapi.from_url(f"{os.environ['HEARTH_ADDRESS']}/openapi.json")


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_it_answers_as_it_says(case: schemathesis.Case) -> None:
    if isinstance(case.body, dict) and "stream" in case.body:
        case.body["stream"] = False  # a stream's pieces have no schema in OpenAPI
    answer = case.call_and_validate(checks=CHECKS, session=KEPT, timeout=60)
    assert answer.status_code < 500
