"""What checkov finds is what the list of exceptions names, each with a reason: no more, and no less."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

CHECKOV = Path(__file__).parents[3] / ".tools" / "checkov" / "bin" / "checkov"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def findings(copied) -> set[tuple[str, str]]:
    if not CHECKOV.is_file():
        message = "The Terraform modules are not searched for weak settings: `make deploy-tools` brings checkov"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    done = subprocess.run(
        [
            CHECKOV,
            "--directory",
            copied,
            "--framework",
            "terraform",
            "--skip-download",
            "--compact",
            "--output",
            "json",
        ],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(copied), "PYTHONHASHSEED": "0"},
    )
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 200
    return {
        (one["check_id"], one["resource"].removeprefix("module.shoal.")) for one in report["results"]["failed_checks"]
    }


@pytest.fixture(scope="module")
def skips(tree) -> list[dict[str, str]]:
    read: list[dict[str, str]] = yaml.safe_load((tree / "checkov-skips.yaml").read_text())
    return read


def test_every_finding_has_a_reason_to_stay(findings, skips) -> None:
    left = {
        (check, resource)
        for check, resource in findings
        if not any(skip["check"] == check and resource.startswith(skip["resource"]) for skip in skips)
    }
    assert not left


def test_every_reason_is_still_needed(findings, skips) -> None:
    for skip in skips:
        assert len(skip["reason"]) > 10, skip
        assert any(check == skip["check"] and resource.startswith(skip["resource"]) for check, resource in findings), (
            skip
        )
