"""The verdict of the official SDK for Python on streams of Responses; `verdicts_responses.mjs` tells more."""

import json
import sys

import openai

BASE, *NAMES = sys.argv[1:]
CLIENT = openai.OpenAI(base_url=BASE, api_key="none", max_retries=0)


def said(response):
    items = (response.output if response else None) or []
    parts = [part for item in items if item.type == "message" for part in item.content or []]
    text = "".join(getattr(part, "text", None) or getattr(part, "refusal", None) or "" for part in parts)
    calls = [[item.name, item.arguments] for item in items if item.type == "function_call"]
    details = response and response.incomplete_details
    return {"text": text, "calls": calls, "finish": (details and details.reason) or (response and response.status)}


def raw(client):
    last = None
    for event in client.responses.create(model="m", input="Hi", stream=True):
        if event.type in ("response.completed", "response.incomplete"):
            last = event.response
        if event.type in ("response.failed", "error"):
            raise RuntimeError(event.type)
    return said(last)


def verdict(name):
    try:
        return raw(CLIENT.with_options(base_url=f"{BASE}/{name}"))
    except Exception as error:  # whatever it is, it is the SDK's verdict
        return {"error": type(error).__name__}


print(json.dumps({name: {"raw": verdict(name)} for name in NAMES}))
