"""The contract of a method as tests, for authors of plug-ins, and tiny models to test on.

Three lines of a test file hold a method to it::

    class TestMine(MethodContract):
        method = Mine()

It needs pytest (``pip install 'promptscale[test]'``).
"""

import pytest

pytest.register_assert_rewrite("bench.testing.contract")  # so that a broken contract says what was found

from bench.testing.contract import MethodContract  # noqa: E402

__all__ = ["MethodContract"]
