"""All tables, for whoever needs them together: importing this fills `Base.metadata`."""

from api.db import chain_models, market_models, models

METADATA = models.Base.metadata

__all__ = ["METADATA", "chain_models", "market_models", "models"]
