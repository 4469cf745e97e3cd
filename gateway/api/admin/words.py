"""What names, patterns and moments look like on this wire, as far as a schema says it; the services know the rest."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

Name = Annotated[str, Meta(min_length=1, max_length=64)]
"""For people: printable, and without a space at either end."""
ModelName = Annotated[
    str, Meta(min_length=1, max_length=200, pattern="^[A-Za-z0-9]([A-Za-z0-9._:/@+-]*[A-Za-z0-9_+-])?$")
]
Pattern = Annotated[str, Meta(min_length=1, max_length=200, pattern="^[A-Za-z0-9._:/@+*?-]+$")]
"""Of model names: `*` is any run of characters, `?` any one."""
Text = Annotated[str, Meta(min_length=1, max_length=1000)]
Moment = Annotated[datetime, Meta(tz=True)]

PARAMETERS = {"pattern": Pattern, "alias": ModelName}
"""Parameters of paths that become names; all others are looked up, whatever they look like."""
