"""Generated blocks of a page, each between a pair of comments.

The handwritten text around them stays unchanged. Knows no experiment.
"""


class PageError(Exception):
    """Page that lacks a block, or whose comments do not pair."""


def make_begin_comment(name: str) -> str:
    """Return the comment before a block."""
    return f"<!-- begin {name} -->"


def make_end_comment(name: str) -> str:
    """Return the comment after a block."""
    return f"<!-- end {name} -->"


def replace_block(page: str, name: str, content: str) -> str:
    """Return `page` with `content` as the block `name`.

    Raises:
        PageError: there is not exactly one such block.
    """
    begin, end = make_begin_comment(name), make_end_comment(name)
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise PageError(f"the page should have {begin} once, and {end} once after it")
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{content.strip()}\n{end}{after}"
