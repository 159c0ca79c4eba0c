"""instructor, in an interpreter of its own: prints the version and the object that it made of the answer."""

import json
import os
import sys
from importlib.metadata import version

import instructor
from openai import OpenAI
from pydantic import BaseModel


class Owner(BaseModel):
    """A model in a model: its schema is a `$ref`."""

    name: str


class Size(BaseModel):
    """What the model is to find out."""

    name: str
    bytes: int
    owner: Owner


client = instructor.from_openai(
    OpenAI(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"], timeout=60), mode=instructor.Mode.JSON_SCHEMA
)
messages = [{"role": "user", "content": sys.argv[1]}]
size = client.chat.completions.create(model="claude-haiku-4-5", messages=messages, response_model=Size, max_retries=0)
print(json.dumps({"version": version("instructor"), "object": size.model_dump()}))
