"""Links of reading lists that open for nobody else: signed for minutes, or through a library's proxy.

What is inside such a link often says what it led to: Elsevier's item id (PII), or a DOI. Nothing is asked of a network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from corpus.imports.identity import doi_in, pii_in

# Query parameters of signatures and sessions: Amazon S3 and CloudFront, Google and Azure storage, publishers' tokens.
_SIGNED = re.compile(
    r"[?&](?:x-amz-signature|x-amz-credential|x-amz-security-token|x-goog-signature|signature|key-pair-id|policy|md5"
    r"|sig|token|hash|jwt|access_token|auth_token|tid)=",
    re.IGNORECASE,
)
_SIGNED_HOSTS = re.compile(
    r"(?:^|\.)(?:sciencedirectassets\.com|watermark\.silverchair\.com|s3[.-][\w.-]*amazonaws\.com)$"
)
_PROXY = re.compile(
    r"(?:^|[.-])(?:ez)?proxy|ezproxy|\.idm\.oclc\.org$|libproxy|webvpn|\.vpn\.|openathens", re.IGNORECASE
)
_PUBLISHERS = re.compile(
    r"^(?:www|ieeexplore|link|dl|onlinelibrary|pubs|academic|linkinghub|pubmed|arxiv|openaccess|journals)[-.]"
)


@dataclass(frozen=True, slots=True)
class Repair:
    """What is wrong with a link, and the lasting one in its place; `url` is empty where nothing in it says which."""

    fault: str
    url: str


def repair(link: str) -> Repair | None:
    """The repair of a link that does not last, or None for one that seems sound."""
    try:
        parts = urlsplit(link)
        host = parts.hostname or ""
    except ValueError:
        return Repair("not a link", "")
    if _PROXY.search(host):
        return Repair("a link through a library's proxy, which asks strangers for a password", _past_proxy(parts, host))
    if _SIGNED.search(f"?{parts.query}") or _SIGNED_HOSTS.search(host):
        return Repair(f"a signed link{_expiry(parts)}", lasting(link))
    return None


def lasting(link: str) -> str:
    """The link by PII or DOI that means the same, or an empty string."""
    if pii := pii_in(link):
        return f"https://www.sciencedirect.com/science/article/pii/{pii}"
    doi = doi_in(link)
    return f"https://doi.org/{doi}" if doi else ""


def _expiry(parts: SplitResult) -> str:
    """ " that expired on 5 March 2024", where the signature says so."""
    query = {name.lower(): values[0] for name, values in parse_qs(parts.query).items()}
    try:
        begun = datetime.strptime(query["x-amz-date"], "%Y%m%dT%H%M%SZ")
        over = begun + timedelta(seconds=int(query["x-amz-expires"]))
    except (KeyError, ValueError, OverflowError):
        return ", which works for minutes only"
    return f" that expired on {over.day} {over:%B %Y}"


def _past_proxy(parts: SplitResult, host: str) -> str:
    """The address behind EZproxy and its like: a parameter, or folded into the host ("www-nature-com.proxy...")."""
    query = parse_qs(parts.query)
    for name in ("url", "qurl", "target"):
        inner = unquote(query.get(name, [""])[0])
        if re.match(r"https?://[\w.-]+/", inner):
            return lasting(inner) if _SIGNED.search(inner) else inner
    if found := lasting(f"{parts.path}?{parts.query}"):
        return found
    first = host.split(".")[0]
    name = first.replace("--", "\0").replace("-", ".").replace("\0", "-") if "-" in first else _unfolded(host)
    if name and _PUBLISHERS.match(name) and name.count(".") >= 1 and parts.path.strip("/"):
        return f"https://{name}{parts.path}"
    return ""


def _unfolded(host: str) -> str:
    """The publisher's host in "ieeexplore.ieee.org.proxy.example.edu", or an empty string."""
    match = re.match(r"(.+?\.(?:com|org|net|gov|edu))\.", host)
    return match[1] if match else ""
