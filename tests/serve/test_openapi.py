"""What a stranger may send, made from the service's own description: no answer is a fault of ours."""

from pathlib import Path

from tests.fuzz.service import AS_DESCRIBED, ENDLESS, SLOW, app_for, asked, no_jobs


def test_no_request_that_is_made_from_the_description_meets_a_fault(library_path: Path):
    with no_jobs():
        found = list(asked(app_for(library_path), 3, 1, [AS_DESCRIBED], (*ENDLESS, *SLOW)))
    assert len(found) > 40
    assert [fault for _, _, faults in found for fault in faults] == []
    assert {status for _, answers, _ in found for status in answers} >= {200, 404, 422}
