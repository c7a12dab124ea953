"""What a run of the suite wrote, and what is expected of it: shared by `run` and `compare`."""

import json
import os
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "peers"

# Revisions that the suite has fewer scenarios of, and whose lists hold for them.
GOES_BY = {"2025-06-18": "2025-11-25"}

# Adds nothing to a verdict: the suite's own remarks.
REMARK = "INFO"


def scenario_of(folder: str) -> str:
    """`server-ping-2026-01-01T…` → `ping`."""
    return re.sub(r"-\d{4}-\d\d-\d\dT.*", "", folder).removeprefix("server-")


def load(results: Path) -> dict[str, list[dict]]:
    """Scenario → its checks, in the order they were made."""
    scenarios = {}
    for checks in sorted(results.glob("**/checks.json")):
        found = json.loads(checks.read_text())
        scenarios[scenario_of(checks.parent.name)] = [check for check in found if check["status"] != REMARK]
    return scenarios


def _list(revision: str, backend: str) -> Path:
    of_one_era = "" if backend == "both" else f"-{backend}-backend"
    return HERE / f"expected-failures-{GOES_BY.get(revision, revision)}{of_one_era}.txt"


def has_lists(revision: str) -> bool:
    """Whether all that the lists for a revision name is about it."""
    return revision not in GOES_BY


def expected_failures(revision: str, backend: str = "both") -> set[str]:
    """`scenario` and `scenario:check-id` that need not pass through a gateway whose backend speaks these eras."""
    lines = _list(revision, backend).read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def keep_expected(revision: str, backend: str, names: set[str]) -> None:
    """Takes off the list what is not among `names`."""
    lines = _list(revision, backend).read_text().splitlines()
    kept = [line for line in lines if not line or line.startswith("#") or line in names]
    _list(revision, backend).write_text("\n".join(kept) + "\n")
