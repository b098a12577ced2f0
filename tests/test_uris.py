"""What a place or an address may look like; a secret in one is refused and never repeated."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meqc_marl.errors import InputError
from meqc_marl.uris import check_address, check_place, redacted
from tests.sentences import is_one_sentence

SECRET = st.text(string.ascii_letters + string.digits + "+/=%.-_", min_size=6, max_size=30).map(
    lambda text: "Zq9" + text
)


def refusal(check, text):
    with pytest.raises(InputError) as told:
        check(text)
    assert is_one_sentence(str(told.value)), told.value
    assert len(str(told.value)) < 500
    return str(told.value)


@pytest.mark.parametrize(
    "where",
    [
        *("results/sweep", "/shared/sweep", "a:b", "s3://bucket/x", "gs://bucket", "gs://anonymous@bucket/x"),
        *("s3://bucket/x?scheme=http&endpoint_override=127.0.0.1:9000", "s3://bucket/x?region=eu-west-1"),
        *("abfs://container@account/x", "hdfs://host:8020/x?user=me", "file:///shared/sweep", "s3://bucket/a@b"),
    ],
)
def test_places(where):
    check_place(where)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        *((root, "is the root of the file system") for root in ("/", "//", "/.", "/tmp/..", "///")),
        *(
            (nothing, "names no bucket")
            for nothing in ("s3://", "s3:///x", "gs://", "s3://?region=x", "hdfs://", "abfs://c@")
        ),
        *((nothing, "names no folder") for nothing in ("file://", "file:///", "file://host/x", "file:///..")),
        *((empty, "storage is empty") for empty in ("", "  ")),
        *((short, "a URI begins with s3://") for short in ("s3:/bucket/x", "s3:bucket", "S3:/bucket")),
        *((odd, "control characters") for odd in ("a\nb", "s3://bucket/\x1b[2J", "a\0b")),
        *((other, "begins with") for other in ("ftp://x/y", "http://x/y", "S3://bucket/x", "://x")),
        *((shell, "means a folder in a shell alone") for shell in ("~", "~/sweep", "~me/sweep")),
        ("s3://bucket/x#part", "has more behind it"),
        ("s3://bucket/x?reg=1", "has more behind it"),
        ("s3://bucket/x?region=a b", "has more behind it"),
        ("s3://bucket/x?endpoint_override=me@host", "has more behind it"),
        ("s3://[bad", "names no bucket that can be"),
    ],
)
def test_what_is_no_place(where, message):
    assert message in refusal(check_place, where)


@given(
    SECRET,
    st.sampled_from(["s3", "gs", "hdfs", "file", "ftp", "abfs", "https"]),
    st.sampled_from(
        [
            "{scheme}://me:{secret}@bucket/x",
            "{scheme}://{user}:@bucket/x",
            "{scheme}://{user}@bucket/x",
            "{scheme}://bucket/x?sig={secret}",
            "{scheme}://bucket/x?X-Amz-Signature={secret}",
            "{scheme}://bucket/x?{secret}",
            "{scheme}://bucket/x?region=eu&{secret}=1",
            "{scheme}://bucket/x#{secret}",
            "{scheme}://bucket/x?region=me@{secret}",
        ]
    ),
)
def test_a_secret_is_refused_and_not_repeated(secret, scheme, form):
    user = secret.replace("/", "")
    told = refusal(check_place, form.format(scheme=scheme, secret=secret, user=user))
    assert secret not in told
    assert user not in told


@given(SECRET.map(lambda text: text.replace("/", "")), st.sampled_from(["http", "https"]))
def test_an_address_is_host_and_port(secret, scheme):
    for form in ("{0}://me:{1}@host:8265", "{0}://{1}@host:8265", "{0}://host:8265/?token={1}", "{0}://host:8265#{1}"):
        assert secret not in refusal(check_address, form.format(scheme, secret))


def test_addresses():
    for fine in ("http://127.0.0.1:8265", "https://ray.example.org", "http://[::1]:8265/"):
        check_address(fine)
    for wrong in (
        "x",
        "",
        "http://",
        "ftp://host:1",
        "http://host:999999",
        "http://host:x",
        "host:8265",
        "http://[::1",
    ):
        assert "it must be as in http://127.0.0.1:8265" in refusal(check_address, wrong)


@given(SECRET.map(lambda text: text.replace("/", "")))
def test_a_text_loses_what_its_uris_hide(secret):
    text = f"opening 's3://me:{secret}@bucket/x?sig={secret}#{secret}' at https://{secret}@host/p?{secret} failed."
    assert redacted(text) == "opening 's3://bucket/x' at https://host/p failed."
    assert redacted("no URI: a/b?c=d#e me@host") == "no URI: a/b?c=d#e me@host"


@pytest.mark.parametrize(
    "form", ["s3://b/x#{}", "gs://b#{}", "file:///x#{}", "s3://b/x?region=a#{}", "hdfs://h/x#a={}"]
)
@given(secret=SECRET)
def test_a_fragment_is_refused_and_not_repeated(form, secret):
    assert secret not in refusal(check_place, form.format(secret))
    assert secret not in redacted(f"see {form.format(secret)} for it")
