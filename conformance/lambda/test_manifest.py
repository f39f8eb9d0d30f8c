"""Every recorded case has an owner or a test here."""

import pytest

from recorded import manifest, recordings


def test_every_recording_is_in_the_manifest():
    assert set(recordings()) - set(manifest()) == set(), "give these cases an owner"
    assert set(manifest()) - set(recordings()) == set(), "these cases have no recording"


def test_every_entry_is_run_or_owned():
    wrong = [name for name, entry in manifest().items() if bool(entry.get("run")) == bool(entry.get("owner"))]
    assert wrong == []


def test_every_case_to_run_has_a_test(request):
    if not request.config.whole:
        pytest.skip("only part of the suite was collected")
    run = {name for name, entry in manifest().items() if entry.get("run")}
    assert run - request.config.replayed == set(), "these cases have no test"
    assert request.config.replayed - run == set(), "these tests replay cases that are not marked `run`"
