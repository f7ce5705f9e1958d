"""The registry of streams: every label, its family, its width, and what its draws decide.

A stream is opened through its law: `HOUSEHOLD.of(seed)`, `FLOOR.of(seed, code="RETAIL_CURRENT")`.
The page docs/streams.md is made from `REGISTRY`, and verification refuses RNG logs that name a
stream it does not hold. A new random choice gets a new law here; a label is never reused.
"""

from __future__ import annotations

from fraudworld.rng.identities import IDENTITIES
from fraudworld.rng.law import ANY, StreamLaw
from fraudworld.rng.profiles import PROFILES


def registered(label: str, family: str, width: int) -> bool:
    """Whether some law of the registry holds this stream."""
    return any(law.holds(label, family, width) for law in REGISTRY)


WORLD_SCALE = StreamLaw(
    "s1/world_scale", "party_count_realisation", 1,
    "scale of the seed: one draw",
)  # fmt: skip
COUNTRY_TILT = StreamLaw(
    "s1/country_tilt", "party_count_realisation", ANY,
    "tilt of every segment in a country; width: segments of the policy",
)  # fmt: skip
SEGMENT_TOTALS = StreamLaw(
    "s1/segment_totals", "party_count_realisation", 25,
    "size of a segment in a region around the policy: tries of a gamma variate",
)  # fmt: skip
SEGMENT_PLACE = StreamLaw(
    "s1/segment_place", "party_attribute_sampling", 8,
    "round keys of the permutation that places segments inside a country",
)  # fmt: skip
HOUSEHOLD = StreamLaw(
    "s1/household", "party_attribute_sampling", 2,
    "order of parties in an atom; then size of a home, or home of a dependant",
)  # fmt: skip
HOUSEHOLD_PLACE = StreamLaw(
    "s1/household_place", "party_attribute_sampling", 2,
    "kind of home of a party, and whether it looks for its own segment",
)  # fmt: skip
BUSINESS_GROUP = StreamLaw(
    "s1/business_group", "party_attribute_sampling", 2,
    "order and size of firms inside an atom of parties",
)  # fmt: skip
PARTY_FACTOR = StreamLaw(
    "s2/party_factor", "account_count_realisation", 2,
    "engagement of a party: common factor of its products and devices",
)  # fmt: skip
PRODUCT_TOTALS = StreamLaw(
    "s2/product_totals", "account_count_realisation", 25,
    "accounts of a product around the policy: tries of a gamma variate",
)  # fmt: skip
ACCOUNT_ALLOCATION = StreamLaw(
    "s2/account_allocation/{code}", "account_allocation_sampling", 2,
    "hurdle, then deviate of a party for an account type",
)  # fmt: skip
KMAX_REDISTRIBUTION = StreamLaw(
    "s2/kmax_redistribution/{code}", "account_allocation_sampling", ANY,
    "rank of every free slot of a party for an account type; width: its cap",
)  # fmt: skip
FLOOR = StreamLaw(
    "s3/floor/{code}", "instrument_count_realisation", 1,
    "which instrument an account type's floor gives",
)  # fmt: skip
INSTRUMENT_ALLOCATION = StreamLaw(
    "s3/instrument_allocation/{code}", "instrument_allocation_sampling", 2,
    "hurdle, then deviate of an account for an instrument plan",
)  # fmt: skip
INSTRUMENT_REDISTRIBUTION = StreamLaw(
    "s3/cap_redistribution/{code}", "instrument_allocation_sampling", ANY,
    "rank of every free slot of an account; width: its cap",
)  # fmt: skip
SCHEME = StreamLaw(
    "s3/scheme", "instrument_attribute_sampling", 1,
    "scheme of an instrument",
)  # fmt: skip
WALLET_PLATFORM = StreamLaw(
    "s3/wallet_platform", "instrument_attribute_sampling", 1,
    "mobile system, and so the wallet, of a party that holds tokens",
)  # fmt: skip
DEVICE_TOTALS = StreamLaw(
    "s4/device_totals", "device_count_realisation", 25,
    "devices of a type around the policy: tries of a gamma variate",
)  # fmt: skip
DEVICE_ALLOCATION = StreamLaw(
    "s4/device_allocation/{code}", "device_allocation_sampling", 2,
    "hurdle, then deviate of a party for its devices",
)  # fmt: skip
DEVICE_REDISTRIBUTION = StreamLaw(
    "s4/cap_redistribution/{code}", "device_allocation_sampling", ANY,
    "rank of every free slot of a party for devices; width: its cap",
)  # fmt: skip
DEVICE_ATTRIBUTES = StreamLaw(
    "s4/device_attributes", "device_attribute_sampling", 2,
    "operating system, then browser of a device",
)  # fmt: skip
PLATFORM = StreamLaw(
    "s4/platform", "device_attribute_sampling", 1,
    "mobile system of a party, within that of its tokens",
)  # fmt: skip
DEVICE_PLATFORM = StreamLaw(
    "s4/device_platform", "device_attribute_sampling", 1,
    "whether a device is on its owner's mobile system",
)  # fmt: skip
DEVICE_TYPE_PLACE = StreamLaw(
    "s4/device_type_place", "device_count_realisation", 8,
    "round keys of the permutation that places device types",
)  # fmt: skip
TERMINAL_TYPE = StreamLaw(
    "s4/terminal_type", "device_attribute_sampling", 1,
    "type of a merchant's terminal",
)  # fmt: skip
CIRCLE = StreamLaw(
    "s4/circle", "device_allocation_sampling", 2,
    "order inside an atom of parties, and members of a circle",
)  # fmt: skip
CIRCLE_KIND = StreamLaw(
    "s4/circle_kind", "device_allocation_sampling", 2,
    "whether the last circle of an atom forms, whether a circle is of one segment",
)  # fmt: skip
DEVICE_SHARING_RANK = StreamLaw(
    "s4/device_sharing_rank", "device_allocation_sampling", 1,
    "rank of a device among those that may be shared",
)  # fmt: skip
DEVICE_SHARING = StreamLaw(
    "s4/device_sharing", "device_allocation_sampling", 2,
    "number of co-users of a device, then where they are looked for",
)  # fmt: skip
DEVICE_ACCESS = StreamLaw(
    "s4/device_access", "device_allocation_sampling", 6,
    "accounts and instruments a device reaches: counts, then choices",
)  # fmt: skip
IP_COUNT = StreamLaw(
    "s4/ip_count", "ip_count_realisation", 3,
    "whether a device is dormant, its links to spare, type of its typical endpoint",
)  # fmt: skip
PROXY_PLACE = StreamLaw(
    "s4/proxy_place", "ip_allocation_sampling", 8,
    "round keys of the permutation that places proxy links among links to spare",
)  # fmt: skip
IP_TYPE_PLACE = StreamLaw(
    "s4/ip_type_place", "ip_allocation_sampling", 8,
    "round keys of the permutation that places endpoint types",
)  # fmt: skip
HOME_LEASE = StreamLaw(
    "s4/home_lease", "ip_allocation_sampling", 1,
    "rank of a home for second leases",
)  # fmt: skip
PROXY_PRONE = StreamLaw(
    "s4/proxy_prone", "ip_allocation_sampling", 1,
    "rank of a party among those that use proxies",
)  # fmt: skip
ABROAD_PLACE = StreamLaw(
    "s4/abroad_place/{code}", "ip_allocation_sampling", 8,
    "round keys of the permutation that places a country's links abroad of a type",
)  # fmt: skip
IP_DEGREE = StreamLaw(
    "s4/ip_degree/{code}", "ip_count_realisation", 1,
    "degree of an endpoint of a type",
)  # fmt: skip
IP_MATCHING = StreamLaw(
    "s4/ip_matching/{code}", "ip_allocation_sampling", 1,
    "matching of device stubs to endpoint stubs of a type",
)  # fmt: skip
PUBLIC_ACCESS = StreamLaw(
    "s4/public_access", "ip_allocation_sampling", 1,
    "whether a link that is not typical is public access",
)  # fmt: skip
IP_ATTRIBUTES = StreamLaw(
    "s4/ip_attributes", "ip_attribute_sampling", 2,
    "operator, then IP version of an endpoint",
)  # fmt: skip
MERCHANT_ENDPOINT = StreamLaw(
    "s4/merchant_endpoint", "ip_allocation_sampling", 3,
    "endpoints of a merchant",
)  # fmt: skip
CIRCLE_FRAILTY = StreamLaw(
    "s5/circle_frailty", "fraud_role_sampling_party", 1,
    "frailty band of a circle",
)  # fmt: skip
HOME_FRAILTY = StreamLaw(
    "s5/home_frailty", "fraud_role_sampling_party", 1,
    "frailty band of a home",
)  # fmt: skip
FIRM_FRAILTY = StreamLaw(
    "s5/firm_frailty", "fraud_role_sampling_party", 1,
    "frailty band of a firm",
)  # fmt: skip
ORGANISER_RANK = StreamLaw(
    "s5/organiser_rank", "fraud_role_sampling_party", 1,
    "rank of a party among those that may change places with an organiser",
)  # fmt: skip
PARTY_SCORE = StreamLaw(
    "s5/party/score", "fraud_role_sampling_party", 2,
    "noise of the score of a party, then its tie-break",
)  # fmt: skip
PARTY_ROLE = StreamLaw(
    "s5/party/role", "fraud_role_sampling_party", 1,
    "role of a party",
)  # fmt: skip
ACCOUNT_SCORE = StreamLaw(
    "s5/account/score", "fraud_role_sampling_account", 2,
    "noise of the score of an account, then its tie-break",
)  # fmt: skip
ACCOUNT_ROLE = StreamLaw(
    "s5/account/role", "fraud_role_sampling_account", 1,
    "role of an account",
)  # fmt: skip
MERCHANT_SCORE = StreamLaw(
    "s5/merchant/score", "fraud_role_sampling_merchant", 2,
    "noise of the score of a merchant, then its tie-break",
)  # fmt: skip
MERCHANT_ROLE = StreamLaw(
    "s5/merchant/role", "fraud_role_sampling_merchant", 1,
    "role of a merchant",
)  # fmt: skip
DEVICE_SCORE = StreamLaw(
    "s5/device/score", "fraud_role_sampling_device", 2,
    "noise of the score of a device, then its tie-break",
)  # fmt: skip
DEVICE_ROLE = StreamLaw(
    "s5/device/role", "fraud_role_sampling_device", 1,
    "role of a device",
)  # fmt: skip
IP_SCORE = StreamLaw(
    "s5/ip/score", "fraud_role_sampling_ip", 2,
    "noise of the score of an ip, then its tie-break",
)  # fmt: skip
IP_ROLE = StreamLaw(
    "s5/ip/role", "fraud_role_sampling_ip", 1,
    "role of an ip",
)  # fmt: skip
ARRIVAL_COUNTS = StreamLaw(
    "5B/arrival_counts", "arrival_realisation", ANY,
    "arrivals of an hour and cell; width: of the upstream's arrival law",
)  # fmt: skip
ARRIVAL_MOMENTS = StreamLaw(
    "5B/arrival_moments", "arrival_realisation", 1,
    "moment of an arrival inside its hour",
)  # fmt: skip
REWIRED = StreamLaw(
    "6B.S1/rewired", "attachment_sampling", 1,
    "endpoints dealt anew, for T10's rewired arm",
)  # fmt: skip
ACTIVITY = StreamLaw(
    "6B.S1/activity", "attachment_sampling", 1,
    "activity weight of a party",
)  # fmt: skip
FLOW_VISIT = StreamLaw(
    "6B.S1/flow", "attachment_sampling", 4,
    "whose visit an arrival belongs to, and the flow's own choices",
)  # fmt: skip
VISIT = StreamLaw(
    "6B.S1/visit", "attachment_sampling", 8,
    "party, account, instrument, device and endpoint of a visit",
)  # fmt: skip
STRIKE_VISIT = StreamLaw(
    "6B.S3/visit", "campaign_sampling", 12,
    "how a campaign's visit is made",
)  # fmt: skip
FLOW = StreamLaw(
    "6B.S2/flow", "flow_sampling", 8,
    "amount, latency, events and currency of a flow",
)  # fmt: skip
CAMPAIGN_PLAN = StreamLaw(
    "6B.S3/plan/{code}", "campaign_sampling", 8,
    "start, span, size and tactics of a campaign",
)  # fmt: skip
VICTIMS = StreamLaw(
    "6B.S3/victims", "campaign_sampling", 192,
    "victims of a campaign: up to 64 tries of 3 draws",
)  # fmt: skip
KIT_DEVICES = StreamLaw(
    "6B.S3/kit_devices", "campaign_sampling", 128,
    "devices of a campaign: up to 64 tries of 2 draws",
)  # fmt: skip
KIT_ENDPOINTS = StreamLaw(
    "6B.S3/kit_endpoints", "campaign_sampling", 128,
    "endpoints of a campaign: up to 64 tries of 2 draws",
)  # fmt: skip
LABEL = StreamLaw(
    "6B.S4/label", "label_sampling", 2,
    "whether a flow is bad for a cause of its own",
)  # fmt: skip
BANK_VIEW = StreamLaw(
    "6B.S4/bank_view", "bank_view_sampling", 8,
    "detection, dispute and delays of a flow",
)  # fmt: skip

REGISTRY = (
    WORLD_SCALE,
    COUNTRY_TILT,
    SEGMENT_TOTALS,
    SEGMENT_PLACE,
    HOUSEHOLD,
    HOUSEHOLD_PLACE,
    BUSINESS_GROUP,
    PARTY_FACTOR,
    PRODUCT_TOTALS,
    ACCOUNT_ALLOCATION,
    KMAX_REDISTRIBUTION,
    FLOOR,
    INSTRUMENT_ALLOCATION,
    INSTRUMENT_REDISTRIBUTION,
    SCHEME,
    WALLET_PLATFORM,
    DEVICE_TOTALS,
    DEVICE_ALLOCATION,
    DEVICE_REDISTRIBUTION,
    DEVICE_ATTRIBUTES,
    PLATFORM,
    DEVICE_PLATFORM,
    DEVICE_TYPE_PLACE,
    TERMINAL_TYPE,
    CIRCLE,
    CIRCLE_KIND,
    DEVICE_SHARING_RANK,
    DEVICE_SHARING,
    DEVICE_ACCESS,
    IP_COUNT,
    PROXY_PLACE,
    IP_TYPE_PLACE,
    HOME_LEASE,
    PROXY_PRONE,
    ABROAD_PLACE,
    IP_DEGREE,
    IP_MATCHING,
    PUBLIC_ACCESS,
    IP_ATTRIBUTES,
    MERCHANT_ENDPOINT,
    CIRCLE_FRAILTY,
    HOME_FRAILTY,
    FIRM_FRAILTY,
    ORGANISER_RANK,
    PARTY_SCORE,
    PARTY_ROLE,
    ACCOUNT_SCORE,
    ACCOUNT_ROLE,
    MERCHANT_SCORE,
    MERCHANT_ROLE,
    DEVICE_SCORE,
    DEVICE_ROLE,
    IP_SCORE,
    IP_ROLE,
    ARRIVAL_COUNTS,
    ARRIVAL_MOMENTS,
    REWIRED,
    ACTIVITY,
    FLOW_VISIT,
    VISIT,
    STRIKE_VISIT,
    FLOW,
    CAMPAIGN_PLAN,
    VICTIMS,
    KIT_DEVICES,
    KIT_ENDPOINTS,
    LABEL,
    BANK_VIEW,
    *PROFILES,
    *IDENTITIES,
)
"""Every stream of S1 to S5, the arrivals of 5B, and the states of 6B and 6P, in their order."""

SCORES = {
    "party": PARTY_SCORE,
    "account": ACCOUNT_SCORE,
    "merchant": MERCHANT_SCORE,
    "device": DEVICE_SCORE,
    "ip": IP_SCORE,
}
ROLES = {
    "party": PARTY_ROLE,
    "account": ACCOUNT_ROLE,
    "merchant": MERCHANT_ROLE,
    "device": DEVICE_ROLE,
    "ip": IP_ROLE,
}
"""S5's streams by entity."""
