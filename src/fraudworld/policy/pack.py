"""The resolved policy pack: every file, typed, plus what stages derive from it."""

from __future__ import annotations

from typing import Literal

from fraudworld.policy import downstream as d
from fraudworld.policy import models as m


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
    validation_policy: m.ValidationPolicy
    risk_propagation_coeffs: m.RiskPropagationCoeffs

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
        roles = self.fraud_role_taxonomy
        if name == "risk_tier":
            return roles.risk_tiers
        entity, _, suffix = name.partition("_")
        if entity in roles.entities and suffix == "raw_role":
            return tuple(sorted(roles.entities[entity].mapping))
        if entity in roles.entities and suffix == "family":
            return tuple(sorted({*roles.entities[entity].mapping.values(), "UNMAPPED"}))
        lists = {
            "region": self.party_taxonomy.regions,
            "party_type": self.party_taxonomy.party_types,
            "segment": self.party_taxonomy.segments,
            "account_type": self.account_taxonomy.account_types,
            "account_group": self.account_taxonomy.groups,
            "instrument_type": self.instrument_taxonomy.instrument_types,
            "scheme": self.instrument_taxonomy.schemes,
            "device_type": self.device_taxonomy.device_types,
            "device_group": self.device_taxonomy.groups,
            "os_family": self.device_taxonomy.os_families,
            "ua_family": self.device_taxonomy.ua_families,
            "device_link_role": self.device_taxonomy.link_roles,
            "ip_type": self.ip_taxonomy.ip_types,
            "asn_class": self.ip_taxonomy.asn_classes,
            "ip_version": self.ip_taxonomy.ip_versions,
            "ip_link_role": self.ip_taxonomy.link_roles,
            "ip_group": {g for row in roles.ip_groups.values() for g in row.values()},
            "merchant_class": self.merchant_role_priors.class_mix,
        }
        return tuple(sorted(lists[name]))
