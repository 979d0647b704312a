"""Takes secrets out of texts before they are stored.

One table of key formats serves every way in. Looking for a secret must cost almost nothing where there is none: one pass looks
for all literals that a secret can begin with, and only around a find is the exact pattern tried. Patterns are linear: none can
be made to search for long.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import ahocorasick_rs


@dataclass(frozen=True, slots=True)
class Format:
    """How one kind of secret looks: `literals` that it begins with, and the pattern that the text has from there on.

    Where a pattern has a group `secret`, that is what goes; else all of it. `check` has the last word.
    """

    kind: str
    literals: tuple[str, ...]
    pattern: str
    check: Callable[[str], bool] | None = None
    inside_words: bool = False


def _format(kind: str, literals: str, pattern: str, **options: bool | Callable[[str], bool]) -> Format:
    return Format(kind, tuple(literals.split()), pattern, **options)  # pyright: ignore[reportArgumentType]


def _has_digit(text: str) -> bool:
    return any(sign.isdigit() for sign in text)


def _is_random(text: str) -> bool:
    """Letters and digits without a pattern, as a generated value has them; not a word, a path or a piece of code."""
    return _has_digit(text) and any(sign.isalpha() for sign in text) and len(set(text)) >= 6


def _is_no_placeholder(text: str) -> bool:
    return not text.startswith(("$", "%", "*", "[REDACTED"))


def _is_password(text: str) -> bool:
    return _is_no_placeholder(text) and not text.replace("_", "").replace(".", "").isalpha()


_WORD = r"[A-Za-z0-9_-]"
_KEY_NAMES = ("api_key", "api-key", "apikey", "access_key", "secret_key", "private_key", "client_secret", "secret", "token")
_PASSWORD_NAMES = ("password", "passwd", "passphrase", "pwd")
_ASSIGNS = ("=", ":", '":', "':", '\\":', " =", '" :')
_ASSIGNMENT = r"[\w-]{1,40}?(?:\\*[\"'])?\s{0,3}[:=]\s{0,3}(?:\\*[\"'])?(?P<secret>[^\s\"'\\,;&<>(){}\[\]`]{%d,400})"


def _assigned(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(form + sign for name in names for form in (name, name.upper(), name.title()) for sign in _ASSIGNS)


FORMATS: tuple[Format, ...] = (
    _format("anthropic_key", "sk-ant-", rf"sk-ant-{_WORD}{{16,400}}"),
    _format("openrouter_key", "sk-or-", rf"sk-or-{_WORD}{{16,400}}"),
    _format("openai_key", "sk-", rf"sk-(?!ant-|or-){_WORD}{{20,400}}", check=_has_digit),
    _format("github_token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{30,255}"),
    _format("github_token", "github_pat_", r"github_pat_\w{22,255}"),
    _format("gitlab_token", "glpat- gldt- glrt- glptt- glft- glsoat-", rf"gl[a-z]{{2,4}}-{_WORD}{{20,100}}"),
    _format("aws_access_key", "AKIA ASIA ABIA ACCA", r"A[KSBC][ICI]A[A-Z2-7]{16}(?![A-Z0-9])"),
    _format("google_key", "AIza", rf"AIza{_WORD}{{35}}"),
    _format("google_token", "ya29.", rf"ya29\.{_WORD}{{20,400}}"),
    _format("google_client_secret", "GOCSPX-", rf"GOCSPX-{_WORD}{{20,60}}"),
    _format("slack_token", "xoxb- xoxp- xoxa- xoxr- xoxs- xoxe-", r"xox[abprse]-[A-Za-z0-9-]{10,300}", check=_has_digit),
    _format("slack_token", "xapp-", r"xapp-[A-Za-z0-9-]{10,300}", check=_has_digit),
    _format("slack_webhook", "hooks.slack.com/services/", r"hooks\.slack\.com/services/(?P<secret>[\w/]{20,100})"),
    _format("stripe_key", "sk_live_ sk_test_ rk_live_ rk_test_", r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,250}"),
    _format("webhook_secret", "whsec_", r"whsec_[A-Za-z0-9+/=]{20,100}"),
    _format("npm_token", "npm_", r"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
    _format("pypi_token", "pypi-", rf"pypi-{_WORD}{{50,400}}"),
    _format("huggingface_token", "hf_", r"hf_[A-Za-z]{30,60}(?![A-Za-z0-9_])|hf_[A-Za-z0-9]{30,60}(?![A-Za-z0-9_])"),
    _format("groq_key", "gsk_", r"gsk_[A-Za-z0-9]{40,80}"),
    _format("xai_key", "xai-", r"xai-[A-Za-z0-9]{40,120}"),
    _format("perplexity_key", "pplx-", r"pplx-[A-Za-z0-9]{32,80}"),
    _format("replicate_token", "r8_", r"r8_[A-Za-z0-9]{37}(?![A-Za-z0-9])"),
    _format("nvidia_key", "nvapi-", rf"nvapi-{_WORD}{{40,100}}"),
    _format("langsmith_key", "lsv2_pt_ lsv2_sk_", r"lsv2_(?:pt|sk)_[0-9a-f]{32}(?:_[0-9a-f]{10})?"),
    _format("tavily_key", "tvly-", rf"tvly-{_WORD}{{20,80}}", check=_has_digit),
    _format("sendgrid_key", "SG.", rf"SG\.{_WORD}{{16,32}}\.{_WORD}{{16,64}}"),
    _format("mailgun_key", "key-", r"key-[0-9a-f]{32}(?![0-9a-f])"),
    _format("databricks_token", "dapi", r"dapi[0-9a-f]{32}(?:-\d)?(?![0-9a-f])"),
    _format("digitalocean_token", "dop_v1_ doo_v1_ dor_v1_", r"do[opr]_v1_[0-9a-f]{64}"),
    _format("linear_key", "lin_api_", r"lin_api_[A-Za-z0-9]{32,60}"),
    _format("notion_token", "ntn_", r"ntn_[A-Za-z0-9]{40,60}"),
    _format("shopify_token", "shpat_ shpca_ shppa_ shpss_", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    _format("vault_token", "hvs. hvb.", rf"hv[sb]\.{_WORD}{{20,300}}"),
    _format("age_key", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    _format("docker_token", "dckr_pat_ dckr_oat_", rf"dckr_[po]at_{_WORD}{{20,60}}"),
    _format("supabase_token", "sbp_", r"sbp_[0-9a-f]{40}"),
    _format("sentry_token", "sntrys_ sntryu_", r"sntry[su]_[A-Za-z0-9+/=_]{40,400}"),
    _format("grafana_token", "glsa_ glc_", r"glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}|glc_[A-Za-z0-9+/=]{32,400}"),
    _format("atlassian_token", "ATATT3", r"ATATT3[A-Za-z0-9_=-]{50,400}"),
    _format("figma_token", "figd_", rf"figd_{_WORD}{{30,80}}"),
    _format("telegram_token", ":AA", rf"(?P<secret>:AA{_WORD}{{33}})(?![A-Za-z0-9_-])", inside_words=True),
    _format(
        "azure_key", "AccountKey= SharedAccessKey=", r"(?:AccountKey|SharedAccessKey)=(?P<secret>[A-Za-z0-9+/]{40,100}={0,2})"
    ),
    _format("jwt", "eyJ", rf"eyJ{_WORD}{{10,8000}}\.eyJ{_WORD}{{10,8000}}\.{_WORD}{{10,2000}}"),
    _format(
        "private_key",
        "-----BEGIN",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"(?P<secret>(?:[A-Za-z0-9+/=\s:,.]|-(?!-)|\\+[nrt])+)(?:-----END [A-Z0-9 ]{0,60}-----)?",
        inside_words=True,
    ),
    Format(
        "authorization",
        ("Bearer ", "bearer ", "Basic ", "Bearer%20"),
        r"(?:[Bb]earer|Basic)(?: |%20)(?P<secret>[A-Za-z0-9._~+/-]{16,4000}={0,2})",
        _has_digit,
    ),
    _format(
        "url_password",
        "://",
        r"://[^\s/:@\"'<>]{0,100}:(?P<secret>[^\s/@\"'<>]{1,200})@",
        inside_words=True,
        check=_is_no_placeholder,
    ),
    Format("password", _assigned(_PASSWORD_NAMES), _ASSIGNMENT % 5, _is_password, inside_words=True),
    Format("secret", _assigned(_KEY_NAMES), _ASSIGNMENT % 12, _is_random, inside_words=True),
)


# Behind the key of a JSON object, and not in quotes: what takes the place of the number needs them.
_JSON_NUMBER = re.compile(r"(\\*\")\s*:\s*\Z")


class Redactor:
    """Finds and replaces secrets. Made once; may be used by several threads."""

    @cached_property
    def _formats(self) -> list[Format]:
        return [each for each in FORMATS for _ in each.literals]

    @cached_property
    def _quick(self) -> ahocorasick_rs.BytesAhoCorasick:
        literals = [literal.encode() for each in FORMATS for literal in each.literals]
        return ahocorasick_rs.BytesAhoCorasick(literals, implementation=ahocorasick_rs.Implementation.DFA)

    @cached_property
    def _exact(self) -> ahocorasick_rs.AhoCorasick:
        literals = [literal for each in FORMATS for literal in each.literals]
        return ahocorasick_rs.AhoCorasick(literals, implementation=ahocorasick_rs.Implementation.DFA)

    def suspects(self, texts: Sequence[str]) -> bool:
        """Whether any of the texts holds something that a secret begins with. Quick: about 2 µs a KB, without the GIL."""
        return bool(self._quick.find_matches_as_indexes("\n".join(texts).encode("utf-8", "surrogatepass")))

    def scrub(self, text: str) -> tuple[str, Counter[str]]:
        """The text with `[REDACTED:kind]` in the place of each secret, and how many of each kind there were."""
        found = Counter[str]()
        pieces, kept = list[str](), 0
        for start, number, end in sorted(self._secrets(text)):  # of two formats at one place, the more exact stands first
            if start >= kept:
                kind = self._formats[number].kind
                quote = _JSON_NUMBER.search(text, max(kept, start - 20), start)
                mark = f"[REDACTED:{kind}]"
                pieces += (text[kept:start], f"{quote[1]}{mark}{quote[1]}" if quote else mark)
                kept = end
                found[kind] += 1
        return ("".join((*pieces, text[kept:])), found) if found else (text, found)

    def _secrets(self, text: str) -> Iterator[tuple[int, int, int]]:
        """Start, number of the format, and end of each."""
        for number, start, _end in self._exact.find_matches_as_indexes(text, overlapping=True):
            suspect = self._formats[number]
            if not suspect.inside_words and not _begins_word(text, start):
                continue
            match = re.compile(suspect.pattern).match(text, start)
            if match is None:
                continue
            group = "secret" if "secret" in match.re.groupindex else 0
            if suspect.check is None or suspect.check(match[group]):
                yield match.start(group), number, match.end(group)


def _begins_word(text: str, start: int) -> bool:
    """Also behind what JSON and URLs write for a sign: \\n and %3D end in letters, but no word."""
    before = text[max(0, start - 3) : start]
    if not before or not (before[-1].isalnum() or before[-1] == "_"):
        return True
    return (before[-2:-1] == "\\" and before[-1] in "nrtbf") or re.fullmatch(r"%[0-9A-Fa-f]{2}", before) is not None


@cache
def redactor() -> Redactor:
    """The redactor of this process."""
    return Redactor()
