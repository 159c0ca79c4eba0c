"""`param` names the member of a request that is wrong."""

from typing import Any

import pytest
from pydantic import ValidationError

from api.http.errors import parameter
from api.openai.schemas import ChatCompletionRequest


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [5]}, "messages[0]"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages[0].content[0].image_url.url",
        ),
        ({"messages": [{"role": "user", "content": "x"}], "n": 0}, "n"),
        (
            {
                "messages": [{"role": "user", "content": "x"}],
                "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "nope"}}},
            },
            "response_format.json_schema.schema",
        ),
        ([], None),
    ],
)
def test_param_is_written_as_openai_does(body: Any, param: str | None) -> None:
    with pytest.raises(ValidationError) as error:
        ChatCompletionRequest.model_validate(body)
    assert parameter(("body", *error.value.errors()[0]["loc"])) == param
