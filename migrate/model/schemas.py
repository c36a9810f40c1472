"""Arrow schemas of the snapshot and the mapped folder. One row is one Twilio object, text is as Twilio sent it."""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")
_ENCODED = pa.dictionary(pa.int32(), pa.string())


def encoded(schema: pa.Schema, names: Collection[str]) -> pa.Schema:
    """A schema whose texts, or lists of texts, of these names are numbers that stand for few distinct values.

    That is how Parquet has them; in memory it saves most of the time that such columns take.
    """

    def kind(field: pa.Field) -> pa.DataType:
        if field.name not in names:
            return field.type
        return pa.list_(_ENCODED) if pa.types.is_list(field.type) else _ENCODED

    return pa.schema([field.with_type(kind(field)) for field in schema])


# `service_sid` is not a column here: it is the name of the partition folder.
BINDINGS = pa.schema(
    [
        pa.field("sid", pa.string(), nullable=False),
        pa.field("account_sid", pa.string()),
        pa.field("endpoint", pa.string()),
        pa.field("identity", pa.string()),
        pa.field("binding_type", pa.string()),
        pa.field("credential_sid", pa.string()),
        pa.field("message_types", pa.list_(pa.string())),
        pa.field("date_created", TIMESTAMP),
        pa.field("date_updated", TIMESTAMP),
        pa.field("extra", pa.string()),  # JSON object of the fields that this version does not know
    ]
)

SERVICES = pa.schema(
    [
        pa.field("sid", pa.string(), nullable=False),
        pa.field("account_sid", pa.string()),
        pa.field("friendly_name", pa.string()),
        pa.field("date_created", TIMESTAMP),
        pa.field("date_updated", TIMESTAMP),
        pa.field("notifications", pa.string()),  # JSON: Chat's `notifications`, null where unknown
        pa.field("conversations_notifications", pa.string()),  # JSON: the target's, null where unreadable
        pa.field("extra", pa.string()),
    ]
)

CREDENTIALS = pa.schema(
    [
        pa.field("sid", pa.string(), nullable=False),
        pa.field("account_sid", pa.string()),
        pa.field("friendly_name", pa.string()),
        pa.field("type", pa.string()),
        pa.field("sandbox", pa.string()),
        pa.field("date_created", TIMESTAMP),
        pa.field("date_updated", TIMESTAMP),
        pa.field("extra", pa.string()),
    ]
)

# One row per push that APNs or FCM did not take, from Twilio's Alerts. Where an alert names no service, credential or
# binding, or several, it is not known whose push that was.
PUSH_ERRORS = pa.schema(
    [
        pa.field("sid", pa.string(), nullable=False),  # the alert's
        pa.field("date", TIMESTAMP),
        pa.field("error_code", pa.int32(), nullable=False),
        pa.field("log_level", pa.string()),
        pa.field("service_sid", pa.string()),
        pa.field("credential_sid", pa.string()),
        pa.field("binding_sid", pa.string()),
    ]
)

# The same counted: one row per hour, service, credential and code.
PUSH_ERRORS_BY_HOUR = pa.schema(
    [
        pa.field("hour", TIMESTAMP),  # its beginning
        pa.field("service_sid", pa.string()),
        pa.field("credential_sid", pa.string()),
        pa.field("error_code", pa.int32(), nullable=False),
        pa.field("errors", pa.int64(), nullable=False),
        pa.field("bindings", pa.int64(), nullable=False),  # how many different ones they name
    ]
)

# One row per binding of the snapshot: what it was, what it becomes, and what its device must do.
MAPPED_BINDINGS = pa.schema(
    [
        pa.field("sid", pa.string(), nullable=False),
        pa.field("identity", pa.string()),
        pa.field("device", pa.string()),  # the endpoint, masked
        pa.field("binding_type", pa.string()),
        pa.field("target_binding_type", pa.string()),
        pa.field("message_types", pa.list_(pa.string())),
        pa.field("target_message_types", pa.list_(pa.string())),
        pa.field("credential_sid", pa.string()),
        pa.field("target_credential_sid", pa.string()),  # null: undecided, or nothing is expected of it
        pa.field("last_seen", TIMESTAMP),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("action", pa.string(), nullable=False),  # what its device must do
        pa.field("findings", pa.list_(pa.string()), nullable=False),
        # What only the other bindings of its service show. Format 4 lacks these.
        pa.field("endpoint_shared", pa.bool_()),
        pa.field("identity_crowded", pa.bool_()),
    ]
)
MAPPED_BINDINGS_4 = pa.schema([*MAPPED_BINDINGS][: MAPPED_BINDINGS.get_field_index("findings") + 1])
# As its files have them. Format 4, whose files lie in folders of their services, lacks the last one.
MAPPED_FILE = MAPPED_BINDINGS.append(pa.field("service_sid", pa.dictionary(pa.int32(), pa.string()), nullable=False))

# Who has not come back yet: one row per binding that is still waited for.
PENDING = pa.schema(
    [
        pa.field("service", pa.string()),  # its name
        pa.field("service_sid", pa.string(), nullable=False),
        pa.field("identity", pa.string()),
        pa.field("device", pa.string()),  # the endpoint, masked
        pa.field("platform", pa.string()),
        pa.field("last_seen", TIMESTAMP),
        pa.field("sid", pa.string(), nullable=False),
    ]
)

# One row per run, service and platform. The columns of numbers are `migrate.verify.coverage.Counts`.
COVERAGE = pa.schema(
    [
        pa.field("as_of", TIMESTAMP, nullable=False),  # the live side's time
        pa.field("service_sid", pa.string(), nullable=False),
        pa.field("platform", pa.string()),
        *(
            pa.field(name, pa.int64(), nullable=False)
            for name in ("bindings", "ready_device", "ready_platform", "pending", "expired", "new", "unclear")
        ),
        pa.field("rejected", pa.int64(), nullable=False),  # live records of the service, where platform is null
        pa.field("snapshot", pa.string(), nullable=False),  # its digest
    ]
)
