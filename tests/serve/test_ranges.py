"""Preconditions and byte ranges, case by case as RFC 9110 has them, and against slices of Python."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirclr.serve.ranges import Asked, asked_of, version_of

SIZE = 1000
NOW = version_of(SIZE, 1_700_000_000_123_456_789)
DATE, BEFORE, AFTER = (
    "Tue, 14 Nov 2023 22:13:20 GMT",
    "Tue, 14 Nov 2023 22:13:19 GMT",
    "Tue, 14 Nov 2023 22:13:21 GMT",
)
WHOLE, UNMET = Asked(200, 0, SIZE), Asked(416)


def asked(method="GET", **headers):
    return asked_of(method, {name.replace("_", "-"): value for name, value in headers.items()}, NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes=0-", Asked(206, 0, SIZE)),
        ("bytes=0-0", Asked(206, 0, 1)),
        ("bytes=10-19", Asked(206, 10, 20)),
        ("bytes=990-5000", Asked(206, 990, SIZE)),
        ("bytes=-5", Asked(206, 995, SIZE)),
        ("bytes=-5000", Asked(206, 0, SIZE)),
        ("BYTES = 1-2", Asked(206, 1, 3)),  # units are compared without case
        ("bytes=1000-", UNMET),
        ("bytes=5000-6000", UNMET),
        ("bytes=-0", UNMET),
        ("bytes=2000-, 0-9", Asked(206, 0, 10)),  # what is there of several counts
        ("bytes=0-9,10-19", Asked(206, 0, 20)),
        ("bytes=5-9 , 0-6", Asked(206, 0, 10)),
        ("bytes=0-9,500-509", WHOLE),  # several parts: the server may send all
        ("bytes=9-5", WHOLE),  # not well-formed is not there
        ("bytes=a-b", WHOLE),
        ("bytes=-", WHOLE),
        ("bytes=", WHOLE),
        ("bytes", WHOLE),
        ("bytes=1-2-3", WHOLE),
        ("bytes=\u0661-\u0662", WHOLE),
        ("bytes=" + "9" * 5000 + "-", WHOLE),
        ("seconds=0-9", WHOLE),  # of a unit that is not known
        ("", WHOLE),
    ],
)
def test_ranges(text, expected):
    assert asked(range=text) == expected


def test_a_range_is_of_get_alone():
    assert asked("HEAD", range="bytes=0-9") == WHOLE


def test_what_is_empty_has_no_range():
    empty = version_of(0, 0)
    assert asked_of("GET", {"range": "bytes=0-"}, empty) == UNMET
    assert asked_of("GET", {}, empty) == Asked(200)


@pytest.mark.parametrize(
    ("held", "status"),
    [
        (NOW.etag, 206),
        (DATE, 206),
        (f"W/{NOW.etag}", 200),  # only strong tags compare here
        ('"other"', 200),
        (BEFORE, 200),
        (AFTER, 200),
        ("no date", 200),
    ],
)
def test_a_range_only_of_the_version_that_a_client_has(held, status):
    assert asked(range="bytes=0-9", if_range=held).status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if_none_match": NOW.etag}, 304),
        ({"if_none_match": f"W/{NOW.etag}"}, 304),
        ({"if_none_match": f'"a", {NOW.etag}'}, 304),
        ({"if_none_match": "*"}, 304),
        ({"if_none_match": '"a"'}, 200),
        ({"if_none_match": '"a"', "if_modified_since": AFTER}, 200),  # the tag counts alone
        ({"if_modified_since": DATE}, 304),
        ({"if_modified_since": BEFORE}, 200),
        ({"if_modified_since": "yesterday"}, 200),
        ({"if_match": NOW.etag}, 200),
        ({"if_match": "*"}, 200),
        ({"if_match": '"a"'}, 412),
        ({"if_match": f"W/{NOW.etag}"}, 412),
        ({"if_unmodified_since": BEFORE}, 412),
        ({"if_unmodified_since": DATE}, 200),
        ({"if_match": NOW.etag, "if_unmodified_since": BEFORE}, 200),
        ({"if_none_match": NOW.etag, "range": "bytes=0-9"}, 304),
    ],
)
def test_preconditions(headers, status):
    assert asked(**headers).status == status


@given(st.integers(0, 2000), st.integers(0, 2000) | st.none())
def test_a_range_is_a_slice(first, last):
    data = bytes(i % 251 for i in range(SIZE))
    found = asked(range=f"bytes={first}-{'' if last is None else last}")
    if last is not None and last < first:
        assert found == WHOLE
    elif first >= SIZE:
        assert found == UNMET
    else:
        assert data[found.begin : found.end] == (data[first:] if last is None else data[first : last + 1])


@given(st.text('0123456789-=, bytesW/*"\u0661', max_size=30).map("bytes={}".format) | st.text(max_size=10))
def test_any_text_is_answered(text):
    found = asked(range=text, if_range=text, if_match="*")
    assert found.status in (200, 206, 416)
    assert 0 <= found.begin <= found.end <= SIZE


def test_times_of_any_year_are_dates():
    for mtime in (-(2**63), -1, 0, 2**63 - 1):
        assert version_of(1, mtime).headers["Last-Modified"].endswith("GMT")
