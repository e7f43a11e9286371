"""The verdict of Ollama's package for Python on whole answers of its own protocol; `verdicts.mjs` tells more."""

import json
import sys

import ollama

BASE, *NAMES = sys.argv[1:]
CLIENT = ollama.Client(host=BASE)


def raw(name):
    # A client of its own for each name would read the machine's certificates each time.
    CLIENT._client.base_url = f"{BASE}/{name}"
    whole = CLIENT.chat(model="m", messages=[{"role": "user", "content": "Hi"}], stream=False)
    text = "".join("\ufffd" if 0xD800 <= ord(it) <= 0xDFFF else it for it in whole.message.content or "")
    calls = [[it.function.name, json.dumps(it.function.arguments)] for it in whole.message.tool_calls or []]
    return {"text": text, "calls": calls, "finish": whole.done_reason if whole.done else None}


def verdict(name):
    try:
        return raw(name)
    except Exception as error:  # whatever it is, it is the package's verdict
        return {"error": type(error).__name__}


print(json.dumps({name: {"raw": verdict(name)} for name in NAMES}))
