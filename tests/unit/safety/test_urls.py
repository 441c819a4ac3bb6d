from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorapod.errors import UnsafeUrl
from lorapod.safety.urls import check_url, is_public, shown_url


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "168.63.129.16",
        "192.0.0.192",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "2001:0:1::",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "not an address",
    ],
)
def test_what_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"]
)
def test_what_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/etc/passwd",
        "file:///etc/passwd",
        "ftp://example.com/a",
        "gopher://example.com/",
        "data:text/plain,x",
        "http://",
        "http:///path",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com:port/",
        "http://127.0.0.1/",
        "http://user:pass@127.0.0.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://127.0.0.1./",
        "http://1.1.1.1 &@2.2.2.2/",
        "http://example.com\\@127.0.0.1/",
        "http://example.com@127.0.0.1/",
        "http://example.com\t/",
        "http://example.com/\r\nHost: evil",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[fe80::1%25eth0]/",
        "http://[::1/",
        "http://[::1]@/",
        "http://169.254.169.254/latest/meta-data/",
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://\u2460\u2461\u2466.0.0.1/",
        "https://example.com/" + "a" * 9000,
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(UnsafeUrl):
        check_url(text)


def test_a_signed_address_stays_as_it_is() -> None:
    text = "https://example.com/a%2Fb/%7Ec?X-Amz-Signature=a%2Bb/c%3D&response=x+y"
    assert str(check_url(text)) == text


def test_private_ones_where_allowed() -> None:
    assert check_url("http://127.0.0.1:9000/a", allow_private=True).port == 9000
    with pytest.raises(UnsafeUrl):
        check_url("http://2130706433/", allow_private=True)


def test_an_address_is_shown_without_its_secrets() -> None:
    shown = shown_url("https://user:secret@example.com/a/b.png?token=secret#secret")
    assert shown == "https://example.com/a/b.png"


HOSTILE = st.one_of(
    st.text(max_size=200),
    st.builds(
        "{}://{}{}{}".format,
        st.sampled_from(["http", "https", "HTTP", "ftp", "file", ""]),
        st.sampled_from(["", "user:secret@", "a@b@", "%00@", "@"]),
        st.one_of(
            st.ip_addresses().map(lambda ip: f"[{ip}]" if ip.version == 6 else str(ip)),
            st.integers(0, 2**33).map(str),
            st.integers(0, 2**33).map(hex),
            st.text(max_size=30),
        ),
        st.text(max_size=50),
    ),
)


@given(HOSTILE)
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        url = check_url(text)
    except UnsafeUrl:
        return
    assert url.scheme in {"http", "https"}
    host = url.raw_host or ""
    assert host.isascii()
    if host.replace(".", "").isdigit() or ":" in host:
        assert is_public(host)
    assert "secret" not in shown_url(url).replace(host, "").partition("//")[2].partition("/")[0]
