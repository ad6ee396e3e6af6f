"""Questions about images, answered by a vision-language model behind an OpenAI-compatible server (vLLM is the one we
ship). Images travel as data URLs inside the request; no address is ever given to the server to fetch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from inference.errors import BadInput, InferenceError, Unavailable
from inference.routing import ROUTED
from inference.shown import LONGEST, Shown, parts

Form = TypeVar("Form", bound=BaseModel)

UNREACHABLE = "The model server at {where} does not answer ({why}). Start it, or check its address in the settings."
SLOW = "The model server at {where} took longer than {seconds:g} seconds. Try again when it is less busy."
KEY = "The model server at {where} refused the key. Check the key in the settings."
UNKNOWN = "The model server at {where} does not serve {model}. Check the model's name in the settings."
BUSY = "The model server at {where} is failing or overloaded (status {status}). Try again later."
REFUSED = "The model refused this request: {why}"
NOT_PROTOCOL = "The server at {where} does not answer as an OpenAI-compatible model server does. Check its address."
NOT_THE_FORM = "This is not JSON of the form asked for: {why}. Answer once more, with the JSON alone."
TWICE = "{model} did not give its answer in the form asked for, twice: {why}"
FENCED = re.compile(r"\s*```(?:json)?\s*(.*?)\s*```\s*", re.DOTALL)
NOTHING = "The model gave an empty answer. Ask in other words."


class OpenAIAnswerer:
    """An `Answerer` over POST {base_url}/chat/completions. `base_url` ends in /v1; `name` is the model asked for.

    With a `transport` (`inference.routing.Routed`) it chooses the server, and its key: `base_url` then only names it.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str = "",
        timeout_s: float = 120.0,
        longest: int = LONGEST,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._model = model
        self._api_key = api_key
        self._longest = longest
        self._transport = transport
        self._timeout_s = timeout_s
        self._where = urlsplit(self.base_url).netloc or self.base_url

    @property
    def name(self) -> str:
        """The model's name, as shown beside its answer."""
        return self._model

    def answer(self, images: Sequence[bytes | Shown], question: str, *, max_tokens: int = 512) -> str:
        """The model's answer as plain text, at temperature 0. `images` are 8-bit PNG or JPEG files' bytes, or these
        with the line that names each; a side longer than `longest` pixels is shrunk to that.

        Raises Unavailable (no server, wrong key or model, overload, time-out) or BadInput (the model refuses this
        request, for example because it takes no images).
        """
        return self._text(self._post(self._body(images, question, max_tokens)))

    def fill(self, images: Sequence[bytes | Shown], question: str, form: type[Form], *, max_tokens: int = 1024) -> Form:
        """The answer as an object of the pydantic model `form`, at temperature 0.

        Its JSON schema goes with the request (`response_format`), and the answer is checked against it all the same:
        not every server obeys. One that does not fit is asked for once more, with what was wrong. Raises as `answer`
        does, and BadInput when the second one does not fit either.
        """
        body = self._body(images, question, max_tokens)
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": form.__name__, "strict": True, "schema": form.model_json_schema()},
        }
        text = self._text(self._post(body))
        try:
            return _filled(form, text)
        except ValidationError as error:
            again = [
                {"role": "assistant", "content": text},
                {"role": "user", "content": NOT_THE_FORM.format(why=_wrong(error))},
            ]
            text = self._text(self._post(body | {"messages": body["messages"] + again}))
        try:
            return _filled(form, text)
        except ValidationError as error:
            raise BadInput(TWICE.format(model=self._model, why=_wrong(error))) from error

    def _body(self, images: Sequence[bytes | Shown], question: str, max_tokens: int) -> dict[str, Any]:
        content = parts([one if isinstance(one, Shown) else Shown("", one) for one in images], self._longest)
        content.append({"type": "text", "text": question})
        return {
            "model": self._model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": max_tokens,
            "temperature": 0.0,
        }

    def _post(self, body: dict[str, Any]) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        timeout = httpx.Timeout(self._timeout_s, connect=5.0)
        try:
            # No proxy from the environment: a patient's image goes to the configured server and nowhere else.
            with httpx.Client(timeout=timeout, trust_env=False, transport=self._transport) as client:
                base_url = ROUTED if self._transport else self.base_url
                response = client.post(f"{base_url}/chat/completions", json=body, headers=headers)
        except httpx.ReadTimeout as error:
            raise Unavailable(SLOW.format(where=self._where, seconds=self._timeout_s)) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(UNREACHABLE.format(where=self._where, why=type(error).__name__)) from error
        if response.status_code != 200:
            raise self._refusal(response)
        return response

    def _refusal(self, response: httpx.Response) -> InferenceError:
        status = response.status_code
        if status in (401, 403):
            return Unavailable(KEY.format(where=self._where))
        if status == 404:
            return Unavailable(UNKNOWN.format(where=self._where, model=self._model))
        if status in (400, 413, 422):
            return BadInput(REFUSED.format(why=_message(response)))
        return Unavailable(BUSY.format(where=self._where, status=status))

    def _text(self, response: httpx.Response) -> str:
        try:
            content = response.json()["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise Unavailable(NOT_PROTOCOL.format(where=self._where)) from error
        text = content.strip() if isinstance(content, str) else ""
        if not text:
            raise BadInput(NOTHING)
        return text


def _filled(form: type[Form], text: str) -> Form:
    """The object in an answer, which some models put between fences. Raises pydantic's ValidationError."""
    fenced = FENCED.fullmatch(text)
    return form.model_validate_json(fenced[1] if fenced else text)


def _wrong(error: ValidationError) -> str:
    lines = [f"{'.'.join(map(str, e['loc'])) or 'the whole'}: {e['msg']}" for e in error.errors(include_input=False)]
    return "; ".join(lines)[:500]


def _message(response: httpx.Response) -> str:
    """The server's own words, at most 200 characters."""
    try:
        body = response.json()
        words = (body.get("error") or body).get("message") or response.text
    except (ValueError, AttributeError):
        words = response.text
    return str(words)[:200] or f"status {response.status_code}"
