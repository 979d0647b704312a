"""Secrets stay out of the store, whatever they look like and wherever they stand; everything else stays as it is."""

from __future__ import annotations

import argparse
import base64
import hashlib
import inspect
import json
import random
import string
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tac_orchestrator import Agent, Database
from tac_orchestrator.redaction import FORMATS, Redactor, redactor

LETTERS = string.ascii_letters
DIGITS = string.digits
ALNUM = LETTERS + DIGITS
HEX = "0123456789abcdef"
BASE64 = ALNUM + "+/"
UPPER = string.ascii_uppercase + "234567"


def random_text(alphabet: str, shortest: int, longest: int | None = None) -> st.SearchStrategy[str]:
    """As a generator of keys makes it: every sign is as likely. Digits and letters are both there."""

    def text(size: int, seed: int) -> str:
        chance = random.Random(seed)
        return "".join(chance.choices(alphabet, k=size))

    texts = st.builds(text, st.integers(shortest, longest or shortest), st.integers(0, 2**64))
    return texts.filter(lambda text: any(map(str.isdigit, text)) and any(map(str.isalpha, text)))


def after(prefix: str, alphabet: str, shortest: int, longest: int | None = None) -> st.SearchStrategy[str]:
    return random_text(alphabet, shortest, longest).map(lambda text: prefix + text)


def _jwt(header: str, payload: str, signature: str) -> str:
    return "eyJ" + header + ".eyJ" + payload + "." + signature


JWT = st.builds(_jwt, random_text(ALNUM, 20, 60), random_text(ALNUM, 20, 900), random_text(ALNUM + "-_", 43))

KEYS: dict[str, tuple[str, st.SearchStrategy[str]]] = {
    "Anthropic": ("anthropic_key", after("sk-" + "ant-api03-", ALNUM + "-_", 90, 110)),
    "Anthropic, of a subscription": ("anthropic_key", after("sk-" + "ant-oat01-", ALNUM + "-_", 90)),
    "OpenAI, of a user": ("openai_key", after("sk" + "-", ALNUM, 48)),
    "OpenAI, of a project": ("openai_key", after("sk-" + "proj-", ALNUM + "-_", 48, 160)),
    "OpenAI, of a service": ("openai_key", after("sk-" + "svcacct-", ALNUM + "-_", 48, 160)),
    "OpenRouter": ("openrouter_key", after("sk-" + "or-v1-", HEX, 64)),
    "GitHub, classic": ("github_token", after("gh" + "p_", ALNUM, 36)),
    "GitHub, of an app": ("github_token", after("gh" + "s_", ALNUM, 36)),
    "GitHub, fine-grained": ("github_token", after("github" + "_pat_11", ALNUM + "_", 80)),
    "GitLab": ("gitlab_token", after("gl" + "pat-", ALNUM + "-_", 20)),
    "Google": ("google_key", after("AI" + "za", ALNUM, 35)),
    "Google, of a user": ("google_token", after("ya" + "29.", ALNUM + "-_", 100)),
    "Hugging Face": ("huggingface_token", after("hf" + "_", ALNUM, 34)),
    "npm": ("npm_token", after("npm" + "_", ALNUM, 36)),
    "PyPI": ("pypi_token", after("py" + "pi-AgEIcHlwaS5vcmc", ALNUM + "-_", 80, 170)),
    "AWS": ("aws_access_key", after("AK" + "IA", UPPER, 16)),
    "AWS, for a while": ("aws_access_key", after("AS" + "IA", UPPER, 16)),
    "Slack": ("slack_token", after("xo" + "xb-12345678901-", ALNUM, 24)),
    "Slack, of an app": ("slack_token", after("xa" + "pp-1-A0B1C2-", ALNUM, 64)),
    "Stripe": ("stripe_key", after("sk" + "_live_", ALNUM, 24, 99)),
    "Groq": ("groq_key", after("gs" + "k_", ALNUM, 52)),
    "xAI": ("xai_key", after("xa" + "i-", ALNUM, 80)),
    "Perplexity": ("perplexity_key", after("pp" + "lx-", ALNUM, 48)),
    "Replicate": ("replicate_token", after("r8" + "_", ALNUM, 37)),
    "NVIDIA": ("nvidia_key", after("nva" + "pi-", ALNUM + "-_", 64)),
    "Databricks": ("databricks_token", after("da" + "pi", HEX, 32)),
    "DigitalOcean": ("digitalocean_token", after("do" + "p_v1_", HEX, 64)),
    "Vault": ("vault_token", after("hv" + "s.", ALNUM, 90)),
    "JWT": ("jwt", JWT),
}
"""One strategy for each format that people meet most. Those below need a context, and have tests of their own."""

SURROUNDINGS = {
    "alone": "{}",
    "at the start": "{} is the key",
    "at the end": "the key is {}",
    "in prose": "Use the key {}, please. It is valid until Monday.",
    "in quotes": 'client = Client("{}")',
    "in a shell": "export MY_VALUE={}\n",
    "in markdown": "Run `{}` and see.",
    "on a line of its own": "first\n{}\nlast",
    "between umlauts": "Schlüssel für später: {} – gültig",
    "in a language without spaces": "密钥是{}，请保密。",
}


def scrub(text: str) -> str:
    return redactor().scrub(text)[0]


def kinds(text: str) -> dict[str, int]:
    return dict(redactor().scrub(text)[1])


@pytest.mark.parametrize("surrounding", SURROUNDINGS)
@pytest.mark.parametrize("name", KEYS)
@given(data=st.data())
@settings(max_examples=5)
def test_a_key_is_replaced_wherever_it_stands(name: str, surrounding: str, data: st.DataObject) -> None:
    kind, keys = KEYS[name]
    key, text = data.draw(keys), SURROUNDINGS[surrounding]
    assert redactor().suspects([text.format(key)])
    assert scrub(text.format(key)) == text.format(f"[REDACTED:{kind}]")


@given(key=st.one_of([keys for _, keys in KEYS.values()]), depth=st.integers(1, 3), before=st.sampled_from('\n\t\r"\\é '))
@settings(max_examples=60)
def test_a_key_is_replaced_in_json_within_json(key: str, depth: int, before: str) -> None:
    value: Any = {"output": f"stdout:{before}{key}{before}and more", key: [key, 1]}
    for _ in range(depth):
        value = json.dumps(value)
    clean = scrub(value)
    assert key not in clean
    for _ in range(depth):
        clean = json.loads(clean)


@given(key=st.one_of([keys for _, keys in KEYS.values()]))
@settings(max_examples=40)
def test_a_key_is_replaced_in_a_url(key: str) -> None:
    for text in (quote(f"say: {key} now", safe=""), "https://api.example.org/v1?" + urlencode({"q": f"a={key}", "page": 2})):
        assert key not in scrub(text)


@given(keys=st.lists(st.one_of([keys for _, keys in KEYS.values()]), min_size=2, max_size=8), between=st.sampled_from(" \n,;|"))
@settings(max_examples=40)
def test_each_of_many_keys_is_replaced_and_counted(keys: list[str], between: str) -> None:
    clean, found = redactor().scrub(between.join(keys))
    assert all(key not in clean for key in keys)
    assert found.total() == len(keys)
    assert clean.count(between) == len(keys) - 1


PASSWORDS = st.text(ALNUM + "!#%*+-.?@^_~", min_size=8, max_size=40).filter(
    lambda text: any(map(str.isdigit, text)) and any(map(str.isalpha, text)) and text[0].isalpha() and text[-1].isalnum()
)


@pytest.mark.parametrize(
    "text",
    [
        "password={}",
        "DB_PASSWORD={}\n",
        "password: {}",
        "password = '{}'",
        'PGPASSWORD="{}" psql',
        "mysql --password {} --host db",
        "Server=db;Uid=app;Pwd={};Encrypt=yes",
        '{{"password": "{}"}}',
        '{{"user":"app","password":"{}"}}',
        "{{'dbPassword': '{}'}}",
        "passphrase: {}",
    ],
)
@given(password=PASSWORDS)
@settings(max_examples=20)
def test_what_is_assigned_to_a_password_is_replaced(text: str, password: str) -> None:
    assert scrub(text.format(password)) == text.format("[REDACTED:password]")


@pytest.mark.parametrize("name", ["api_key", "API_KEY", "apiKey", "x-api-key", "X-Api-Key", "client_secret", "clientSecret"])
@pytest.mark.parametrize("text", ["{}={}", "{}: {}", '{}="{}"', '"{}": "{}"', '\\"{}\\": \\"{}\\"', "{}%3D{}"])
@given(key=random_text(ALNUM, 24, 60))
@settings(max_examples=5)
def test_what_is_assigned_to_a_key_is_replaced(text: str, name: str, key: str) -> None:
    assert scrub(text.format(name, key)) == text.format(name, "[REDACTED:secret]")


@pytest.mark.parametrize("option", ["--api-key", "--token", "--client-secret"])
@given(key=random_text(ALNUM, 24, 60))
@settings(max_examples=5)
def test_what_is_given_to_a_command_as_a_key_is_replaced(option: str, key: str) -> None:
    assert scrub(f"deploy {option} {key} --force") == f"deploy {option} [REDACTED:secret] --force"


def test_the_secret_half_of_an_aws_key_is_replaced() -> None:
    secret = "wJalrXUtnFEMI/K7MDENG/bPx" + "RfiCYEXAMPLEKEY"
    for text in (f"aws_secret_access_key = {secret}", f'"SecretAccessKey": "{secret}"', f"AWS_SECRET_ACCESS_KEY={secret}"):
        assert secret not in scrub(text)


@pytest.mark.parametrize("scheme", ["postgresql", "mysql+pymysql", "mongodb+srv", "redis", "amqp", "https"])
@given(password=st.text(ALNUM + "!$&+-._~%:", min_size=1, max_size=80).filter(lambda text: text[0] in ALNUM))
@settings(max_examples=20)
def test_the_password_in_an_address_is_replaced(scheme: str, password: str) -> None:
    text = "connects to {}://app:{}@db.example.org:5432/main?ssl=true now"
    assert scrub(text.format(scheme, password)) == text.format(scheme, "[REDACTED:url_password]")
    escaped = json.dumps(text.format(scheme, password)).replace("/", "\\/")
    assert f":{password}@" not in scrub(escaped)
    assert f"app%3A{quote(password, safe='')}%40" not in scrub(quote(f"{scheme}://app:{password}@db/main", safe=""))


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer {}",
        "authorization: bearer {}",
        '"Authorization": "Bearer {}"',
        "curl -H 'Authorization: Basic {}' https://example.org",
        "Authorization%3A%20Bearer%20{}",
        "the header Bearer {} was sent",
    ],
)
@given(token=random_text(ALNUM + "-_.", 24, 300).map(lambda text: text.rstrip(".") + "1a9"))
@settings(max_examples=20)
def test_what_authorizes_is_replaced(text: str, token: str) -> None:
    assert scrub(text.format(token)) == text.format("[REDACTED:authorization]")


def test_a_short_basic_login_is_replaced() -> None:
    login = base64.b64encode(b"user:pass").decode()
    assert scrub(f"Authorization: Basic {login}") == "Authorization: Basic [REDACTED:authorization]"


@pytest.mark.parametrize(
    "kind", ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK"]
)
@given(body=st.binary(min_size=100, max_size=2000))
@settings(max_examples=10)
def test_a_private_key_is_replaced(kind: str, body: bytes) -> None:
    encoded = base64.encodebytes(body).decode()
    block = f"-----BEGIN {kind}-----\n{encoded}-----END {kind}-----"
    first_line = encoded.splitlines()[0]
    for text in (
        block,
        f"here:\n{block}\nthere",
        json.dumps({"key": block}),
        json.dumps(json.dumps([block])),
        block.replace("\n", "\\n"),
    ):
        assert first_line not in scrub(text)
        assert kinds(text) == {"private_key": 1}
    assert quote(first_line, safe="") not in scrub(quote(block, safe=""))
    assert scrub(block) == f"-----BEGIN {kind}-----[REDACTED:private_key]-----END {kind}-----"


def test_a_password_with_quotes_and_backslashes_goes_as_a_whole() -> None:
    password = "ab\"cd\\ef'gh9"
    once = json.dumps({"password": password, "next": 'a "b" c'})
    assert json.loads(scrub(once)) == {"password": "[REDACTED:password]", "next": 'a "b" c'}
    twice = json.loads(scrub(json.dumps({"body": once})))
    assert json.loads(twice["body"]) == {"password": "[REDACTED:password]", "next": 'a "b" c'}


def test_a_number_as_a_password_becomes_a_text() -> None:
    assert json.loads(scrub('{"password":12345678,"n":1}')) == {"password": "[REDACTED:password]", "n": 1}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.one_of([keys for _, keys in KEYS.values()])
    | PASSWORDS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["password", "api_key", "token", "a'b\"c", "Authorization", "url"]) | st.text(), inner, max_size=4
        )
        | inner.map(json.dumps)
        | inner.map(repr)
        | inner.map(lambda value: f'password=\'{value}" token=\\"{value}')
    ),
    max_leaves=12,
)


@given(value=json_values)
@settings(max_examples=150)
def test_json_stays_json(value: Any) -> None:
    for ascii_only in (False, True):
        json.loads(scrub(json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"))))


@given(value=json_values)
@settings(max_examples=60)
def test_what_has_been_scrubbed_stays_as_it_is(value: Any) -> None:
    once = scrub(json.dumps(value))
    assert scrub(once) == once


@given(st.text())
@settings(max_examples=60)
def test_no_suspicion_means_no_secret(text: str) -> None:
    if not redactor().suspects([text]):
        assert redactor().scrub(text) == (text, {})


def _image(size: int) -> str:
    return base64.b64encode(b"".join(hashlib.sha512(bytes([n % 256, n // 256])).digest() for n in range(size // 64))).decode()


HARMLESS = {
    "prose": "The password: it must be long. A token is a piece of text, and the secret: patience. Bearer of news.",
    "hints": "Set API_KEY=$MY_KEY or api_key=<your-key>, password: ********, or token={{ token }}; passwords expire.",
    "code": "def login(password: str, token: str | None = None) -> None:\n    log_in(password=password, api_key=settings.key)",
    "calls": "token = get_token_v2(user)\nsecret = os.environ['A1']\napi_key = load_api_key_from_file_2(path)\n",
    "a schema": '{"properties": {"password": {"type": "string"}, "token": {"type": "string", "maxLength": 128}}}',
    "counts": '{"max_tokens": 4096, "input_tokens": 120000, "token": 5, "cache_read_input_tokens": 123456789012345}',
    "working folders": "PWD=/home/dev/project2\nOLDPWD=/home/dev\n",
    "addresses": "http://localhost:8080/a@b https://example.org:443/x?mail=me@example.org ssh://git@example.org:22/a.git",
    "UUIDs": " ".join(str(uuid.UUID(int=n * 2**96 + 7**n)) for n in range(40)),
    "hashes": " ".join(getattr(hashlib, name)(b"x").hexdigest() for name in ("md5", "sha1", "sha256", "sha512")),
    "git": "commit 4ddb6d2f3a5c8e1b7d9f0a2c4e6b8d0f1a3c5e7b\nindex 3b43384..949bf48 100644",
    "an image": "data:image/png;base64," + _image(300_000),
    "a signature of thinking": json.dumps({"type": "thinking", "signature": _image(4096)}),
    "styles": ".sk-fading-circle12-with-long-names-for-2024 { color: red } .mask-sk-animated-background-image { top: 0 }",
    "names": "task-0123-risk-4567-disk-8901, hf_hub_download, npm_config_registry, sk_learn_model_selection, xoxo",
    "talk of keys": "-----BEGIN RSA PRIVATE KEY----- is how such a file begins. Put yours into ~/.ssh, and tell nobody.",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_it_leaves_alone(name: str) -> None:
    assert redactor().scrub(HARMLESS[name]) == (HARMLESS[name], {})


@pytest.mark.parametrize("module", [argparse, json, uuid, inspect, base64])
def test_it_leaves_code_alone(module: Any) -> None:
    source = inspect.getsource(module)
    assert redactor().scrub(source) == (source, {})


PIECES = [
    *sorted({each.literals[0] for each in FORMATS}),
    *("eyJ-", "eyJa", "eyJ-.eyJ", "sk-a", "sk-1", "a://b:", "://a@", 'token="', 'token=\\"', "token=\\", "token=a1", "\\"),
    *(
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----A",
        'password="\\',
        '"password":\\"\\\\',
        "--token --token",
        "gl-",
    ),
]


def test_no_text_takes_longer_than_its_length_allows() -> None:
    """Twenty times the text may take sixty times as long, to be fair to small ones; one that is searched twice takes 400."""

    def taken(piece: str, length: int) -> float:
        text = piece * (length // len(piece))
        begun = time.process_time()
        redactor().scrub(text)
        return time.process_time() - begun

    for piece in PIECES:
        small = sum(taken(piece, 5_000) for _ in range(3)) / 3
        if (ratio := taken(piece, 100_000) / small) > 60:
            ratio = min(ratio, taken(piece, 100_000) / taken(piece, 5_000))
        assert ratio < 60, piece


# In the store.

SECRET = "gh" + "p_" + "Zq8" * 12
MARK = "[REDACTED:github_token]"


async def _record_everywhere(db: Database, agent: Agent, secret: str) -> None:
    await db.orchestrator_agents.register("other", agent_type="utility", description=secret, capabilities=[secret, {secret: 1}])
    values: dict[str, Any] = {secret: {"nested": [secret, f"token: {secret}"]}}
    await db.agents.update(agent.id, context=values, config=values)
    await db.agent_logs.create(agent.id, "milestone", f"used {secret}", details=values)
    db.agent_logs.log_soon(agent.id, "tool_call", f"posted {secret}", details=values)
    await db.agent_logs.create_many([{"agent_id": agent.id, "log_type": "error", "message": secret, "details": values}])
    await db.system_logs.create("api", f"got {secret}", details=values)
    first = await db.prompts.create(agent.id, "adw", f"Deploy with {secret}.", details=values)
    await db.prompts.answer(first.id, f"I used {secret}.", tokens_input=1, tokens_output=1)
    second = await db.prompts.create(agent.id, "adw", f"Again: {secret}")
    await db.prompts.update(second.id, status="failed", error_message=f"{secret} was refused")
    async with db.agents.run("other") as run:
        async with run.prompt("adw", text=f"run {secret}") as prompt:
            prompt.answer(secret, details=values)
        await run.fail(f"because of {secret}")
    with pytest.raises(RuntimeError):
        async with db.agents.run("other"):
            raise RuntimeError(f"no access with {secret}")
    async with db.transaction() as together:
        await together.agent_logs.create(agent.id, "milestone", secret)
    await db.flush()


def _holders(folder: Path, secret: str) -> list[str]:
    return [file.name for file in folder.iterdir() if secret.encode() in file.read_bytes()]


async def test_no_file_of_the_store_ever_holds_a_secret(db: Database, agent: Agent, path: Path) -> None:
    await _record_everywhere(db, agent, SECRET)
    await db.search.find("Deploy")  # the index of texts catches up
    assert {file.name for file in path.parent.iterdir()} >= {path.name, f"{path.name}-wal"}
    assert _holders(path.parent, SECRET) == []
    await db.close()
    assert _holders(path.parent, SECRET) == []
    assert sum(file.read_bytes().count(MARK.encode()) for file in path.parent.iterdir()) > 20


async def test_a_search_does_not_find_a_secret(db: Database, agent: Agent) -> None:
    await _record_everywhere(db, agent, SECRET)
    assert await db.search.find(SECRET) == []


async def test_how_many_of_which_kind_were_kept_out_is_known(db: Database, agent: Agent) -> None:
    await db.agent_logs.create(agent.id, "milestone", f"{SECRET} and {SECRET}", details={"password": "hunter2"})
    await db.flush()
    rows = await db.query("SELECT kind, entity, redaction_count FROM redactions ORDER BY kind")
    assert [tuple(row.values()) for row in rows] == [("github_token", "agent_logs", 2), ("password", "agent_logs", 1)]


async def test_secrets_spread_over_the_columns_of_a_row_are_all_kept_out(
    db: Database, agent: Agent, new_prompt: Callable[..., Any]
) -> None:
    keys = ["sk-" + "ant-api03-" + "a1B2" * 20, "AK" + "IA" + "ABCDEFGH234567QR", "npm" + "_" + "aB3" * 12]
    row = await new_prompt(agent, keys[0], response_text=keys[1], details={keys[2]: keys[0]}, status="completed")
    found = await db.prompts.get(row.id)
    assert (found.prompt_text, found.response_text) == ("[REDACTED:anthropic_key]", "[REDACTED:aws_access_key]")
    assert found.details == {"[REDACTED:npm_token]": "[REDACTED:anthropic_key]"}


async def test_it_can_be_switched_off(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAC_ORCHESTRATOR_REDACT", "0")
    async with Database.open(path) as db:
        await db.system_logs.create("api", SECRET)
        assert [row.message for row in await db.system_logs.list()] == [SECRET]


def test_one_redactor_serves_several_threads() -> None:
    fresh = Redactor()
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(fresh.scrub, [f"{n} {SECRET}" for n in range(200)]))
    assert [clean for clean, _ in results] == [f"{n} {MARK}" for n in range(200)]
