"""A sealed thought is returned unchanged, or refused."""

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from server.keys.sealed_thoughts import KEYS_VARIABLE, SealError, SealKeyError, ThoughtSeal

SEAL = ThoughtSeal()


@given(st.text(st.characters(codec="utf-8")))
def test_sealing_and_opening_returns_the_thought(thought: str) -> None:
    sealed = SEAL.seal(thought)
    assert sealed.isascii()
    assert SEAL.open(sealed) == thought


def test_a_sealed_thought_cannot_be_read() -> None:
    assert "secret" not in SEAL.seal("a secret thought")
    assert SEAL.seal("the same") != SEAL.seal("the same")


@given(st.data())
def test_a_changed_seal_is_refused(data: st.DataObject) -> None:
    sealed = SEAL.seal("it was the butler")
    place = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(
        st.sampled_from("ABCXYZabcxyz0189-_=!\n é\ud800").filter(sealed[place].__ne__)
    )
    with pytest.raises(SealError):
        SEAL.open(sealed[:place] + other + sealed[place + 1 :])


@given(st.text(max_size=60))
def test_what_was_never_sealed_is_refused(text: str) -> None:
    with pytest.raises(SealError):
        SEAL.open(text)


def test_another_servers_seal_is_refused() -> None:
    with pytest.raises(SealError):
        SEAL.open(ThoughtSeal().seal("hm"))


def test_other_content_encrypted_with_the_keys_is_refused() -> None:
    key = Fernet.generate_key()
    with pytest.raises(SealError):
        ThoughtSeal([key.decode()]).open(Fernet(key).encrypt(b'{"password": "x"}').decode())


def test_keys_are_rotated_by_putting_the_new_one_first(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    monkeypatch.setenv(KEYS_VARIABLE, old)
    sealed = ThoughtSeal.from_environment().seal("hm")
    monkeypatch.setenv(KEYS_VARIABLE, f"{new}, {old}")
    both = ThoughtSeal.from_environment()
    assert both.open(sealed) == "hm"
    assert ThoughtSeal([new]).open(both.seal("new")) == "new"
    with pytest.raises(SealError):
        ThoughtSeal([new]).open(sealed)


@pytest.mark.parametrize("key", ["short", "é" * 32, "A" * 44])
def test_a_malformed_key_is_refused_at_the_start(key: str) -> None:
    with pytest.raises(SealKeyError, match=KEYS_VARIABLE):
        ThoughtSeal([key])
