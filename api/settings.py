"""All settings of the services: environment variables with the prefix TRELLIS_, or the file `.env`.

Secrets are files, never values: what is kept here may be printed.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every field is described in docs/settings.md."""

    model_config = SettingsConfigDict(env_prefix="TRELLIS_", env_file=".env", extra="ignore", frozen=True)

    database_url: str = Field(
        "sqlite+aiosqlite:///trellis.db",
        description="SQLAlchemy address of the database; its password in a pgpass file.",
    )
    rpc: str = Field("http://127.0.0.1:8545", description="http(s) address of the node that is read.")
    exchange: str = Field("0x" + "00" * 20, description="Address of the Exchange.")

    index_batch: int = Field(
        50, ge=1, le=500, description="Blocks that the indexer reads and writes at once."
    )
    index_poll_s: float = Field(
        1, gt=0, description="Seconds after which the indexer looks for new blocks again."
    )
    index_undo_blocks: int = Field(
        10_000,
        ge=1,
        description="Blocks that the indexer can take back; for more it reads everything again.",
    )

    siwe_domain: str = Field(
        "127.0.0.1:8000", description="Authority that a login message must name (EIP-4361)."
    )
    siwe_uri: str = Field("http://127.0.0.1:8000", description="URI that a login message must name.")
    siwe_statement: str = Field(
        "Sign in to the Trellis energy market.", description="Statement that a login message must carry."
    )
    siwe_resources: tuple[str, ...] = Field((), description="Resources that a login message may list.")
    siwe_nonce_ttl_s: int = Field(
        300, ge=10, le=3600, description="Seconds within which a challenge is answered."
    )
    clock_skew_s: int = Field(30, ge=0, le=300, description="Seconds by which another's clock may differ.")

    token_key_file: Path | None = Field(
        None, description="PEM file of the Ed25519 key that signs access tokens; none: a new key each start."
    )
    access_ttl_s: int = Field(600, ge=60, le=600, description="Life of an access token, seconds.")
    refresh_ttl_s: int = Field(
        14 * 86_400, ge=600, description="Life of a login, over all its refreshes, seconds."
    )

    roles_cache_s: float = Field(
        3, ge=0, le=60, description="Seconds for which roles read from the chain are kept."
    )
    signature_gas: int = Field(
        3_000_000, ge=100_000, description="Gas that a contract wallet may use to judge a signature."
    )
    chain_timeout_s: float = Field(3, gt=0, description="Seconds until a read of the chain is given up.")

    reads_per_s: float = Field(
        50, gt=0, description="Reads a second that one wallet, or one anonymous address, may make for long."
    )
    reads_burst: int = Field(200, ge=1, description="Reads that may come at once.")
    writes_per_s: float = Field(50, gt=0, description="Writes a second that one wallet may make for long.")
    writes_burst: int = Field(200, ge=1, description="Writes that may come at once.")
    logins_per_s: float = Field(1, gt=0, description="Login requests a second of one address.")
    logins_burst: int = Field(20, ge=1, description="Login requests that may come at once.")

    stream_s: float = Field(
        300, ge=0, le=600, description="Seconds after which an event stream ends, to be asked for again."
    )
    max_body_bytes: int = Field(4 * 1024 * 1024, ge=1024, description="The largest body of a request, bytes.")
    cors_origins: tuple[str, ...] = Field(
        (), description="Web origins whose pages may call the API; none by default."
    )
    idempotency_ttl_s: int = Field(
        86_400, ge=60, description="Seconds for which the answer of a write is kept for its Idempotency-Key."
    )
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
