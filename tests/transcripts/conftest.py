"""What all transcripts share."""

from __future__ import annotations

import pytest

from tests.certificates import Certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """The certificates of the whole run; each is made when it is first asked for."""
    return Certificates(tmp_path_factory.mktemp("certificates"))
