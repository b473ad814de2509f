"""Key documents are parsed, or refused with the place of the error and without secrets."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.keys.key import AccessKey
from server.keys.reading import KeyFileError, read_keys
from server.keys.ring import KeyRing
from server.keys.secret import PREFIX, WeakSecretError, generate_secret, hash_secret
from server.settings.quota import Quota
from tests.server.keys.conftest import ALICE, BOB, make_entry

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def read_ring(text: str) -> KeyRing:
    return read_keys({"keys.toml": text})


def find_key(text: str, secret: str, now: datetime = NOW) -> AccessKey | None:
    return read_ring(text).find(secret.encode(), now.timestamp())


def read_error(text: str) -> str:
    with pytest.raises(KeyFileError) as caught:
        read_ring(text)
    return str(caught.value)


ALL_FIELDS = (
    make_entry(
        "alice",
        ALICE,
        models='["scripted", "other"]',
        max_thinking_tokens="7",
        show_thoughts="false",
        reads_metrics="true",
        reads_traces="true",
        priority="-3",
        max_concurrent_requests="2",
    )
    + "[keys.quota]\nrequests_per_minute = 1\nreasoning_tokens_per_day = 6\n"
)
ALL_RIGHTS = AccessKey(
    "alice",
    ("scripted", "other"),
    7,
    shows_thoughts=False,
    reads_metrics=True,
    reads_traces=True,
    priority=-3,
    max_concurrent_requests=2,
    quota=Quota(requests_per_minute=1, reasoning_tokens_per_day=6),
)


def test_every_field_reaches_the_key() -> None:
    assert find_key(ALL_FIELDS, ALICE) == ALL_RIGHTS


def test_json_and_toml_are_equivalent() -> None:
    import tomllib

    assert find_key(json.dumps(tomllib.loads(ALL_FIELDS)), ALICE) == ALL_RIGHTS


def test_old_and_new_secret_are_accepted_until_the_old_one_expires() -> None:
    hashes = (
        f'{{ hash = "{hash_secret(ALICE)}", expires = 2030-01-01T00:00:00Z }}, "{hash_secret(BOB)}"'
    )
    text = f'[[keys]]\nid = "alice"\nhashes = [{hashes}]\n'
    before = NOW - timedelta(seconds=1)
    assert find_key(text, ALICE, before) == find_key(text, BOB, before) == AccessKey("alice")
    assert find_key(text, ALICE, NOW) is None
    assert find_key(text, BOB, NOW) == AccessKey("alice")


def test_json_times_are_iso_text() -> None:
    secret = {"hash": hash_secret(ALICE), "expires": "2030-01-01T01:00:00+01:00"}
    text = json.dumps({"keys": [{"id": "alice", "hashes": [secret]}]})
    assert find_key(text, ALICE, NOW - timedelta(seconds=1))
    assert find_key(text, ALICE, NOW) is None


GOOD = make_entry("alice", ALICE)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "keys.toml: has no [[keys]]"),
        ("[keys]\n", "keys.toml: has no [[keys]]"),
        ("[[keys]\n", "keys.toml: is not valid TOML at line 1, column 7"),
        ('{"keys": [}', "keys.toml: is not valid JSON at line 1, column 11"),
        ("x = " + "[" * 5000, "keys.toml: is not valid TOML"),
        ("x = " + "1" * 5000, "keys.toml: is not valid TOML"),
        (f"port = 1\n{GOOD}", "unknown field 'port'"),
        ("keys = [1]", "keys[0]: entry: "),
        (make_entry("alice"), "keys[0] (alice): hashes: "),
        (make_entry("al ice", ALICE), "keys[0]: id: "),
        (make_entry("a" * 65, ALICE), "keys[0]: id: "),
        (make_entry("anonymous", ALICE), "keys[0]: id: "),
        (make_entry("other", ALICE), "keys[0]: id: "),
        (make_entry("sk-think-abc", ALICE), "keys[0]: id: looks like a secret"),
        (f"{GOOD}{make_entry('bob', BOB, priority='1.0')}", "keys[1] (bob): priority: "),
        (f"{GOOD}max_thinking_tokens = -1", "(alice): max_thinking_tokens: "),
        (f"{GOOD}max_thinking_tokens = true", "(alice): max_thinking_tokens: "),
        (f"{GOOD}show_thoughts = 1", "(alice): show_thoughts: "),
        (f"{GOOD}models = 'scripted'", "(alice): models: "),
        (f"{GOOD}max_thinking_token = 1", "did you mean 'max_thinking_tokens'?"),
        (f"{GOOD}[keys.quota]\nrequests_per_minute = 0", "(alice): quota.requests_per_minute: "),
        (f"{GOOD}[keys.quota]\nrequests_per_hour = 5", "unknown field 'requests_per_hour'"),
        (f"{GOOD}{GOOD}", "id 'alice' appears twice"),
        (f"{GOOD}{make_entry('bob', ALICE)}", "a hash appears twice, for 'alice' and 'bob'"),
    ],
)
def test_an_error_names_its_place(text: str, named: str) -> None:
    assert named in read_error(text)


# Constant, since it is part of the test ids.
SECRET = PREFIX + "Zk3vQ9xT1bN7mC5wR8yL2dF6hJ4gS0pA"


@pytest.mark.parametrize(
    "text",
    [
        f'[[keys]]\nid = "alice"\nsecret = "{SECRET}"\n',
        f'[[keys]]\nid = "alice"\nhashes = ["{SECRET}"]\n',
        f'[[keys]]\nid = "alice"\nhashes = ["sha256:{SECRET}"]\n',
        f'[[keys]]\nid = "alice"\nhashes = [{{ hash = "{SECRET}" }}]\n',
        f'[[keys]]\nid = "alice"\nhashes = "{SECRET}"\n',
        f'[[keys]]\nid = "{SECRET}"\nhashes = []\n',
        f'[[keys]]\nid = "{SECRET[20:]}"\nhashes = ["{SECRET}"]\n',
        f'[[keys]]\nid = "alice"\n{SECRET} = 1\n',
        f'{SECRET} = "alice"\n',
        f"{SECRET}\n",
        f'keys = "{SECRET}"\n',
        f'[["{SECRET}"]]\n["{SECRET}"]\n',
        f'{{"{SECRET}": "{SECRET}"',
        f'[[keys]]\nid = "alice"\nhashes = [{{ hash = "x", expires = "{SECRET}" }}]\n',
        f'[[keys]]\nid = "alice"\n[keys.quota]\n"{SECRET}" = 3\n',
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(text: str) -> None:
    message = read_error(text)
    # Not even a part; the last part alone is a valid id and may be named.
    assert SECRET[9:29] not in message
    assert "alice" not in text or "keys[0]" in message or "TOML" in message or SECRET in text[:60]


def test_the_error_for_a_secret_says_how_to_hash_it() -> None:
    for line in (f'secret = "{SECRET}"', f'hashes = ["{SECRET}"]'):
        assert "python -m server.keys hash" in read_error(f'[[keys]]\nid = "alice"\n{line}\n')


@given(st.text(max_size=200) | st.binary(max_size=50).map(lambda b: b.decode("latin-1")))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read_ring(text)
    except KeyFileError as error:
        assert str(error).startswith("keys.toml: ")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["id", "hashes", "models", "quota", "priority", "show_thoughts", "x"]),
        JSON_VALUES,
    )
)
def test_any_entry_is_read_or_refused(raw: dict[str, object]) -> None:
    try:
        read_ring(json.dumps({"keys": [raw]}))
    except KeyFileError as error:
        assert str(error).startswith("keys.toml: ")


def test_no_hash_is_in_a_repr() -> None:
    from server.keys.entry import KeyEntry

    hashed = hash_secret(ALICE)
    made = KeyEntry.model_validate({"id": "alice", "hashes": [hashed]})
    keys = read_ring(GOOD)
    for shown in (repr(made), repr(made.hashes), repr(keys), repr(vars(keys))):
        assert hashed[10:] not in shown
        assert bytes.fromhex(hashed[7:]) not in shown.encode("latin-1", "replace")


def test_new_secrets_are_long_and_never_the_same() -> None:
    secrets = {generate_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(s.startswith(PREFIX) and len(s) >= len(PREFIX) + 43 for s in secrets)


@pytest.mark.parametrize("weak", ["", "a" * 23, "a" * 30 + " b", "é" * 30, "a" * 30 + "\n"])
def test_a_weak_secret_is_not_hashed(weak: str) -> None:
    with pytest.raises(WeakSecretError) as caught:
        hash_secret(weak)
    assert not weak or weak not in str(caught.value)


def run_command(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "server.keys", *arguments]
    return subprocess.run(line, input=stdin, capture_output=True, text=True, timeout=60)


def test_a_new_key_can_be_appended_to_a_file_and_used_with_its_secret() -> None:
    made = run_command(
        "new", "--id", "carol", "--max-thinking-tokens", "9", "--tokens-per-day", "5"
    )
    secret = made.stderr.split()[-1]
    assert secret.startswith(PREFIX)
    assert secret not in made.stdout
    key = AccessKey("carol", max_thinking_tokens=9, quota=Quota(tokens_per_day=5))
    assert find_key(GOOD + made.stdout, secret) == key


def test_hash_reads_a_secret_from_stdin_and_refuses_a_short_one() -> None:
    assert run_command("hash", stdin=f"{ALICE}\n").stdout == f"{hash_secret(ALICE)}\n"
    refused = run_command("hash", stdin="hunter2\n")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "hunter2" not in refused.stderr


def test_an_invalid_entry_is_not_written() -> None:
    refused = run_command("new", "--id", "anonymous")
    assert (refused.returncode, refused.stdout) == (2, "")
