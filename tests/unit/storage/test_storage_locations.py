"""What a location says."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelzoo_runner.errors import RequestError
from modelzoo_runner.storage import listing, locations
from modelzoo_runner.storage.locations import (
    BucketPlace,
    WebFile,
    parse,
    unsafe_reason,
    with_endpoint,
)


@pytest.mark.parametrize(
    ("location", "bucket", "name"),
    [
        ("gs://images/x", "images", "x"),
        ("gs://gs/x", "gs", "x"),
        ("gs://sgs/gs", "sgs", "gs"),
        ("GS://images/a/b/c/", "images", "a/b/c/"),
        ("gs://images", "images", ""),
        ("gs://images/", "images", ""),
        ("gs://my.example.org/a b#1?x", "my.example.org", "a b#1?x"),
    ],
)
def test_a_place_in_a_bucket(location: str, bucket: str, name: str) -> None:
    assert parse(location) == BucketPlace(bucket, name)


def test_kinds_of_places() -> None:
    assert BucketPlace("b", "").is_folder
    assert BucketPlace("b", "a/").is_folder
    assert not BucketPlace("b", "a").is_folder
    assert BucketPlace("b", "a*/").is_pattern and not BucketPlace("b", "a*/").is_folder
    assert BucketPlace("b", "a/x").url == "gs://b/a/x"


@pytest.mark.parametrize(
    ("url", "encrypted"),
    [
        ("https://example.org/x", True),
        ("http://example.org/x", False),
        ("http://127.0.0.1:80/x", True),
        ("http://[::1]/x", True),
        ("http://localhost/x", True),
        ("http://127.0.0.1.example.org/x", False),
    ],
)
def test_who_could_change_it_on_the_way(url: str, encrypted: bool) -> None:
    place = parse(url)
    assert isinstance(place, WebFile) and place.encrypted is encrypted


def test_a_fragment_is_never_sent() -> None:
    assert parse("https://example.org/a.pb?x=1#part") == WebFile(
        "https://example.org/a.pb?x=1", "a.pb"
    )


def test_what_stands_in_for_google() -> None:
    url = "https://storage.googleapis.com/bucket/a"
    assert with_endpoint(url, None) == url
    assert with_endpoint(url, "http://127.0.0.1:1") == "http://127.0.0.1:1/bucket/a"
    other = "https://storage.googleapis.com.example.org/a"
    assert with_endpoint(other, "http://127.0.0.1:1") == other


@given(st.text(max_size=40))
def test_a_name_that_is_safe_stays_below_its_folder(name: str) -> None:
    if unsafe_reason(name) is None:
        parts = PurePosixPath(name).parts
        assert "/".join(parts) == name
        assert ".." not in parts and not PurePosixPath(name).is_absolute()


@given(st.text(max_size=40))
def test_any_text_is_a_location_or_refused_in_words(text: str) -> None:
    for location in (text, f"gs://{text}", f"https://{text}", f"gs://b/{text}"):
        try:
            place = locations.parse(location)
        except RequestError as error:
            assert str(error)
        else:
            if isinstance(place, WebFile):
                assert unsafe_reason(place.name) is None and "/" not in place.name


@pytest.mark.parametrize(
    ("pattern", "base"),
    [("validation-*", ""), ("a/b/val?", "a/b/"), ("a/*/c/d", "a/"), ("a/b[12]/c*", "a/")],
)
def test_the_folder_before_a_pattern(pattern: str, base: str) -> None:
    assert listing.before_pattern(pattern) == base
