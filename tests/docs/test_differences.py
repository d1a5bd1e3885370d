"""Each row of docs/differences.md is so."""

from __future__ import annotations

import pytest

from tests.certificates import Certificates
from tests.docs import differs, differs_settings, differs_wire, pages

PAGE = pages.ROOT / "docs" / "differences.md"
MODULES = (differs_settings, differs_wire)  # they fill `differs.CHECKS`


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("row", differs.CHECKS)
def test_row(row, certificates, tmp_path):
    """ssmtp does what the row says, in the classic's place."""
    ours = differs.Ours(tmp_path, certificates)
    try:
        differs.CHECKS[row](ours)
    finally:
        ours.close()


def test_every_row_is_tried():
    """There is a check for each row, and none for a row that is gone."""
    found = [cells[0] for cells in differs.rows(PAGE.read_text("utf-8"))]

    assert sorted(differs.CHECKS) == sorted(found)
    assert 40 < len(found)
