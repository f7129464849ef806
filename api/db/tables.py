"""All tables, for whoever needs them together: importing this fills `Base.metadata`."""

from api.db import chain_models, identity_models, intake_models, market_models, models, relay_models

METADATA = models.Base.metadata

__all__ = [
    "METADATA",
    "chain_models",
    "identity_models",
    "intake_models",
    "market_models",
    "models",
    "relay_models",
]
