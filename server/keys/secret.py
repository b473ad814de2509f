"""Generates secrets, and hashes them for storage.

Uses plain SHA-256, without salt or many rounds: those slow down guessing, and a secret of 256
random bits cannot be guessed at any speed. (The slow hashes of OWASP and NIST, SP 800-63B
5.1.1.2, are for secrets that people choose; SP 800-63B 5.1.2.2 accepts a plain hash for random
look-up secrets of 112 bits or more.) Does not know keys.
"""

import hashlib
import re
import secrets

PREFIX = "sk-think-"
NUM_RANDOM_BYTES = 32
# Minimum for a secret generated elsewhere, in characters: 144 bits at six bits each.
MIN_LENGTH = 24
HASH_PREFIX = "sha256:"
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
# Characters that a header transmits unchanged.
_SENDABLE = re.compile(r"[\x21-\x7e]+")
HOW_TO_HASH = "'python -m server.keys hash' computes it"


class WeakSecretError(ValueError):
    """The secret may be guessed, or cannot be sent in a header. Does not quote it."""


def generate_secret() -> str:
    """Return a new secret of 256 random bits, recognisable by its prefix."""
    return PREFIX + secrets.token_urlsafe(NUM_RANDOM_BYTES)


def hash_secret(secret: str) -> str:
    """Return the hash that represents `secret` in a key file.

    Raises:
        WeakSecretError: the secret is too short, or not all visible ASCII.
    """
    if len(secret) < MIN_LENGTH:
        raise WeakSecretError(f"a secret should have at least {MIN_LENGTH} characters")
    if not _SENDABLE.fullmatch(secret):
        raise WeakSecretError("a secret should contain visible ASCII characters only, no spaces")
    return HASH_PREFIX + hashlib.sha256(secret.encode()).hexdigest()


def parse_digest(text: str) -> bytes:
    """Return the 32 bytes of a hash in its text form.

    Raises:
        ValueError: `text` is not a hash; the message does not quote it.
    """
    if not _HASH.fullmatch(text):
        raise ValueError(
            f"should be 'sha256:' followed by 64 hexadecimal digits; {HOW_TO_HASH} from a secret"
        )
    return bytes.fromhex(text.removeprefix(HASH_PREFIX))
