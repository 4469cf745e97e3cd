"""The rows: what the database holds, one class per table. They never leave the services, and they do not validate.

Whoever imports one knows all: foreign keys and migrations go by the whole catalogue, `Row.metadata`.
"""

from gateway.db.tables.base import Row
from gateway.db.tables.bulk import Batch, File, FilePart
from gateway.db.tables.operators import ConsoleSession, Operator, OperatorToken, SignInTry
from gateway.db.tables.policies import (
    ApiKey,
    AuditEvent,
    Model,
    ModelAlias,
    ModelGrant,
    PolicyRevision,
    QuotaRule,
    Tenant,
    TenantAlias,
    Upstream,
)
from gateway.db.tables.usage import BudgetNotice, UsageDay, UsageHour, UsageMinute, UsageRecord, UsageTotal

__all__ = [
    "ApiKey",
    "AuditEvent",
    "Batch",
    "BudgetNotice",
    "ConsoleSession",
    "File",
    "FilePart",
    "Model",
    "ModelAlias",
    "ModelGrant",
    "Operator",
    "OperatorToken",
    "PolicyRevision",
    "QuotaRule",
    "Row",
    "SignInTry",
    "Tenant",
    "TenantAlias",
    "Upstream",
    "UsageDay",
    "UsageHour",
    "UsageMinute",
    "UsageRecord",
    "UsageTotal",
]
