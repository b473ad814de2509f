"""Secrets: making one, and the hash that is kept in its place.

SHA-256 alone, without salt or many rounds: those slow down guessing, and a secret of 256 random
bits cannot be guessed at any speed. (OWASP's and NIST's slow hashes, SP 800-63B 5.1.1.2, are for
secrets that people choose; SP 800-63B 5.1.2.2 takes a plain hash for random look-up secrets from
112 bits on.) Knows no key.
"""

import hashlib
import re
import secrets

PREFIX = "sk-think-"
NUM_RANDOM_BYTES = 32
# Of a secret that was made elsewhere; six bits a character would be 144.
MIN_LENGTH = 24
HASH_PREFIX = "sha256:"
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
# What a header can carry without being changed on its way.
_SENDABLE = re.compile(r"[\x21-\x7e]+")
HOW_TO_HASH = "'python -m server.keys hash' makes it of a secret"


class WeakSecretError(ValueError):
    """A secret that may be guessed, or that no header carries. Does not quote it."""


def new_secret() -> str:
    """A secret of 256 random bits, recognisable by its beginning."""
    return PREFIX + secrets.token_urlsafe(NUM_RANDOM_BYTES)


def hash_of(secret: str) -> str:
    """What stands for `secret` in a file of keys.

    Raises:
        WeakSecretError: it is too short, or is not all visible ASCII.
    """
    if len(secret) < MIN_LENGTH:
        raise WeakSecretError(f"a secret should have at least {MIN_LENGTH} characters")
    if not _SENDABLE.fullmatch(secret):
        raise WeakSecretError("a secret should have visible ASCII characters only, no spaces")
    return HASH_PREFIX + hashlib.sha256(secret.encode()).hexdigest()


def digest_in(text: str) -> bytes:
    """The 32 bytes of a hash that is written down.

    Raises:
        ValueError: it is none; the message does not quote it.
    """
    if not _HASH.fullmatch(text):
        raise ValueError(f"should be sha256: and 64 hexadecimal digits; {HOW_TO_HASH}")
    return bytes.fromhex(text.removeprefix(HASH_PREFIX))
