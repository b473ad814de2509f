"""The blocks of a page that are made by machine, between a pair of comments each.

The prose around them is by hand and is left as it is. Knows no experiment.
"""


class PageError(Exception):
    """The page lacks a block, or its comments do not pair."""


def begin_of(name: str) -> str:
    """The comment before a block."""
    return f"<!-- begin {name} -->"


def end_of(name: str) -> str:
    """The comment after it."""
    return f"<!-- end {name} -->"


def replace_block(page: str, name: str, content: str) -> str:
    """`page` with `content` as the block called `name`.

    Raises:
        PageError: there is not exactly one such block.
    """
    begin, end = begin_of(name), end_of(name)
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise PageError(f"the page should have {begin} once, and {end} once after it")
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{content.strip()}\n{end}{after}"
