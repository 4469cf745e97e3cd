"""What checkov finds in chart and Dockerfile is what the lists beside them give a reason for: no more, and no less."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHECKOV = ROOT / ".tools" / "checkov" / "bin" / "checkov"
HELM = ROOT / ".tools" / "helm4"
SEARCHED = {
    "dockerfile": ("images", [], 30),
    "helm": ("helm", ["--var-file", DEPLOY / "helm" / "shoal" / "values-cpu.yaml"], 150),
}
"""By checkov's name of it: where, how, and how many checks must have passed."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def found(framework: str, folder: Path) -> set[tuple[str, str]]:
    """Check and resource of all that failed."""
    for needed in (CHECKOV, HELM / "helm"):
        if not needed.is_file():
            message = f"Chart and images are not searched for weak settings: no {needed.name}; `make deploy-tools`"
            pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    where, more, least = SEARCHED[framework]
    searched = shutil.copytree(DEPLOY / where, folder / where)
    words = ["--directory", searched, "--framework", framework, "--skip-download", "--compact", "--output", "json"]
    done = subprocess.run(
        [CHECKOV, *words, *more], capture_output=True, text=True, timeout=280, check=False,
        env={"PATH": f"{HELM}:{os.environ['PATH']}", "HOME": str(folder), "PYTHONHASHSEED": "0"},
    )  # fmt: skip
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] >= least
    return {(each["check_id"], each["resource"]) for each in report["results"]["failed_checks"]}


@pytest.mark.parametrize("framework", SEARCHED)
def test_every_finding_has_a_reason_to_stay_and_every_reason_is_needed(framework, tmp_path) -> None:
    skips = yaml.safe_load((DEPLOY / SEARCHED[framework][0] / "checkov-skips.yaml").read_text())
    findings = found(framework, tmp_path)

    def excused(finding: tuple[str, str], skip: dict[str, str]) -> bool:
        return finding[0] == skip["check"] and finding[1].startswith(skip["resource"])

    assert not {finding for finding in findings if not any(excused(finding, skip) for skip in skips)}
    for skip in skips:
        assert len(skip["reason"]) > 10
        assert any(excused(finding, skip) for finding in findings), skip
