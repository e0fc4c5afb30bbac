"""The pytest plugin: `pytest --opentrn` makes `import nki` in test files mean opentrn.

The fixture `trn_profile` is `opentrn.profile`: ``assert trn_profile(kernel)(a, b).latency_us < 50``.

Without the option nothing else of opentrn is imported: pytest loads this file in every project of the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

__all__ = ["pytest_addoption", "pytest_configure", "pytest_runtest_makereport", "pytest_unconfigure", "trn_profile"]


def _asked(config: pytest.Config) -> bool:
    return bool(config.getoption("opentrn") or config.getoption("opentrn_shadow"))


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("opentrn")
    group.addoption("--opentrn", action="store_true", help="let `import nki` mean opentrn")
    group.addoption("--opentrn-shadow", action="store_true", help="the same, even where another nki is installed")


def pytest_configure(config: pytest.Config) -> None:
    if not _asked(config):
        return
    from opentrn.errors import InstallError
    from opentrn.install import install

    try:
        install(shadow=bool(config.getoption("opentrn_shadow")))
    except InstallError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_unconfigure(config: pytest.Config) -> None:
    if not _asked(config):
        return
    from opentrn.install import uninstall

    uninstall()


@pytest.fixture(scope="session")
def trn_profile() -> Callable[..., Any]:
    """`opentrn.profile`: how long a kernel takes on the chip, and why (also without --opentrn)."""
    from opentrn.nki.profile import profile

    return profile


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    if call.excinfo is not None and _asked(item.config):
        from opentrn.cli.user_frames import keep_user_frames

        keep_user_frames(call.excinfo.value)
    return (yield)
