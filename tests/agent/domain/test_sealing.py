"""What is sealed is one string to Prefect, and the same request afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from agent.domain.request import AgentRequest
from agent.domain.sealing import seal_meaningful

METADATA: dict[str, Any] = {"a": {"$ref": "x"}, "b": [{"__prefect_kind": "jinja", "template": "{{ 7 * 7 }}"}]}


def test_a_request_comes_back_from_its_parameter_as_it_was() -> None:
    request = AgentRequest(prompt="hi", agent="a", metadata=METADATA, json_schema={"$ref": "#/$defs/x"})
    parameter = request.as_parameter()
    assert not {"metadata", "json_schema"} & parameter.keys()
    assert (parameter["prompt"], parameter["agent"]) == ("hi", "a")
    assert AgentRequest.model_validate(parameter) == request


def test_a_request_with_nothing_to_seal_is_as_before() -> None:
    request = AgentRequest(prompt="hi", agent="a")
    assert request.as_parameter() == request.model_dump(mode="json")


def test_of_an_operators_request_only_what_prefect_would_read_is_sealed() -> None:
    sealed = seal_meaningful({"metadata": METADATA, "source": {"items": [{"id": 1}]}, "agent": "a"})
    assert (sealed.keys(), sealed["agent"]) == ({"source", "agent", "sealed"}, "a")


@pytest.mark.parametrize("sealed", ["{", "[]", "1", 7, {}])
def test_what_the_service_did_not_seal_is_refused(sealed: object) -> None:
    with pytest.raises(ValidationError):
        AgentRequest.model_validate({"prompt": "hi", "agent": "a", "sealed": sealed})
