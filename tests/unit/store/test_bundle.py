"""Bundles: a sealed folder verifies, any damage is refused with its reason."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fraudworld.documents import canonical_json
from fraudworld.errors import RefusedError
from fraudworld.store import bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sealed folder of three members, one of them in a folder below."""
    sealed = tmp_path / "sealed"
    (sealed / "below").mkdir(parents=True)
    (sealed / "b.txt").write_bytes(b"second")
    (sealed / "a.txt").write_bytes(b"first")
    (sealed / "below" / "Z.txt").write_bytes(b"")
    bundle.seal(sealed, ["b.txt", "below/Z.txt", "a.txt"])
    return sealed


def reseal(folder: Path, change: Callable[[dict], object]) -> None:
    """Edits the index and writes the matching flag, as a forger would."""
    document = json.loads((folder / bundle.INDEX).read_text())
    change(document)
    text = json.dumps(document)
    (folder / bundle.INDEX).write_text(text)
    try:
        digest = bundle.bundle_digest(document)
    except ValueError:
        digest = "0" * 64
    (folder / bundle.FLAG).write_text(bundle.flag_line(digest))


def first_of(document: dict) -> dict:
    return document["members"][0]


def refusal(folder: Path) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        bundle.verify(folder, "1A")
    assert caught.value.exit_code == 3
    assert "1A" in caught.value.what
    return caught.value


def test_a_sealed_folder_verifies_to_the_digest_of_its_index(folder: Path) -> None:
    verified = bundle.verify(folder, "1A")
    assert [m.path for m in verified.members] == ["a.txt", "b.txt", "below/Z.txt"]
    assert verified.members[0].sha256_hex == hashlib.sha256(b"first").hexdigest()
    assert [m.bytes for m in verified.members] == [5, 6, 0]
    index = json.loads((folder / "index.json").read_text())
    by_hand = json.dumps(index, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert verified.digest == hashlib.sha256(by_hand.encode()).hexdigest()
    assert (folder / "_passed.flag").read_text() == f"sha256_hex = {verified.digest}\n"


def test_the_digest_depends_on_content_and_not_on_path_or_order(folder: Path) -> None:
    moved = folder.rename(folder.with_name("elsewhere"))
    assert bundle.verify(moved, "1A").digest == bundle.seal(
        moved, ["below/Z.txt", "b.txt", "a.txt"]
    )


def test_the_json_layout_of_the_index_does_not_matter(folder: Path) -> None:
    before = bundle.verify(folder, "1A").digest
    index = folder / "index.json"
    index.write_text(json.dumps(json.loads(index.read_text()), indent=4))
    assert bundle.verify(folder, "1A").digest == before


def test_extra_fields_enter_the_digest(folder: Path) -> None:
    before = bundle.verify(folder, "1A").digest
    reseal(folder, lambda d: d.update(rows=5))
    assert bundle.verify(folder, "1A").digest != before


def test_a_flipped_bit_is_named_with_both_digests(folder: Path) -> None:
    (folder / "a.txt").write_bytes(b"fjrst")
    error = refusal(folder)
    assert error.code == "6A.S0.UPSTREAM_HASHGATE_DIGEST_MISMATCH"
    assert error.where.endswith("a.txt")
    for content in (b"first", b"fjrst"):
        assert hashlib.sha256(content).hexdigest() in error.what


def test_a_flag_of_another_bundle_is_named_with_both_digests(folder: Path) -> None:
    right = bundle.verify(folder, "1A").digest
    (folder / "_passed.flag").write_text(bundle.flag_line("e" * 64))
    error = refusal(folder)
    assert error.code == "6A.S0.UPSTREAM_HASHGATE_DIGEST_MISMATCH"
    assert right in error.what
    assert "e" * 64 in error.what


def link(path: Path, target: Path) -> None:
    path.unlink()
    path.symlink_to(target)


def outside(folder: Path) -> Path:
    copy = folder.with_name("copy.txt")
    copy.write_bytes(b"first")
    return copy


MISSING, MISMATCH, INVALID = "MISSING", "DIGEST_MISMATCH", "SCHEMA_INVALID"
NAN = float("nan")
DAMAGE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "no flag": (MISSING, lambda f: (f / "_passed.flag").unlink()),
    "no index": (MISSING, lambda f: (f / "index.json").unlink()),
    "flag is a folder": (
        MISSING,
        lambda f: ((f / "_passed.flag").unlink(), (f / "_passed.flag").mkdir()),
    ),
    "flag is a link": (MISSING, lambda f: link(f / "_passed.flag", f / "a.txt")),
    "flag in capitals": (
        MISMATCH,
        lambda f: (f / "_passed.flag").write_text((f / "_passed.flag").read_text().upper()),
    ),
    "flag of two lines": (
        MISMATCH,
        lambda f: (f / "_passed.flag").write_text((f / "_passed.flag").read_text() * 2),
    ),
    "flag of bytes": (MISMATCH, lambda f: (f / "_passed.flag").write_bytes(b"\xff" * 40)),
    "member gone": (MISSING, lambda f: (f / "a.txt").unlink()),
    "member is a pipe": (MISSING, lambda f: ((f / "a.txt").unlink(), os.mkfifo(f / "a.txt"))),
    "file more": (MISMATCH, lambda f: (f / "c.txt").write_bytes(b"")),
    "file more below": (MISMATCH, lambda f: (f / "below/c.txt").write_bytes(b"")),
    "file hidden": (MISMATCH, lambda f: (f / ".hidden").write_bytes(b"")),
    "link out": (INVALID, lambda f: link(f / "a.txt", outside(f))),
    "link inside": (INVALID, lambda f: link(f / "a.txt", f / "b.txt")),
    "folder is a link": (
        INVALID,
        lambda f: (
            (f / "below").rename(f.with_name("moved")),
            (f / "below").symlink_to(f.with_name("moved")),
        ),
    ),
    "index edited": (
        MISMATCH,
        lambda f: (f / "index.json").write_text(
            (f / "index.json").read_text().replace('"bytes":5', '"bytes":6')
        ),
    ),
    "index no JSON": (INVALID, lambda f: (f / "index.json").write_text("{")),
    "index too deep": (INVALID, lambda f: (f / "index.json").write_text("[" * 200_000)),
    "index no text": (INVALID, lambda f: (f / "index.json").write_bytes(b"\xff\xfe")),
    "index a list": (INVALID, lambda f: (f / "index.json").write_text("[]")),
    "members no list": (INVALID, lambda f: reseal(f, lambda d: d.update(members={}))),
    "member no object": (INVALID, lambda f: reseal(f, lambda d: d["members"].append(1))),
    "not a number": (INVALID, lambda f: reseal(f, lambda d: d.update(x=NAN))),
    "half a surrogate": (INVALID, lambda f: reseal(f, lambda d: d.update(x="\ud800"))),
    "size wrong": (MISMATCH, lambda f: reseal(f, lambda d: first_of(d).update(bytes=6))),
    "size as text": (INVALID, lambda f: reseal(f, lambda d: first_of(d).update(bytes="5"))),
    "size as truth": (INVALID, lambda f: reseal(f, lambda d: first_of(d).update(bytes=True))),
    "no size": (INVALID, lambda f: reseal(f, lambda d: first_of(d).pop("bytes"))),
    "hash too short": (INVALID, lambda f: reseal(f, lambda d: first_of(d).update(sha256_hex="ab"))),
    "hash of another": (
        MISMATCH,
        lambda f: reseal(f, lambda d: first_of(d).update(sha256_hex="ab" * 32)),
    ),
    "member twice": (INVALID, lambda f: reseal(f, lambda d: d["members"].insert(0, first_of(d)))),
    "members unsorted": (INVALID, lambda f: reseal(f, lambda d: d["members"].reverse())),
    "member unlisted": (MISMATCH, lambda f: reseal(f, lambda d: d["members"].pop(0))),
}
PATHS = (
    "../copy.txt", "below/../../copy.txt", "/etc/hostname", "..", ".", "", "./a.txt", "a.txt/",
    "below//Z.txt", "..\\copy.txt", "a\0.txt", "a\n.txt", "index.json", "_passed.flag",
)  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_refused(folder: Path, name: str) -> None:
    reason, damage = DAMAGE[name]
    damage(folder)
    assert refusal(folder).code == f"6A.S0.UPSTREAM_HASHGATE_{reason}"


@pytest.mark.parametrize("path", PATHS)
def test_a_member_path_that_is_not_canonical_is_refused(folder: Path, path: str) -> None:
    outside(folder)
    reseal(folder, lambda d: first_of(d).update(path=path))
    assert refusal(folder).code == "6A.S0.UPSTREAM_HASHGATE_SCHEMA_INVALID"


def test_the_digest_of_an_index_is_over_its_canonical_json() -> None:
    members = (bundle.Member("b", 1, "0" * 64), bundle.Member("a", 2, "1" * 64))
    document = bundle.index_document(members, content_digests={"t": "ü"})
    assert [m["path"] for m in document["members"]] == ["a", "b"]  # type: ignore[attr-defined]
    assert bundle.bundle_digest(document) == hashlib.sha256(canonical_json(document)).hexdigest()
    assert canonical_json(document).startswith('{"content_digests":{"t":"ü"},"members":['.encode())
