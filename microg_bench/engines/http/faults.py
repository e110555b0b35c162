"""What servers say of requests that they do not answer, in the words and fields of many vendors."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from microg_bench.engines.http.errors import RequestError, kind_of, retry_after
from microg_bench.engines.http.reading import OddError, dicts, glimpse, mapping, parsed
from microg_bench.engines.http.secrets import Access
from microg_bench.records import Response

_QUOTA = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error"}
)
# The statuses that stand for Anthropic's names of errors; 500 for others.
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
}
_FILTERED = frozenset(
    {
        *("content_filter", "content_policy_violation", "invalid_prompt", "moderation_blocked"),
        *("data_inspection_failed", "datainspectionfailed", "responsibleaipolicyviolation"),
    }
)
_FLAGGED = re.compile(r"flagged|moderation|content.?policy|inappropriate|prohibited|safety|sensitive", re.I)
_BUSY = re.compile(r"rate.?limit|too.?many|throttl|resource_exhausted")
_WRONG = re.compile(r"invalid|unsupported|unprocessable|context_length|bad.?request|not_supported")
_ANYTHING = 2000  # characters of a message that are searched for the name of a setting

_REJECTS = re.compile(
    r"unsupported|unknown|unrecogni[sz]ed|unexpected|invalid|illegal|deprecated|incompatible|exclusive|"
    r"no longer|forbidden|disallowed|remove|unable|should be|out of range|"
    r"\b(?:extra|only|cannot|not|must|both)\b|n['’]t\b",
    re.IGNORECASE,
)
_EITHER = re.compile(r"\b(?:both|either|together|simultaneously|one of|exclusive)\b", re.IGNORECASE)
_NO_SUCH = re.compile(
    r"unsupported|not.supported|n['’]t support|unknown|unrecogni[sz]ed|unexpected|extra|not permitted|"
    r"instead",
    re.IGNORECASE,
)
_TOO_LARGE = re.compile(r"too (?:large|long|high|many)|at most|exceed|greater|context|range", re.IGNORECASE)
_THOUGHT = ("thinking", "reasoning")
_SCHEMA = (
    *("response_format", "json_schema", "json_mode", "structured_output", "structured_outputs"),
    *("response_json_schema", "response_schema", "response_mime_type", "guided_json", "guided_decoding"),
    *("output_config_format", "output_format"),
)


@dataclass(frozen=True)
class Fault:
    """What a server says of a request that it does not answer.

    `status` is HTTP's, or what stands for it in the body of a response; `names` are the codes, types and
    reasons that programs may read, in lower case; `fields` are the parts of the request that are named;
    `retry_after` is the wait that is asked for, in seconds.
    """

    status: int
    message: str = ""
    names: frozenset[str] = frozenset()
    fields: tuple[str, ...] = ()
    retry_after: float | None = None

    @classmethod
    def of(cls, status: int, said: Any, headers: Mapping[str, str] | None = None) -> "Fault":
        """From the status, the body (its bytes, or what they hold) and the headers of a response."""
        headers = headers or {}
        told = _told(said)
        message = _message(told)
        if 300 <= status < 400:
            message = f"it redirects to {headers.get('location', 'another address')}, where nothing is sent"
        waits = [_seconds(one.get("retryDelay")) for one in dicts(told.get("details"))]
        asked = next((wait for wait in waits if wait is not None), None)
        wait = retry_after(headers) if asked is None else asked
        return cls(status, message, frozenset(_names(told)), tuple(_fields(told)), wait)

    @classmethod
    def inside(cls, said: Any) -> "Fault | None":
        """The error that a response of status 200 holds in place of an answer, or beside one."""
        found = mapping(_first(said))
        if not (found.get("error") or found.get("object") == "error" or found.get("detail")):
            return None
        told = _told(said)
        code = str(told.get("code") or told.get("status") or "")
        return cls.of(int(code) if re.fullmatch("[45][0-9]{2}", code) else _status(_names(told)), said)

    @property
    def quota(self) -> bool:
        """Whether the account has nothing left, for a day or at all."""
        spent = bool(self.names & _QUOTA) or any("perday" in name for name in self.names)
        return self.status == 402 or (spent and self.status in (403, 429))

    @property
    def filtered(self) -> bool:
        """Whether the vendor's content filter stopped the request itself."""
        return 400 <= self.status < 500 and bool(self.names & _FILTERED)

    def error(self, access: Access, response: Response | None = None) -> RequestError:
        """What it means for the run; `response` is what else was said."""
        where = access.where if self.names else access.way  # a page may be the proxy's
        said = f"{where}: {self.status}: {access.secrets.line(self.message)}"
        kind, key = kind_of(self.status), access.key_name
        if self.quota:
            kind, said = "fatal", f"{said}: the quota of the key in {key} is used up"
        elif self.status == 401 or "api_key_invalid" in self.names:
            kind, said = "fatal", f"{said}: check the key in {key}"
        elif "failed_precondition" in self.names:  # no billing, or not for this part of the world
            kind = "fatal"
        elif kind == "denied" and _FLAGGED.search(" ".join((self.message, *self.names))):
            kind = "refused"
        elif kind == "denied" and self.names:  # not a page of something in between
            said = f"{said}: check the key in {key}"
        return RequestError(kind, said, self.retry_after, response)

    def rejects(self, settings: Iterable[str]) -> str | None:
        """Which of `settings` the server does not take, in whatever field or words it says so.

        Args:
            settings: names of what was sent. Where two exclude each other, the first of them is named.
        """
        if self.status not in (400, 422):
            return None
        patterns = {name: _pattern(name) for name in settings}
        for place in self.fields:
            for name, pattern in patterns.items():
                if pattern.search(place):
                    return name
        for sentence in self._sentences():
            found = {name: match.start() for name, pattern in patterns.items()
                     if (match := pattern.search(sentence)) is not None}  # fmt: skip
            if found and _REJECTS.search(sentence):
                return next(iter(found)) if _EITHER.search(sentence) else min(found, key=found.__getitem__)
        return None

    def rejects_limit(self, name: str) -> bool:
        """Whether the server does not know the limit of tokens under this name; its value is no reason."""
        said = " ".join((self.message, *self.names))
        named = any(_pattern(name).search(place) for place in (*self.fields, self.message))
        unknown = _NO_SUCH.search(said) and not _TOO_LARGE.search(self.message)
        return self.status in (400, 422) and named and bool(unknown)

    @property
    def of_schemas(self) -> bool:
        """Whether it is about the schema of an answer."""
        said = (*self.fields, self.message[:_ANYTHING])
        return self.status in (400, 422) and any(
            _pattern(name).search(place) for name in _SCHEMA for place in said
        )

    @property
    def of_thoughts(self) -> bool:
        """Whether it is about thinking, though it names no setting."""
        return self.rejects(_THOUGHT) is not None

    def _sentences(self) -> list[str]:
        codes = (name.replace("_", " ") for name in self.names)
        return [*re.split(r"(?<=[.!?])\s+|;\s", self.message[:_ANYTHING]), *codes]


def _pattern(name: str) -> re.Pattern[str]:
    """A setting's name in snake case, in camel case, or as words."""
    spelled = r"[\s_.-]?".join(map(re.escape, name.split("_")))
    return re.compile(f"(?<![A-Za-z0-9]){spelled}(?![A-Za-z0-9])", re.IGNORECASE)


def _told(said: Any) -> dict[str, Any]:
    """The object that describes the error, however it is wrapped."""
    if isinstance(said, bytes):
        try:
            said = parsed(said)
        except OddError:
            return {"message": glimpse(said)}
    said = _first(said)
    if not isinstance(said, dict):
        return {"message": said}
    error = said.get("error")
    if not isinstance(error, dict):
        return {**said, "message": said.get("message") or error}
    message = error.get("message")
    if isinstance(message, str) and message.lstrip().startswith("{"):  # an error that a gateway passes on
        try:
            return {**error, **_told(parsed(message.encode(errors="replace")))}
        except OddError:
            return error
    return error


def _first(said: Any) -> Any:
    """What is wrapped in a list, as some of Google's interfaces do with an error."""
    return next(iter(said), None) if isinstance(said, list) else said


def _message(told: dict[str, Any]) -> str:
    details = told.get("detail") or told.get("errors")
    first = next(iter(dicts(details)), {})
    place = ".".join(map(str, first["loc"])) if isinstance(first.get("loc"), list) else ""
    words = told.get("message") or first.get("msg") or first.get("message") or details
    raw = mapping(told.get("metadata")).get("raw")
    parts = (place, words, raw if raw != words else None)
    return ": ".join(part if isinstance(part, str) else repr(part) for part in parts if part)


def _names(told: dict[str, Any]) -> set[str]:
    details = dicts(told.get("details"))
    found = [told.get(name) for name in ("code", "type", "status", "error_type")]
    found += [detail.get("reason") for detail in details]
    found += [one.get("quotaId") for detail in details for one in dicts(detail.get("violations"))]
    return {str(one).lower() for one in found if isinstance(one, (str, int))}


def _fields(told: dict[str, Any]) -> list[str]:
    """The parts of a request that an error names: by OpenAI, by FastAPI and by Google."""
    found = [told.get("param")]
    found += [".".join(map(str, one["loc"])) for one in dicts(told.get("detail"))
              if isinstance(one.get("loc"), list)]  # fmt: skip
    violations = (dicts(one.get("fieldViolations")) for one in dicts(told.get("details")))
    found += [one.get("field") for several in violations for one in several]
    return [one for one in found if isinstance(one, str)]


def _status(names: set[str]) -> int:
    """The status that stands for the names of an error."""
    if known := names & _STATUSES.keys():
        return _STATUSES[min(known)]
    said = " ".join(names)
    if names & _QUOTA or _BUSY.search(said):
        return 429
    return 400 if names & _FILTERED or _WRONG.search(said) else 500


def _seconds(delay: Any) -> float | None:
    """A duration as protocol buffers write it in JSON, as in `37s`."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)s", str(delay))
    return float(found[1]) if found else None
