"""What others say, made fit to be shown: servers, proxies and libraries may say back what they were sent.

A value can be said back in more forms than can be listed (percent-encoded, form-encoded, escaped for JSON or HTML,
normalised, in base64), so nothing is looked for and cut out. It is the other way round: the words that error messages
are made of are shown, unless what was sent has the same word in it; everything else becomes `…`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from urllib.parse import parse_qsl, urlsplit

from migrate.model.masking import mask

_LONGEST = 300  # characters of a message
_RAW = 4  # characters that a value has at least to be looked for as it is
_WORD = re.compile(
    r"""(?P<before>['"(]*)(?P<word>[A-Za-z]+(?:['-][A-Za-z]+)?|[0-9]{1,4})(?P<after>['")]{0,2}[.,:;!?]?)"""
)
_QUOTES = re.compile(r"""['"()]{1,2}[.,:;]?|-|–""")  # what stands around a value that is masked
_VOCABULARY = (
    "a able about access account accounts active after again all allowed already an and another any api "
    "are argument as at auth authenticate authenticated authentication authorization authorized away back bad "
    "be because been before being between binding bindings bindingtype body but by bytes call can't cannot "
    "certificate certificates chain character characters chat check closed code concurrency concurrent "
    "configuration connect connected connecting connection connections contact content conversation "
    "conversations could couldn't create created credential credentials current currently data database "
    "date deleted denied did disabled does doesn't down due empty enabled end endpoint error errors "
    "exceeded exception exist existing exists expected expired fail failed failure feature field fields "
    "file first for forbidden format found friendlyname from full gateway get gone had handle handshake "
    "has have header host hostname http https id identity if in incomplete incorrect information internal "
    "invalid is issuer it its json key keys large last legacy length limit limited local long longer "
    "maintenance malformed many match matching max maximum media message messages method minimum missing more "
    "most must name need new no none not notification notifications null number of off on one only "
    "operation or other out page pages pagesize pagetoken parameter parameters passed path peer "
    "permission permissions please port post present private protocol provide provided proxy push query "
    "quota range rate reached read received refused remote request requested requests required reset "
    "resource resources response retries retry route sandbox secret secrets see self-signed send sent "
    "server server's service services set should sid signed size slow something soon ssl state status "
    "still string subaccount support supported suspended switched system temporarily temporary than that "
    "the their there this time timed timeout times tls to token tokens too try tunnel twilio type unable "
    "unauthorized unavailable unexpected unknown unprocessable unreachable unsupported until url use used "
    "user users valid value values verification verify version was were when which while will with within "
    "without wrong you your "
)
_KNOWN = frozenset(_VOCABULARY.split())
# Twilio's codes, from its error pages (FACTS.md, "REST behaviour"), in our own words.
_MEANINGS = {
    10001: "the account is not active",
    20001: "a value is not valid",
    20003: "the credentials were not accepted",
    20404: "there is no such thing",
    20429: "too many requests at a time",
    20503: "the service is unavailable",
    50050: "there is no such service",
    70002: "a page was asked for without its token",
}


class Sent:
    """What a request has in it that must not be shown: the values in its address and in its form, and secrets."""

    def __init__(self, url: str = "", secrets: Collection[str] = (), form: Collection[str] = ()) -> None:
        pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
        self._identities = sorted(
            {value for key, value in pairs if key == "Identity" and len(value) >= _RAW}, key=len, reverse=True
        )
        values = [*(value for _, value in pairs), *secrets, *form]
        self._words = {word for value in values for word in _words_of(value)}
        self._text = " ".join(values)

    def conceal(self, text: str) -> str:
        """A text of which no word is shown but those that everybody's messages have, and none that was sent.

        An identity that it has as it was sent is masked. Empty where nothing is left.
        """
        text = " ".join(text[: _LONGEST * 10].split())
        pattern = "|".join(re.escape(value) for value in self._identities) or r"(?!)"
        shown, place = [], 0
        for found in re.finditer(pattern, text):
            shown += [self._plain(text[place : found.start()]), mask(found[0])]
            place = found.end()
        shown.append(self._plain(text[place:]))
        plain = re.sub(r"…(?:\s*…)+", "…", "".join(shown)).strip()
        return plain[:_LONGEST] if re.search(r"[A-Za-z0-9]", plain) else ""

    def _plain(self, text: str) -> str:
        return "".join(
            piece if piece.isspace() else self._shown(piece) for piece in re.split(r"(\s+)", text) if piece
        )

    def _shown(self, piece: str) -> str:
        if _QUOTES.fullmatch(piece):
            return piece
        found = _WORD.fullmatch(piece)
        if found is None:
            return "…"
        word = found["word"].lower()
        known = word not in self._text if word.isdigit() else word in _KNOWN and not self._words & {*_words_of(word)}
        return piece if known else f"{found['before'][:1]}…{found['after'][:1]}"

    def code(self, number: int | None) -> tuple[str, str]:
        """Twilio's code as an error has it, and its meaning where that is known; empty for what is no such code."""
        if number is None or not 10_000 <= number <= 99_999 or str(number) in self._text:
            return "", ""
        return f", code {number}", _MEANINGS.get(number, "")


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _words_of(value: str) -> list[str]:
    return re.findall(r"\w+", _folded(value).replace("_", " "))
