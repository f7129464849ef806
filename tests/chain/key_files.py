"""Keystore files of keys that tests know."""

from __future__ import annotations

from settlement.chain.keystore import write_throwaway

keystore_file = write_throwaway
