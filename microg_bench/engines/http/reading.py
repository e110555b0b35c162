"""Reads what servers say, which may have any shape: nothing is taken for an answer that is not one."""

import html
import json
import re
from typing import Any

from microg_bench.engines.http.errors import RequestError
from microg_bench.engines.http.secrets import Access, Secrets
from microg_bench.records import Response

LONGEST = 1_000_000  # characters of thoughts that are kept, and of an answer whose limit is not known
_PER_TOKEN = 256  # characters; no common tokenizer has a longer token
_MOST_TOKENS = 10**9
_DIGITS = 18  # of an integer that is read as one
_GLIMPSE = 10_000  # characters of what is odd; whoever tells it hides keys in it and cuts it to a line
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


class OddError(ValueError):
    """A part of a response that is not what the interface describes; the text may hold what a server said."""


def parsed(content: bytes) -> Any:
    """A response as JSON.

    Raises:
        OddError: it is none; the text says what it is instead.
    """
    try:
        return json.loads(content.decode("utf-8-sig"), parse_int=_integer)
    except UnicodeDecodeError:
        raise OddError("the response is not UTF-8") from None
    except (ValueError, RecursionError):
        raise OddError(f"the response is not JSON: {glimpse(content)}") from None


def _integer(digits: str) -> float:
    return int(digits) if len(digits) <= _DIGITS else float(digits)


def glimpse(content: bytes) -> str:
    """What a response is that is no JSON: the title of a page, or the beginning of the text."""
    text = content[:_GLIMPSE].decode(errors="replace")
    if (title := _TITLE.search(text)) is not None:
        return " ".join(html.unescape(title[1]).split())
    return text.strip() or "it is empty"


def mapping(found: Any) -> dict[str, Any]:
    """`found` where it is an object, else an empty one."""
    return found if isinstance(found, dict) else {}


def dicts(found: Any) -> list[dict[str, Any]]:
    """The objects in a list; none where it is no list."""
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def text_in(found: Any, depth: int = 4) -> str:
    """The text in a value that should be one, or a block of text, or a list of these; "" where it is null.

    Raises:
        OddError: it is something else, or nested deeper than `depth`.
    """
    if found is None or isinstance(found, str):
        return found or ""
    if isinstance(found, list) and depth:
        return "".join(text_in(one, depth - 1) for one in found)
    for name in ("text", "thinking", "reasoning", "summary", "content"):
        if isinstance(found, dict) and name in found and depth:
            return text_in(found[name], depth - 1)
    raise OddError(f"{json.dumps(found)[:_GLIMPSE]} stands where text should")


def name_in(found: Any, secrets: Secrets) -> str | None:
    """A name or version that a server tells, on one line; None where it tells none."""
    return secrets.line(found) if isinstance(found, str) and found.strip() else None


def with_texts(
    response: Response, text: str, thoughts: str, access: Access, max_tokens: int | None, **counted: Any
) -> Response:
    """`response` with an answer and its thoughts, without secrets; see `checked`.

    Raises:
        RequestError: as `checked`.
    """
    clean = access.secrets.clean
    told = {"text": clean(text), "reasoning": clean(thoughts) or None}
    return checked(response.model_copy(update=told), access, max_tokens, **counted)


def checked(response: Response, access: Access, max_tokens: int | None = None, **counted: Any) -> Response:
    """`response` with what the server counted; thoughts beyond a million characters are cut off.

    Args:
        response: what the server said.
        access: the server, for the message.
        max_tokens: the limit of tokens of the answer, where it is known.
        counted: counts of tokens by the names of `Response`, as the server tells them, and `total_tokens`. Of
            several in a tuple the sum counts.

    Raises:
        RequestError: a count that is impossible, or a text that is longer than the limit allows. The request
            is not sent again, since it is paid for.
    """
    longest = LONGEST if max_tokens is None else max_tokens * _PER_TOKEN
    too_long = len(response.text) > longest
    update: dict[str, Any] = {"reasoning": response.reasoning and response.reasoning[:LONGEST]}
    response = response.model_copy(update={**update, **({"text": ""} if too_long else {})})
    try:
        response = response.model_copy(update=_counts(**counted))
    except OddError as odd:
        reason = f"{access.where}: an impossible count of tokens: {access.secrets.line(odd)}"
        raise RequestError("refused", reason, response=response) from None
    if too_long:
        reason = f"{access.where}: the answer is longer than {longest:,} characters"
        reason += f", more than {max_tokens:,} tokens can have" if max_tokens else ""
        raise RequestError("refused", reason, response=response)
    return response


def something(response: Response) -> Response | None:
    """`response` where it holds anything that was said or counted."""
    said = response.text or response.reasoning or response.prompt_tokens is not None
    return response if said else None


def odd_answer(odd: OddError, response: Response, access: Access) -> RequestError:
    """What a response means in which no answer is found."""
    reason = f"{access.where}: {access.secrets.line(odd)}"
    return RequestError("retryable", reason, response=something(response))


def oddly_ended(ended: Any, response: Response, access: Access, more: str = "") -> RequestError:
    """What a response means whose answer `ended` for a reason that is missing or not known."""
    words = f"with finish reason {access.secrets.line(ended)}" if ended else "without a finish reason"
    reason = f"{access.where}: the answer ended {words}{more}"
    return RequestError("retryable", reason, response=something(response))


def _counts(**told: Any) -> dict[str, int | None]:
    counts = {name: _count(name, found) for name, found in told.items()}
    total, prompt = counts.pop("total_tokens", None), counts.get("prompt_tokens")
    written, thought = counts.get("output_tokens"), counts.get("reasoning_tokens")
    if prompt is None:
        counts["cached_tokens"] = None
    elif (cached := counts.get("cached_tokens") or 0) > prompt:
        raise OddError(f"{cached} of {prompt} tokens of the prompt come from a cache")
    if written is not None and thought is not None:
        whole = written + thought  # where a server counts thoughts apart from what is written
        if thought > written or total == (prompt or 0) + whole:
            counts["output_tokens"] = whole
    return counts


def _count(name: str, found: Any) -> int | None:
    """A count of tokens; whole numbers are also read where they are written as a decimal or a text."""
    if isinstance(found, tuple):
        parts = [count for one in found if (count := _count(name, one)) is not None]
        return sum(parts) if parts else None
    if found is None:
        return None
    if isinstance(found, str) and re.fullmatch(r"[0-9]{1,18}", found.strip()):
        found = int(found)
    whole = isinstance(found, (int, float)) and not isinstance(found, bool) and found == found // 1
    if not whole or not 0 <= found <= _MOST_TOKENS:
        raise OddError(f"{name.replace('_', ' ')}: {json.dumps(found)[:_GLIMPSE]}")
    return int(found)
