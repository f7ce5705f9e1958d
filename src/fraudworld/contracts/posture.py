"""Tables of S5: the fraud role and risk tier of every entity. All of them are truth."""

from __future__ import annotations

from fraudworld.contracts.table import Table, Visibility, code, integer

ENTITIES = ("party", "account", "merchant", "device", "ip")


def _roles(entity: str) -> Table:
    return Table(
        name=f"s5_{entity}_fraud_roles_6A",
        state="S5",
        meaning=f"Fraud role and risk tier of every {entity}.",
        columns=(
            integer(f"{entity}_id", f"the {entity}"),
            code("raw_role", "role as drawn", f"{entity}_raw_role"),
            code("canonical_role_family", "family of the role in the taxonomy", f"{entity}_family"),
            code("risk_tier", "LOW, STANDARD, ELEVATED or HIGH, by rank", "risk_tier"),
        ),
        key=(f"{entity}_id",),
        sort=(f"{entity}_id",),
        visibility=Visibility.TRUTH,
    )


PARTY_ROLES, ACCOUNT_ROLES, MERCHANT_ROLES, DEVICE_ROLES, IP_ROLES = map(_roles, ENTITIES)
