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
    operator_key_file: str | None = Field(
        None, description="Where the operator's key is (docs/keys.md): a keystore file or a signer."
    )

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

    receipt_key_file: str | None = Field(
        None,
        description="Where the key that signs receipts is (docs/keys.md); none: no orders are taken here.",
    )
    intake_lease_s: float = Field(
        5,
        gt=0.5,
        le=300,
        description="Seconds after which another process may take orders, if the one that does is gone.",
    )
    orders_per_s: float = Field(
        500, gt=0, description="Orders a second that one wallet may bring for long, its own or others'."
    )
    orders_burst: int = Field(20_000, ge=1, description="Orders that may come at once.")
    relay_key_file: Path | None = Field(
        None,
        description="Where the key is that sends what participants signed; none: nothing is sent.",
    )
    relays_per_s: float = Field(
        0.1, gt=0, description="Transactions a second that are sent for one wallet for long."
    )
    relays_burst: int = Field(20, ge=1, description="Transactions that may be sent for it at once.")

    stream_s: float = Field(
        300, ge=0, le=600, description="Seconds after which an event stream ends, to be asked for again."
    )
    ws_per_wallet: int = Field(8, ge=1, description="WebSockets that one wallet may have open.")
    ws_idle_s: float = Field(
        60, gt=0, description="Seconds of silence after which the other end of a WebSocket counts as gone."
    )
    ws_slow_s: float = Field(
        10, gt=0, description="Seconds that a WebSocket's reader may take for one message."
    )
    max_body_bytes: int = Field(4 * 1024 * 1024, ge=1024, description="The largest body of a request, bytes.")
    body_timeout_s: float = Field(20, gt=0, description="Seconds in which a body has to arrive.")
    cors_origins: tuple[str, ...] = Field(
        (), description="Web origins whose pages may call the API; none by default."
    )
    idempotency_ttl_s: int = Field(
        86_400, ge=60, description="Seconds for which the answer of a write is kept for its Idempotency-Key."
    )
    identity_key_file: Path | None = Field(
        None, description="File of the keys that seal identities; none: no identities are kept."
    )
    aggregate_group: int = Field(
        5, ge=3, le=1000, description="Accounts that an aggregate must be of, at least, to be told."
    )
    evidence_whole: bool = Field(
        False,
        description="Whether members' evidence has transactions with other accounts' orders and readings.",
    )
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
