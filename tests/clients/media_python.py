"""Pictures and files, from OpenAI's SDK for Python to the model of a stub and back."""

import base64
import functools
import json

import openai
from openai import OpenAI

from bench import BASE, ask, fresh, play


def filled(seed):
    """Bytes of every value, of a size that is no multiple of three."""
    return bytes((at * 31 + seed * 7 + (at >> 8)) % 256 for at in range(70_001))


PNG, PDF = filled(1), filled(2)


def url(media_type, data):
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


IMAGE = {"type": "input_image", "image_url": url("image/png", PNG), "detail": "auto"}
FILE = {"type": "input_file", "file_data": url("application/pdf", PDF), "filename": "cat.pdf"}


@functools.cache
def client(path):
    return OpenAI(base_url=f"{BASE}/{path}", api_key="none", max_retries=0)


def create(path, word, *parts, **more):
    content = [{"type": "input_text", "text": word}, *parts]
    return client(path).responses.create(model="scripted", input=[{"role": "user", "content": content}], **more)


def model_got(word):
    """The requests that the model got with this word."""
    return json.loads(ask(f"/upstream/about/{word}"))


def decoded(data_url):
    return base64.b64decode(data_url.partition(",")[2], validate=True)


def a_picture_and_a_file_reach_the_model():
    word = fresh("word")
    answer = create("open/v1", word, IMAGE, FILE)
    assert (answer.status, answer.output_text) == ("completed", "Seen."), answer
    (request,) = model_got(word)
    text, picture, file = request["messages"][-1]["content"]
    assert text == {"type": "text", "text": word}
    assert (picture["type"], file["type"]) == ("image_url", "file")
    assert decoded(picture["image_url"]["url"]) == PNG
    assert file["file"]["filename"] == "cat.pdf"
    assert decoded(file["file"]["file_data"]) == PDF


def closed_ones_are_refused():
    for part in (IMAGE, FILE):
        for stream in (False, True):
            word = fresh("word")
            try:
                create("closed/v1", word, part, stream=stream)
                raise AssertionError("it was not refused")
            except openai.UnprocessableEntityError as error:
                assert (error.status_code, error.code, error.type) == (422, "not_open", "invalid_request_error")
                assert f"parts of the type `{part['type']}` are not open" in error.message, error.message
            assert model_got(word) == []


def what_asks_for_nothing_is_accepted():
    word = fresh("word")
    answer = create(
        "closed/v1",
        word,
        tool_choice="auto",
        parallel_tool_calls=True,
        text={"format": {"type": "text"}, "verbosity": "medium"},
        truncation="disabled",
        reasoning=None,
        store=True,
        background=False,
        tools=[],
        include=[],
        metadata={},
        service_tier="auto",
        temperature=None,
        top_p=None,
        max_output_tokens=None,
        instructions=None,
    )
    assert (answer.status, answer.tool_choice, answer.parallel_tool_calls) == ("completed", "auto", True)
    (request,) = model_got(word)
    assert not {"tool_choice", "parallel_tool_calls", "response_format", "temperature"} & request.keys()


def those_of_the_model_arrive():
    events = [
        {"type": "text", "content": "There: "},
        {"type": "media", "mediaType": "image/png", "url": url("image/png", PNG)},
        {"type": "media", "mediaType": "application/pdf", "url": url("application/pdf", PDF), "name": "cat.pdf"},
        {"type": "text", "content": "Done."},
    ]
    answer = create("v1", "Paint.", extra_body={"events": events})
    assert (answer.status, answer.output_text) == ("completed", "There: Done.")
    (picture,) = [item for item in answer.output if item.type == "image_generation_call"]
    assert base64.b64decode(picture.result) == PNG
    parts = [part for item in answer.output if item.type == "message" for part in item.content]
    (annotation,) = [annotation for part in parts for annotation in part.annotations]
    assert (annotation.type, annotation.title) == ("url_citation", "cat.pdf")
    assert decoded(annotation.url) == PDF


SCENARIOS = [
    a_picture_and_a_file_reach_the_model,
    closed_ones_are_refused,
    what_asks_for_nothing_is_accepted,
    those_of_the_model_arrive,
]

play({scenario.__name__.replace("_", " "): scenario for scenario in SCENARIOS})
