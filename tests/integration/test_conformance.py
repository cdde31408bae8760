"""The OCI conformance suite against goctl.testing.Registry without faults.

`go install github.com/opencontainers/distribution-spec/conformance@latest` makes the program. It ends with 0 when it could
not start: the report decides.
"""

from __future__ import annotations

import os
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from goctl.testing import Registry

#: Fewer results than this say that the suite did not run.
FEWEST = 500
pytestmark = pytest.mark.integration


@pytest.mark.parametrize("version", ["1.1", "dev"])
def test_the_registry_conforms(tmp_path: Path, version: str, conformance: str) -> None:
    with Registry(folder=tmp_path / "held") as registry:
        env = {
            **os.environ, "OCI_REGISTRY": registry.address, "OCI_TLS": "disabled", "OCI_REPO1": "conformance/one",
            "OCI_REPO2": "conformance/two", "OCI_RESULTS_DIR": str(tmp_path), "OCI_VERSION": version, "OCI_LOG": "warn",
            "OCI_API_BLOBS_UPLOAD_CANCEL": "true", "OCI_API_BLOBS_DIGEST_HEADER": "true",
            "OCI_API_MANIFESTS_DIGEST_HEADER": "true",
        }  # fmt: skip
        done = subprocess.run([conformance], env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    suites = ElementTree.parse(tmp_path / "junit.xml").getroot()
    cases = list(suites.iter("testcase"))
    failed = [case.get("name") for case in cases if case.get("status") in ("failure", "error")]
    skipped = [case for case in cases if case.get("status") == "skipped"]
    print(f"{version}: {len(cases)} results, {len(failed)} failed, {len(skipped)} skipped")
    assert failed == [], done.stdout[-3000:] + done.stderr[-3000:]
    assert len(cases) - len(skipped) >= FEWEST
    assert done.returncode == 0
