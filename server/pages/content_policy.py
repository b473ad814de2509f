"""The Content-Security-Policy of a page: what a browser may load and run for it.

Scripts, styles and requests of this server only; no inline script but the page's own import map,
by its hash. A model's answer is shown as HTML that DOMPurify has cleaned, and nothing else may
become HTML (Trusted Types): https://www.w3.org/TR/CSP3/, https://www.w3.org/TR/trusted-types/.
"""

import base64
import hashlib
import re

# The import map has to be inline; browsers read none from a file.
_INLINE_SCRIPT = re.compile(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)


def make_content_policy(html: str, *, has_trusted_types: bool = True) -> str:
    """Return the policy of a page with this text.

    `has_trusted_types` False: its library makes HTML by itself (Swagger UI, of our own document).
    """
    scripts = [_INLINE_SCRIPT.sub(r"\1", found.group()) for found in _INLINE_SCRIPT.finditer(html)]
    hashes = "".join(f" 'sha256-{_digest(script)}'" for script in scripts)
    trusted_types = ("require-trusted-types-for 'script'", "trusted-types dompurify")
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self'{hashes}",
            "style-src 'self'",
            "img-src 'self' data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            *(trusted_types if has_trusted_types else ()),
        )
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
