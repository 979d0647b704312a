"""Takes secrets out of texts before they are stored.

One table of key formats serves every way in. Looking for a secret must cost almost nothing where there is none: one pass looks
for all literals that a secret can begin with, and only around a find is the exact pattern tried.

No text can make it search for long. A pattern either is bounded, or it takes all it can and never gives it back, and what one
format has searched it does not search again.
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

    Where a pattern has a group `secret` or `quoted`, that is what goes; else all of it. `check` has the last word.
    """

    kind: str
    literals: tuple[str, ...]
    pattern: str
    check: Callable[[str], bool] | None = None
    inside_words: bool = False


def _format(kind: str, literals: str, pattern: str, **options: bool | Callable[[str], bool]) -> Format:
    return Format(kind, tuple(literals.split()), pattern, **options)  # pyright: ignore[reportArgumentType]


_DIGIT = re.compile(r"\d")
_LETTER = re.compile(r"[A-Za-z]")
_RUN = re.compile(r"[A-Za-z0-9]{10,}")
_KEY_LINE = re.compile(r"[A-Za-z0-9+/]{16}")
_NAME_IN_CODE = re.compile(r"[A-Za-z]*\d{0,2}(?:[-._/:~+][A-Za-z]*\d{0,2})*=*")
_PLACEHOLDER = ("$", "*", "<", "{", "%(", "%s", "[REDACTED")


def _has_digit(text: str) -> bool:
    return _DIGIT.search(text) is not None


def _has_random_run(text: str) -> bool:
    """Of several words with hyphens between them, none is random."""
    return any(_DIGIT.search(run) and _LETTER.search(run) for run in _RUN.findall(text))


def _is_random(text: str) -> bool:
    """Letters and digits without a pattern, as a generated value has them; not a word, a path or a piece of code."""
    if not _has_digit(text) or not _LETTER.search(text) or len(set(text)) < 6:
        return False
    return _is_no_placeholder(text) and _NAME_IN_CODE.fullmatch(text) is None


def _is_no_placeholder(text: str) -> bool:
    return not text.startswith(_PLACEHOLDER)


def _is_password(text: str) -> bool:
    """Not a placeholder, a name or a path: `PWD=/home/dev` is none."""
    return _is_no_placeholder(text) and text[0] not in "/~" and not re.sub("[_.]", "", text).isalpha()


def _is_key(text: str) -> bool:
    """Where a private key is only spoken of, none follows."""
    return _KEY_LINE.search(text) is not None


def _spelled(names: str) -> tuple[str, ...]:
    """The usual ways to write names: api_key, API_KEY, api-key, Api-Key, apikey, apiKey, ApiKey."""
    found = list[str]()
    for words in (name.split("_") for name in names.split()):
        lower, pascal = "_".join(words), "".join(word.title() for word in words)
        found += (lower, lower.upper(), "-".join(words), "-".join(word.title() for word in words), "_".join(words).title())
        found += ("".join(words), "".join(words).upper(), pascal, pascal[0].lower() + pascal[1:])
    return tuple(dict.fromkeys(found))


_WORD = r"[A-Za-z0-9_-]"
_END = r"(?![A-Za-z0-9_-])"
_KEY_NAMES = _spelled("api_key access_key secret_key private_key client_secret secret token")
_PASSWORD_NAMES = _spelled("password passwd passphrase pwd")
_ASSIGNS = ("=", ":", '":', "':", '\\":', " =", '" :', "%3D", "%3d", "%3A")

# In quotes a value may hold any sign, quotes too where a backslash stands before them. Text inside JSON may itself be JSON,
# whose quotes and backslashes then have a backslash each. Whatever is taken, whole escapes are, so that JSON stays JSON.
_QUOTED = (
    r"(?P<escaped>\\)?(?P<quote>[\"'])"
    r"(?P<quoted>(?(escaped)(?:(?!(?P=quote))[^\\\"\s]|\\\\(?:\\.|[^\\\"\s]))|(?:(?!(?P=quote))[^\\\"\s]|\\.)){%d,}+)"
)
_BARE = r"(?P<secret>[^\s\"'\\,;&<>(){}\[\]`]{%d,}+)(?![(\[])"
_ASSIGNMENT = r"[\w-]{1,40}?(?:\\*[\"'])?\s{0,3}(?:[:=]|%%3[ADd])\s{0,3}" + f"(?:{_QUOTED}|{_BARE})"
_OPTION = r"--[\w-]{1,40}+ {1,3}+" + f"(?:{_QUOTED}|{_BARE})"


def _assigned(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name + sign for name in names for sign in _ASSIGNS)


def _options(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"--{name} " for name in names)


FORMATS: tuple[Format, ...] = (
    _format("anthropic_key", "sk-ant-", rf"sk-ant-{_WORD}{{16,}}+"),
    _format("openrouter_key", "sk-or-", rf"sk-or-{_WORD}{{16,}}+"),
    _format("openai_key", "sk-proj- sk-svcacct- sk-admin-", rf"sk-[a-z]{{1,10}}+-{_WORD}{{20,}}+", check=_has_digit),
    _format("openai_key", "sk-", rf"sk-(?!ant-|or-){_WORD}{{20,}}+", check=_has_random_run),
    _format("github_token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{30,}+"),
    _format("github_token", "github_pat_", r"github_pat_\w{22,}+"),
    _format("gitlab_token", "glpat- gldt- glrt- glptt- glft- glsoat-", r"gl[a-z]{2,4}-[A-Za-z0-9_.-]{20,}+"),
    _format("aws_access_key", "AKIA ASIA ABIA ACCA", r"A[KSBC][ICI]A[A-Z2-7]{16}(?![A-Z0-9])"),
    _format("aws_bedrock_key", "ABSK", r"ABSK[A-Za-z0-9+/]{80,}+={0,2}"),
    _format("google_key", "AIza", rf"AIza{_WORD}{{35}}{_END}"),
    _format("google_token", "ya29.", rf"ya29\.{_WORD}{{20,}}+"),
    _format("google_refresh_token", "1//0", rf"1//0{_WORD}{{30,}}+", check=_has_random_run),
    _format("google_client_secret", "GOCSPX-", rf"GOCSPX-{_WORD}{{20,}}+"),
    _format(
        "slack_token", "xoxb- xoxp- xoxa- xoxr- xoxs- xoxe- xoxc- xoxd-", r"xox[abcdeprs]-[A-Za-z0-9%-]{10,}+", check=_has_digit
    ),
    _format("slack_token", "xoxe.xoxp- xoxe.xoxb-", r"xoxe\.xox[bp]-[A-Za-z0-9-]{10,}+", check=_has_digit),
    _format("slack_token", "xapp-", r"xapp-[A-Za-z0-9-]{10,}+", check=_has_digit),
    _format("slack_webhook", "hooks.slack.com/services/", r"hooks\.slack\.com/services/(?P<secret>[\w/]{20,}+)"),
    _format("discord_webhook", "/api/webhooks/", rf"/api/webhooks/\d{{15,20}}/(?P<secret>{_WORD}{{40,}}+)", inside_words=True),
    _format("stripe_key", "sk_live_ sk_test_ rk_live_ rk_test_", r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}+"),
    _format("webhook_secret", "whsec_", r"whsec_[A-Za-z0-9+/=]{20,}+"),
    _format("npm_token", "npm_", r"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
    _format("pypi_token", "pypi-", rf"pypi-{_WORD}{{50,}}+"),
    _format("huggingface_token", "hf_ api_org_", r"(?:hf|api_org)_[A-Za-z0-9]{30,}+(?!_)"),
    _format("groq_key", "gsk_", r"gsk_[A-Za-z0-9]{40,}+"),
    _format("xai_key", "xai-", r"xai-[A-Za-z0-9]{40,}+"),
    _format("cerebras_key", "csk-", r"csk-[a-z0-9]{40,}+"),
    _format("perplexity_key", "pplx-", r"pplx-[A-Za-z0-9]{32,}+"),
    _format("replicate_token", "r8_", r"r8_[A-Za-z0-9]{37}(?![A-Za-z0-9])"),
    _format("nvidia_key", "nvapi-", rf"nvapi-{_WORD}{{40,}}+"),
    _format("langsmith_key", "lsv2_pt_ lsv2_sk_", r"lsv2_(?:pt|sk)_[0-9a-f]{32}(?:_[0-9a-f]{10})?"),
    _format("tavily_key", "tvly-", rf"tvly-{_WORD}{{20,}}+", check=_has_digit),
    _format("sendgrid_key", "SG.", rf"SG\.{_WORD}{{16,32}}\.{_WORD}{{16,64}}{_END}"),
    _format("mailgun_key", "key-", r"(?<!-)key-[0-9a-f]{32}(?![0-9a-f])"),
    _format("databricks_token", "dapi", r"dapi[0-9a-f]{32}(?:-\d)?(?![0-9a-f])"),
    _format("digitalocean_token", "dop_v1_ doo_v1_ dor_v1_", r"do[opr]_v1_[0-9a-f]{64}"),
    _format("linear_key", "lin_api_", r"lin_api_[A-Za-z0-9]{32,}+"),
    _format("notion_token", "ntn_", r"ntn_[A-Za-z0-9]{40,}+"),
    _format("postman_key", "PMAK-", r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    _format("new_relic_key", "NRAK-", r"NRAK-[A-Z0-9]{27}"),
    _format("rubygems_key", "rubygems_", r"rubygems_[0-9a-f]{48}"),
    _format("shopify_token", "shpat_ shpca_ shppa_ shpss_", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    _format("vault_token", "hvs. hvb.", rf"hv[sb]\.{_WORD}{{20,}}+"),
    _format("doppler_token", "dp.pt. dp.st. dp.ct. dp.sa.", r"dp\.[a-z]{2}\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,44}"),
    _format("age_key", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    _format("docker_token", "dckr_pat_ dckr_oat_", rf"dckr_[po]at_{_WORD}{{20,}}+"),
    _format("supabase_token", "sbp_", r"sbp_[0-9a-f]{40}"),
    _format("sentry_token", "sntrys_ sntryu_", r"sntry[su]_[A-Za-z0-9+/=_]{40,}+"),
    _format("grafana_token", "glsa_ glc_", r"glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}|glc_[A-Za-z0-9+/=]{32,}+"),
    _format("atlassian_token", "ATATT3", r"ATATT3[A-Za-z0-9_=-]{50,}+"),
    _format("figma_token", "figd_", rf"figd_{_WORD}{{30,}}+"),
    _format("telegram_token", ":AA", rf"(?P<secret>:AA{_WORD}{{33}}){_END}", inside_words=True),
    _format(
        "azure_key", "AccountKey= SharedAccessKey=", r"(?:AccountKey|SharedAccessKey)=(?P<secret>[A-Za-z0-9+/]{40,}+={0,2})"
    ),
    _format("jwt", "eyJ", rf"(?<!-)eyJ{_WORD}{{10,}}+\.eyJ{_WORD}{{10,}}+\.{_WORD}{{10,}}+"),
    _format(
        "private_key",
        "-----BEGIN",
        r"-----BEGIN(?:[ +]|%20)(?:[A-Z0-9 +]|%20){0,40}PRIVATE(?:[ +]|%20)KEY(?:(?:[ +]|%20)BLOCK)?-----"
        r"(?P<secret>(?:[A-Za-z0-9+/=\s:,.%]|-(?!-)|\\+[nrt])++)",
        inside_words=True,
        check=_is_key,
    ),
    Format(
        "authorization",
        tuple(f"{name}{sign}" for name in ("uthorization", "UTHORIZATION") for sign in _ASSIGNS),
        r"(?i:uthorization)(?:\\*[\"'])?\s{0,3}(?:[:=]|%3[ADd])(?:\s|%20|\+){0,3}(?:\\*[\"'])?"
        r"(?i:Bearer|Basic|Token|ApiKey)(?:[ +]|%20)(?P<secret>[^\s\"'\\,;<>()\[\]{}`]{4,}+)",
        _is_no_placeholder,
        inside_words=True,
    ),
    Format(
        "authorization",
        ("Bearer ", "bearer ", "Basic ", "Bearer%20", "Basic%20"),
        r"(?:[Bb]earer|Basic)(?: |%20)(?P<secret>[A-Za-z0-9._~+/-]{16,}+={0,2})",
        _is_random,
    ),
    _format(
        "url_password",
        r"://  :\/\/",
        r":\\?/\\?/[^\s/:@\"'<>\\]*+:(?P<secret>[^\s/\"'<>?#\\]+)@",
        inside_words=True,
        check=_is_no_placeholder,
    ),
    _format(
        "url_password",
        "%3A%2F%2F",
        r"%3A%2F%2F\w*+%3A(?P<secret>(?:[\w.~-]|%(?!2F|40)[0-9A-F]{2})++)%40",
        inside_words=True,
    ),
    Format("password", _assigned(_PASSWORD_NAMES), _ASSIGNMENT % (5, 5), _is_password, inside_words=True),
    Format("password", _options(_PASSWORD_NAMES), _OPTION % (5, 5), _is_password),
    Format("secret", _assigned(_KEY_NAMES), _ASSIGNMENT % (12, 12), _is_random, inside_words=True),
    Format("secret", _options(_KEY_NAMES), _OPTION % (12, 12), _is_random),
)


# Behind the key of a JSON object, and not in quotes: what takes the place of the number needs them.
_JSON_NUMBER = re.compile(rb"(\\*\")\s*:\s*\Z")

Secret = tuple[int, int, int]
"""Where it begins, the place of its format in the table, and where it ends."""


class Redactor:
    """Finds and replaces secrets. Made once; may be used by several threads.

    It works on UTF-8, as all secrets are ASCII: there, positions need no counting, and a search holds no lock.
    """

    @cached_property
    def _places(self) -> list[int]:
        """Of which format each literal is."""
        return [place for place, each in enumerate(FORMATS) for _ in each.literals]

    @cached_property
    def _patterns(self) -> list[re.Pattern[bytes]]:
        return [re.compile(each.pattern.encode()) for each in FORMATS]

    @cached_property
    def _literals(self) -> ahocorasick_rs.BytesAhoCorasick:
        literals = [literal.encode() for each in FORMATS for literal in each.literals]
        return ahocorasick_rs.BytesAhoCorasick(literals, implementation=ahocorasick_rs.Implementation.DFA)

    def suspects(self, texts: Sequence[str]) -> bool:
        """Whether any of the texts holds something that looks like a secret. Quick: about 3 µs a KB."""
        data = "\n".join(texts).encode("utf-8", "surrogatepass")
        return next(self._matches(data), None) is not None

    def scrub(self, text: str) -> tuple[str, Counter[str]]:
        """The text with `[REDACTED:kind]` in the place of each secret, and how many of each kind there were."""
        data, found = text.encode("utf-8", "surrogatepass"), Counter[str]()
        pieces, kept = list[bytes](), 0
        for start, place, end in sorted(self._secrets(data)):  # of two formats at one place, the more exact stands first
            if start >= kept:
                kind = FORMATS[place].kind
                quote = _JSON_NUMBER.search(data, max(kept, start - 20), start)
                mark = f"[REDACTED:{kind}]".encode()
                pieces += (data[kept:start], quote[1] + mark + quote[1] if quote else mark)
                found[kind] += 1
            kept = max(kept, end)
        if not found:
            return text, found
        return b"".join((*pieces, data[kept:])).decode("utf-8", "surrogatepass"), found

    def _secrets(self, data: bytes) -> Iterator[Secret]:
        for place, match in self._matches(data):
            check = FORMATS[place].check
            group = match.lastgroup if match.lastgroup in {"secret", "quoted"} else 0
            if check is None or check(match[group].decode("utf-8", "replace")):
                yield match.start(group), place, match.end(group)

    def _matches(self, data: bytes) -> Iterator[tuple[int, re.Match[bytes]]]:
        searched: dict[int, int] = {}
        # To find all literals takes less than to find those that do not overlap.
        for number, start, _end in self._literals.find_matches_as_indexes(data, overlapping=True):
            place = self._places[number]
            if start < searched.get(place, 0) or not (FORMATS[place].inside_words or _begins_word(data, start)):
                continue
            match = self._patterns[place].match(data, start)
            if match is not None:
                searched[place] = match.end()
                yield place, match


_WORD_SIGNS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_ESCAPED_SIGN = re.compile(rb"\\[nrtbf]|%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}")


def _begins_word(data: bytes, start: int) -> bool:
    """Also behind what JSON and URLs write for a sign: \\n, \\u0020 and %3D end in letters and digits, but no word. And
    behind any letter that no key has: not all languages put spaces between words."""
    if start == 0 or data[start - 1] not in _WORD_SIGNS:
        return True
    return any(_ESCAPED_SIGN.fullmatch(data, start - length, start) for length in (2, 3, 6) if length <= start)


@cache
def redactor() -> Redactor:
    """The redactor of this process."""
    return Redactor()
