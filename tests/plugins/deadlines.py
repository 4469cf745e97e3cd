"""Hypothesis gives examples all the time that they take: on a busy machine a fast one is slow now and then.

So it does in CI by itself; tests that hang are ended by pytest-timeout.
"""

from hypothesis import settings

settings.register_profile("suite", parent=settings(), deadline=None)
settings.load_profile("suite")
