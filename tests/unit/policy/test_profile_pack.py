"""The policy pack of profiles: strict, all faults at once, and matched with the world's words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fraudworld.errors import InputError
from fraudworld.policy.loader import load_pack
from fraudworld.policy.profiles import SHIPPED, check_words, load_profiles
from fraudworld.policy.profiles.models import ProfilePack


def test_the_shipped_pack_loads_and_is_no_part_of_6a() -> None:
    loaded = load_profiles()
    assert len(loaded.profile_policy_hash) == 64
    assert not any("6P" in name for name in load_pack().files)


def test_all_faults_are_named_with_file_and_key(tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    shutil.copytree(SHIPPED, pack)
    accounts, work = pack / "accounts_6P.v1.yaml", pack / "work_6P.v1.yaml"
    accounts.write_text(accounts.read_text().replace("closed_share: 0.04", "closed_share: 4"))
    work.write_text(work.read_text() + "\nsurprise: 1\n")
    with pytest.raises(InputError) as refused:
        load_profiles(pack)
    assert refused.value.code == "6P.S0.PROFILE_PACK_INVALID"
    assert "accounts_6P.v1.yaml: closed_share" in refused.value.what
    assert "work_6P.v1.yaml: surprise: unknown key" in refused.value.what


def test_comments_do_not_enter_the_hash_and_figures_do(tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    shutil.copytree(SHIPPED, pack)
    file = pack / "accounts_6P.v1.yaml"
    file.write_text("# another comment\n" + file.read_text())
    assert load_profiles(pack).profile_policy_hash == load_profiles().profile_policy_hash
    file.write_text(file.read_text().replace("closed_share: 0.04", "closed_share: 0.05"))
    assert load_profiles(pack).profile_policy_hash != load_profiles().profile_policy_hash


def test_a_word_that_the_world_has_and_the_pack_lacks_is_a_fault() -> None:
    loaded = load_profiles()
    policy = load_pack().pack
    segments = policy.party_taxonomy.segments
    names = ("account_type", "device_type", "os_family", "ip_type", "asn_class", "merchant_class",
             "region", "segment")  # fmt: skip
    kinds = policy.instrument_taxonomy.instrument_types
    words = {name: policy.codes(name) for name in names} | {
        "segments_of_RETAIL": tuple(s for s, kind in segments.items() if kind == "RETAIL"),
        "card_type": tuple(t for t, kind in kinds.items() if kind.family == "CARD"),
        "country": ("DE", "US"),
    }
    assert check_words(loaded.pack, words) == []
    faults = check_words(loaded.pack, words | {"country": ("DE", "XX")})
    assert [(f.file, f.key, f.message) for f in faults] == [
        ("money_6P.v1.yaml", "ppp_units_per_dollar", "lacks XX")
    ]
    document = loaded.document()
    document["work"]["industries"]["BUSINESS_SME"] = {"Z": 3}
    document["devices"]["os_versions"]["IOS"] = {"IOS_18": 0}
    document["people"]["kyc_shares"]["RETAIL_VALUE"]["LOW"] = 0.5
    faults = check_words(ProfilePack.model_validate_json(json.dumps(document)), words)
    assert [(f.key, f.message) for f in faults] == [
        ("industries.BUSINESS_SME", "has the unknown Z"),
        ("os_versions.IOS", "has no weight above 0"),
        ("kyc_shares.RETAIL_VALUE", "sums to 0.68, not to 1"),
    ]
