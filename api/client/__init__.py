"""A typed client of the API: `Client` waits, `AsyncClient` is awaited, both have the same methods.

It signs nothing that it did not make or check itself, and believes nothing that it can
check unchecked (docs/client.md).
"""

from api.client.cache import Cache as Cache
from api.client.client import AsyncClient as AsyncClient
from api.client.client import Client as Client
from api.client.errors import ClientError as ClientError
from api.client.events import Event as Event
from api.client.retries import Retries as Retries
from api.client.service import Service as Service
from api.client.service import Wallet as Wallet
