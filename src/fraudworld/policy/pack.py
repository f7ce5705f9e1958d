"""The resolved policy pack: every file, typed, plus the code lists derived from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from fraudworld.policy import models as m
from fraudworld.policy import propagation as p
from fraudworld.policy import transactions as d
from fraudworld.policy import validation as v


class PolicyPack(m.Model):
    """All files of one resolved pack (after overlays), by file stem.

    `posture` is `certifiable` unless an overlay says `baseline_replay`, which accepts
    values known to be defects so that a failing world can be reproduced.
    """

    posture: Literal["certifiable", "baseline_replay"]

    party_taxonomy: m.PartyTaxonomy
    account_taxonomy: m.AccountTaxonomy
    instrument_taxonomy: m.InstrumentTaxonomy
    device_taxonomy: m.DeviceTaxonomy
    ip_taxonomy: m.IpTaxonomy
    fraud_role_taxonomy: m.FraudRoleTaxonomy

    population_priors: m.PopulationPriors
    segmentation_priors: m.SegmentationPriors
    product_mix_priors: m.ProductMixPriors
    account_per_party_priors: m.AccountPerPartyPriors
    instrument_mix_priors: m.InstrumentMixPriors
    instrument_per_account_priors: m.InstrumentPerAccountPriors
    device_count_priors: m.DeviceCountPriors
    ip_count_priors: m.IpCountPriors
    party_role_priors: m.RolePriors
    account_role_priors: m.RolePriors
    merchant_role_priors: m.MerchantRolePriors
    device_role_priors: m.DeviceRolePriors
    ip_role_priors: m.IpRolePriors

    device_linkage_rules: m.DeviceLinkageRules
    graph_linkage_rules: m.GraphLinkageRules
    validation_policy: v.ValidationPolicy
    risk_propagation_coeffs: p.RiskPropagationCoeffs

    attachment: d.Attachment
    flow_amounts: d.FlowAmounts
    campaigns: d.Campaigns
    bank_view: d.BankView
    downstream_witness: d.DownstreamWitness

    def codes(self, name: str) -> tuple[str, ...]:
        """The closed list behind a code column, sorted: position is the code's number.

        `name` is the `codes` of a contract column (`segment`, `ip_type`, `risk_tier`, …).
        `risk_tier` keeps its order LOW…HIGH. Countries and currencies are upstream's.
        """
        if name == "risk_tier":
            return self.fraud_role_taxonomy.risk_tiers
        entity, _, suffix = name.partition("_")
        if entity in m.ENTITIES and suffix in ("raw_role", "family"):
            mapping = self.fraud_role_taxonomy.entities[entity].mapping
            codes_ = mapping if suffix == "raw_role" else {*mapping.values(), "UNMAPPED"}
            return tuple(sorted(codes_))
        # Looked up lazily: a state sees only its own files, and asks only for their lists.
        lists: dict[str, Callable[[], Iterable[str]]] = {
            "region": lambda: self.party_taxonomy.regions,
            "party_type": lambda: self.party_taxonomy.party_types,
            "segment": lambda: self.party_taxonomy.segments,
            "account_type": lambda: self.account_taxonomy.account_types,
            "account_group": lambda: self.account_taxonomy.groups,
            "instrument_type": lambda: self.instrument_taxonomy.instrument_types,
            "scheme": lambda: self.instrument_taxonomy.schemes,
            "device_type": lambda: self.device_taxonomy.device_types,
            "device_group": lambda: self.device_taxonomy.groups,
            "os_family": lambda: self.device_taxonomy.os_families,
            "ua_family": lambda: self.device_taxonomy.ua_families,
            "device_link_role": lambda: self.device_taxonomy.link_roles,
            "ip_type": lambda: self.ip_taxonomy.ip_types,
            "asn_class": lambda: self.ip_taxonomy.asn_classes,
            "ip_version": lambda: self.ip_taxonomy.ip_versions,
            "ip_link_role": lambda: self.ip_taxonomy.link_roles,
            "ip_group": lambda: {
                g for row in self.fraud_role_taxonomy.ip_groups.values() for g in row.values()
            },
            "merchant_class": lambda: self.merchant_role_priors.class_mix,
        }
        return tuple(sorted(lists[name]()))
