"""Schemas for other tools, generated from the contracts: Frictionless, Croissant, SDV."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from fraudworld.contracts import TABLES, Column, Kind, Table, Visibility
from fraudworld.documents import JsonObject
from fraudworld.store.bundle import sha256_file

LICENCE = "https://www.apache.org/licenses/LICENSE-2.0"
HOME = "https://github.com/fraudworld/fraudworld"
WHAT = "A synthetic bank entity world: no row describes a real person, account or address."

REFERENCES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "s2_account_base_6A": {"owner_party_id": ("s1_party_base_6A", "party_id")},
    "s2_party_product_holdings_6A": {"owner_party_id": ("s1_party_base_6A", "party_id")},
    "s3_instrument_base_6A": {
        "account_id": ("s2_account_base_6A", "account_id"),
        "owner_party_id": ("s1_party_base_6A", "party_id"),
    },
    "s3_account_instrument_links_6A": {
        "account_id": ("s2_account_base_6A", "account_id"),
        "instrument_id": ("s3_instrument_base_6A", "instrument_id"),
    },
    "s4_circle_members_6A": {"party_id": ("s1_party_base_6A", "party_id")},
    "s4_device_base_6A": {"primary_party_id": ("s1_party_base_6A", "party_id")},
    "s4_device_links_6A": {
        "device_id": ("s4_device_base_6A", "device_id"),
        "party_id": ("s1_party_base_6A", "party_id"),
        "account_id": ("s2_account_base_6A", "account_id"),
        "instrument_id": ("s3_instrument_base_6A", "instrument_id"),
    },
    "s4_ip_links_6A": {
        "ip_id": ("s4_ip_base_6A", "ip_id"),
        "device_id": ("s4_device_base_6A", "device_id"),
    },
    "s5_party_fraud_roles_6A": {"party_id": ("s1_party_base_6A", "party_id")},
    "s5_account_fraud_roles_6A": {"account_id": ("s2_account_base_6A", "account_id")},
    "s5_device_fraud_roles_6A": {"device_id": ("s4_device_base_6A", "device_id")},
    "s5_ip_fraud_roles_6A": {"ip_id": ("s4_ip_base_6A", "ip_id")},
}
"""Foreign keys of 6A: dataset → column → (dataset, key)."""

PROFILE_REFERENCES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "p0_outlet_6P": {
        "merchant_id": ("p0_merchant_6P", "merchant_id"),
        "place_id": ("p0_place_6P", "place_id"),
    },
    "p0_terminal_6P": {
        "device_id": ("s4_device_base_6A", "device_id"),
        "merchant_id": ("p0_merchant_6P", "merchant_id"),
        "place_id": ("p0_place_6P", "place_id"),
    },
    "p1_party_profile_6P": {
        "party_id": ("s1_party_base_6A", "party_id"),
        "home_place_id": ("p0_place_6P", "place_id"),
        "employer_party_id": ("s1_party_base_6A", "party_id"),
    },
    "p1_party_identity_6P": {"party_id": ("s1_party_base_6A", "party_id")},
    "p2_account_profile_6P": {
        "account_id": ("s2_account_base_6A", "account_id"),
        "joint_party_id": ("s1_party_base_6A", "party_id"),
    },
    "p3_instrument_profile_6P": {"instrument_id": ("s3_instrument_base_6A", "instrument_id")},
    "p4_device_profile_6P": {"device_id": ("s4_device_base_6A", "device_id")},
    "p4_ip_profile_6P": {"ip_id": ("s4_ip_base_6A", "ip_id")},
    "p5_entity_event_6P": {"party_id": ("s1_party_base_6A", "party_id")},
}
"""Foreign keys of 6P, likewise."""

_KEYS = {**REFERENCES, **PROFILE_REFERENCES}
_FRICTIONLESS = {
    Kind.INT: "integer",
    Kind.CODE: "string",
    Kind.REAL: "number",
    Kind.DATE: "date",
    Kind.MOMENT: "datetime",
    Kind.WORD: "string",
    Kind.TEXT: "string",
    Kind.FLAG: "boolean",
}
_CROISSANT = {
    Kind.INT: "sc:Integer",
    Kind.CODE: "sc:Text",
    Kind.REAL: "sc:Float",
    Kind.DATE: "sc:Date",
    Kind.MOMENT: "sc:DateTime",
    Kind.WORD: "sc:Text",
    Kind.TEXT: "sc:Text",
    Kind.FLAG: "sc:Boolean",
}
_SDV: Mapping[Kind, JsonObject] = {
    Kind.INT: {"sdtype": "numerical"},
    Kind.CODE: {"sdtype": "categorical"},
    Kind.REAL: {"sdtype": "numerical"},
    Kind.DATE: {"sdtype": "datetime", "datetime_format": "%Y-%m-%d"},
    Kind.MOMENT: {"sdtype": "datetime", "datetime_format": "%Y-%m-%dT%H:%M:%S.%fZ"},
    Kind.WORD: {"sdtype": "categorical"},
    Kind.TEXT: {"sdtype": "unknown", "pii": True},
    Kind.FLAG: {"sdtype": "boolean"},
}


def foreign_keys(table: Table, here: Collection[str]) -> dict[str, tuple[str, str]]:
    """Foreign keys of a table to the datasets `here`: column → (dataset, key)."""
    return {
        column: parent for column, parent in _KEYS.get(table.name, {}).items() if parent[0] in here
    }


def frictionless(tables: Sequence[Table], name: str) -> JsonObject:
    """A Frictionless Data Package descriptor of `<dataset>.csv` files in the same folder."""
    here = {t.name for t in tables}

    def schema(table: Table) -> JsonObject:
        keys = [
            {"fields": [c], "reference": {"resource": parent.lower(), "fields": [key]}}
            for c, (parent, key) in foreign_keys(table, here).items()
        ]
        nullable = any(c.nullable for c in table.columns if c.name in table.key)
        return {
            "fields": [
                {
                    "name": c.name,
                    "type": _FRICTIONLESS[c.kind],
                    "description": c.meaning,
                    "constraints": {"required": not c.nullable},
                }
                for c in table.columns
            ],
            "missingValues": [""],  # NA is a country
            # Frictionless forbids nulls in a primary key.
            **({} if nullable else {"primaryKey": list(table.key)}),
            "foreignKeys": keys,
        }

    return {
        "name": name,
        "description": WHAT,
        "licenses": [{"name": "Apache-2.0", "path": LICENCE}],
        "resources": [
            {
                "name": t.name.lower(),  # Frictionless resource names are lower case
                "path": f"{t.name}.csv",
                "description": t.meaning,
                "type": "table",
                "format": "csv",
                "encoding": "utf-8",
                "schema": schema(t),
            }
            for t in tables
        ],
    }


def croissant(tables: Sequence[Table], folder: Path, name: str, created: str) -> JsonObject:
    """A Croissant 1.0 description of the CSV files in `folder`.

    created: ISO date of the run.
    """
    context = {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "citeAs": "cr:citeAs",
        "column": "cr:column",
        "conformsTo": "dct:conformsTo",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "dct": "http://purl.org/dc/terms/",
        "examples": {"@id": "cr:examples", "@type": "@json"},
        "extract": "cr:extract",
        "field": "cr:field",
        "fileProperty": "cr:fileProperty",
        "fileObject": "cr:fileObject",
        "fileSet": "cr:fileSet",
        "format": "cr:format",
        "includes": "cr:includes",
        "isLiveDataset": "cr:isLiveDataset",
        "jsonPath": "cr:jsonPath",
        "key": "cr:key",
        "md5": "cr:md5",
        "parentField": "cr:parentField",
        "path": "cr:path",
        "recordSet": "cr:recordSet",
        "references": "cr:references",
        "regex": "cr:regex",
        "repeated": "cr:repeated",
        "replace": "cr:replace",
        "sc": "https://schema.org/",
        "separator": "cr:separator",
        "source": "cr:source",
        "subField": "cr:subField",
        "transform": "cr:transform",
    }
    here = {t.name for t in tables}

    def field(table: Table, column: Column) -> JsonObject:
        out: JsonObject = {
            "@type": "cr:Field",
            "@id": f"{table.name}/{column.name}",
            "name": column.name,
            "description": column.meaning,
            "dataType": _CROISSANT[column.kind],
            "source": {
                "fileObject": {"@id": f"{table.name}.csv"},
                "extract": {"column": column.name},
            },
        }
        parent = foreign_keys(table, here).get(column.name)
        if parent:
            out["references"] = {"field": {"@id": "/".join(parent)}}
        return out

    return {
        "@context": context,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": WHAT,
        "license": LICENCE,
        "url": HOME,
        "version": "1.0.0",
        "datePublished": created,
        "citeAs": f"fraudworld, run {name.removeprefix('fraudworld-')}",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": f"{t.name}.csv",
                "name": f"{t.name}.csv",
                "contentUrl": f"{t.name}.csv",
                "encodingFormat": "text/csv",
                "sha256": sha256_file(folder / f"{t.name}.csv"),
            }
            for t in tables
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": t.name,
                "name": t.name,
                "description": t.meaning,
                "field": [field(t, c) for c in t.columns],
            }
            for t in tables
        ],
    }


def sdv(tables: Sequence[Table]) -> JsonObject:
    """SDV multi-table metadata, as SDMetrics reads it; SDV supports single-column keys only."""
    keyed = {t.name: t.key[0] for t in tables if len(t.key) == 1}

    def column(table: Table, c: Column) -> JsonObject:
        is_id = c.name.endswith("_id") and c.kind is Kind.INT
        if c.name == keyed.get(table.name) or is_id:
            return {"sdtype": "id"}
        return _SDV[c.kind]

    return {
        "METADATA_SPEC_VERSION": "MULTI_TABLE_V1",
        "tables": {
            t.name: {
                **({"primary_key": keyed[t.name]} if t.name in keyed else {}),
                "columns": {c.name: column(t, c) for c in t.columns},
            }
            for t in tables
        },
        "relationships": [
            {
                "parent_table_name": parent,
                "parent_primary_key": key,
                "child_table_name": t.name,
                "child_foreign_key": c,
            }
            for t in tables
            for c, (parent, key) in foreign_keys(t, keyed).items()
            if keyed.get(t.name) != c
        ],
    }


def published(*, observable: bool) -> tuple[Table, ...]:
    """The tables of 6A in an export: all, or only the observable ones."""
    return tuple(t for t in TABLES if not observable or t.visibility is Visibility.OBSERVABLE)
