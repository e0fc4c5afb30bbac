"""One browser for all tests of the page."""

import pytest
from tests.profile.browser import Browser


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("chromium") / "profile") as made:
        yield made
