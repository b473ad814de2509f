"""The pages of clients/examples as files: short, and typed. Runs none of them."""

from pathlib import Path

import pytest

from tests.sdk.conftest import EXAMPLES, run
from tests.sdk.test_examples import PAGES

pytestmark = pytest.mark.sdk


@pytest.mark.parametrize("page", PAGES)
def test_an_example_fits_on_one_page(page: str) -> None:
    assert len((EXAMPLES / page).read_text(encoding="utf-8").splitlines()) <= 90


def test_the_typescript_keeps_the_types_of_the_sdks(node_folder: Path) -> None:
    run([node_folder / "../node_modules/.bin/tsc", "--project", node_folder])
